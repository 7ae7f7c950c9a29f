/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encrypt a file (AES-256-CBC, bursts of independent 4 KiB blocks), decrypt it again and compare:
 *   cc encrypt.c $(pkg-config --cflags --libs libvcrypto) -o encrypt
 *   ./encrypt /run/vcrypto/vcrypto.sock FILE
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <vcrypto/vcrypto.h>

#define BLOCK 4096u
#define BLOCKS 64u
#define BURST ((size_t)BLOCKS * BLOCK)

static void check(int result, const char *what)
{
	if (result < 0)
		errx(EXIT_FAILURE, "%s: %s", what, strerror(-result));
}

static struct vcrypto_session *session_make(struct vcrypto_device *device, const uint8_t *key,
                                            enum vcrypto_direction direction)
{
	struct vcrypto_session_params params = {.service = VCRYPTO_SERVICE_CIPHER,
	                                        .algorithm = VCRYPTO_CIPHER_AES_CBC,
	                                        .direction = direction,
	                                        .key = key,
	                                        .key_len = 32};
	struct vcrypto_session *session;

	check(vcrypto_session_create(device, &params, &session), "session");
	return session;
}

/* All blocks in one burst, each with its number as its IV (a real program takes random ones). */
static void crypt(struct vcrypto_queue *queue, struct vcrypto_session *session, const uint8_t *src,
                  uint8_t *dst, unsigned int blocks)
{
	static struct vcrypto_op ops[BLOCKS];
	struct vcrypto_op *list[BLOCKS], *finished[BLOCKS];
	unsigned int sent = 0, done = 0;

	for (unsigned int i = 0; i < blocks; i++) {
		ops[i] = (struct vcrypto_op){.session = session, .length = BLOCK, .iv_len = 16};
		ops[i].src = src + (size_t)i * BLOCK;
		ops[i].dst = dst + (size_t)i * BLOCK;
		ops[i].iv[0] = (uint8_t)i;
		list[i] = &ops[i];
	}
	while (done < blocks) {
		int n = vcrypto_queue_submit(queue, list + sent, blocks - sent);

		check(n, "submit");
		sent += (unsigned int)n;
		check(n = vcrypto_queue_poll(queue, finished, BLOCKS), "poll");
		done += (unsigned int)n;
		while (n--)
			check(finished[n]->status, "operation");
	}
}

int main(int argc, char **argv)
{
	struct vcrypto_device_options options = {.socket = argc > 1 ? argv[1] : NULL};
	FILE *file = argc > 2 ? fopen(argv[2], "rb") : stdin;
	struct vcrypto_device *device;
	size_t bytes, total = 0;
	uint8_t key[32];
	char *error;

	if (vcrypto_device_open(&options, &device, &error) || !file)
		errx(EXIT_FAILURE, "%s", file ? error : "cannot open the file");
	check((int)getrandom(key, sizeof(key), 0), "key");
	struct vcrypto_session *encrypt = session_make(device, key, VCRYPTO_ENCRYPT);
	struct vcrypto_session *decrypt = session_make(device, key, VCRYPTO_DECRYPT);
	struct vcrypto_queue *queue = vcrypto_device_queue(device, 0);
	/* Buffers lie in memory that the device can reach. */
	uint8_t *plain = vcrypto_memory_alloc(device, 3 * BURST);

	check(plain ? 0 : -ENOMEM, "memory");
	uint8_t *sealed = plain + BURST, *opened = sealed + BURST;
	while ((bytes = fread(plain, 1, BURST, file)) > 0) {
		unsigned int blocks = (unsigned int)((bytes + BLOCK - 1) / BLOCK);

		crypt(queue, encrypt, plain, sealed, blocks);
		crypt(queue, decrypt, sealed, opened, blocks);
		if (memcmp(plain, opened, bytes) || !memcmp(plain, sealed, bytes))
			check(-EIO, "comparison");
		total += bytes;
	}
	printf("%zu bytes encrypted, decrypted and compared\n", total);
	vcrypto_device_close(device);
	return EXIT_SUCCESS;
}
