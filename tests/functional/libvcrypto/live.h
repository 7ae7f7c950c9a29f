/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of libvcrypto against a live vcrypto-host share: the device, one operation at a
 * time, and what libcrypto says.
 */
#ifndef VC_TESTS_LIVE_H
#define VC_TESTS_LIVE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <vcrypto/vcrypto.h>

struct live {
	struct vcrypto_device *device;
	struct vcrypto_queue *queue;
	uint8_t *src, *dst; /* LIVE_BUFFER bytes each, of the device */
};

#define LIVE_MAX (1u << 20)
#define LIVE_BUFFER (LIVE_MAX + 4096)

/* The socket of $VCRYPTO_HOST_SOCKET; leaves with status 77 when that is not set. */
const char *live_socket(void);
/* How sessions are to be made: $LIVE_SESSIONS, a number of the enum. */
enum vcrypto_session_way live_sessions(void);
/* Agreement is asked for where $LIVE_AGREEMENT is set.
 * without: feature bits to leave out, with those of $LIVE_WITHOUT; queues: wanted. */
void live_open(struct live *live, uint64_t without, unsigned int queues);
void live_open_as(struct live *live, const struct vcrypto_device_options *options,
                  uint64_t without);
void live_close(struct live *live);

struct vcrypto_session *live_session(const struct live *live,
                                     const struct vcrypto_session_params *params);
/* Whether the device refuses such a session: when it is made or, in stateless mode, used. */
bool live_refused(const struct live *live, const struct vcrypto_session_params *params);
/* Submit, and poll until it is back (fails after some seconds). Its status. */
int live_run(const struct live *live, struct vcrypto_op *op);
/* Poll until n operations of the queue are back. */
void live_wait(struct vcrypto_queue *queue, unsigned int n);

/* Random bytes that are the same in each run. */
void live_fill(void *memory, size_t size, uint32_t seed);

/* libcrypto: with tag_len, an AEAD (tag is written or compared). False: it says no. */
bool reference_crypt(const char *cipher, bool encrypt, const uint8_t *key, const uint8_t *iv,
                     const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t length,
                     uint8_t *out, uint8_t *tag, int tag_len);
void reference_hmac(const char *md, const uint8_t *key, size_t key_len, const uint8_t *in,
                    size_t length, uint8_t *tag);

#endif
