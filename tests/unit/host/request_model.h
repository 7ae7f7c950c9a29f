/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of a resource, for tests of data requests: no cryptography, but each byte of its output a
 * function of its input and place, so that every byte of the result is known.
 */
#ifndef VC_TEST_REQUEST_MODEL_H
#define VC_TEST_REQUEST_MODEL_H

#include "request_cases.h"

/* What it makes of an input byte. */
uint8_t model_byte(uint8_t byte);
/* Destination and tag of a request of that case. */
void model_work(const struct test_case *c, struct vc_request *req);
/* All of IN is as the model has made it. */
void model_expect(const struct fixture *f, const struct test_case *c, const struct offer *o);

/*
 * A case from offer to used ring. out: its OUT bytes in any layout, in which every byte behind
 * header and keys has the value that it has in case_bytes(). Cut into pieces of at most so many
 * bytes (0: one piece each way).
 */
void model_run(struct fixture *f, const struct test_case *c, const uint8_t *out, uint32_t out_len,
               uint64_t *seed, uint32_t most);

#endif
