/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sign a file: SHA-256, then RSA with PKCS#1 v1.5 padding, both on the device. The key is
 * RSAPrivateKey in DER; the signature goes to standard output:
 *   openssl genrsa -traditional 2048 | openssl rsa -traditional -outform DER -out key.der
 *   cc sign.c $(pkg-config --cflags --libs libvcrypto) -o sign
 *   ./sign /run/vcrypto/vcrypto.sock key.der FILE > signature
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vcrypto/vcrypto.h>

#define MAX_FILE (16u << 20)
#define MAX_KEY 5000
#define MAX_SIGNATURE 1024
#define DIGEST 32

static struct vcrypto_device *device;

static void check(int result, const char *what)
{
	if (result < 0)
		errx(EXIT_FAILURE, "%s: %s", what, vcrypto_error_text(result));
}

static size_t load(const char *path, void *memory, size_t room)
{
	FILE *file = fopen(path, "rb");
	size_t n;

	if (!file)
		err(EXIT_FAILURE, "%s", path);
	n = fread(memory, 1, room, file);
	if (ferror(file) || !feof(file))
		errx(EXIT_FAILURE, "%s: too long, or not to be read", path);
	fclose(file);
	return n;
}

/* Submit one operation and wait for it. Many at once are what makes it fast: see packets.c. */
static void run(struct vcrypto_op *op, const char *what)
{
	struct vcrypto_queue *queue = vcrypto_device_queue(device, 0);
	struct vcrypto_op *done;
	int n;

	n = vcrypto_queue_submit(queue, &op, 1);
	check(n ? n : -EAGAIN, what);
	while (!(n = vcrypto_queue_poll(queue, &done, 1)))
		;
	check(n, what);
	check(op->status, what);
}

int main(int argc, char **argv)
{
	struct vcrypto_device_options options = {.socket = argc > 1 ? argv[1] : NULL,
	                                         .memory = MAX_FILE + (1u << 20)};
	struct vcrypto_session_params params;
	struct vcrypto_session *hash, *key;
	uint8_t der[MAX_KEY];
	char *error;

	if (argc != 4)
		errx(EXIT_FAILURE, "usage: sign SOCKET KEY FILE");
	if (vcrypto_device_open(&options, &device, &error))
		errx(EXIT_FAILURE, "%s", error);
	check(vcrypto_params_parse("sha256", &params), "name");
	check(vcrypto_session_create(device, &params, &hash), "SHA-256");

	check(vcrypto_params_parse("rsa", &params), "name");
	params.key = der;
	params.key_len = load(argv[2], der, sizeof(der));
	params.private_key = true;
	params.rsa_padding = VCRYPTO_RSA_PKCS1;
	params.rsa_hash = VCRYPTO_RSA_SHA256;
	check(vcrypto_session_create(device, &params, &key), argv[2]);
	/* The device has it now. */
	explicit_bzero(der, sizeof(der));

	uint8_t *file = vcrypto_memory_alloc(device, MAX_FILE);
	uint8_t *digest = vcrypto_memory_alloc(device, DIGEST + MAX_SIGNATURE);

	check(file && digest ? 0 : -ENOMEM, "memory");
	struct vcrypto_op op = {.session = hash, .src = file, .tag = digest};

	op.length = (uint32_t)load(argv[3], file, MAX_FILE);
	run(&op, "digest");
	op = (struct vcrypto_op){.session = key,
	                         .src = digest,
	                         .length = DIGEST,
	                         .dst = digest + DIGEST,
	                         .dst_len = MAX_SIGNATURE,
	                         .akcipher_op = VCRYPTO_AKCIPHER_SIGN};
	run(&op, "signature");
	fwrite(op.dst, 1, op.result_len, stdout);
	vcrypto_device_close(device);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
