/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data requests in the layouts of VIRTIO_CRYPTO_F_REVISION_1 (virtio 1.3, 5.9.7.3), written from
 * the specification and not from our structures.
 */
#ifndef VC_TEST_REQUEST_LAYOUTS_H
#define VC_TEST_REQUEST_LAYOUTS_H

#include "request_cases.h"
#include "request_model.h"

#define LAYOUT_SESSION 0x100 /* a session, in the layout of stateless mode */

/* A request of docs/in-band.md: it has one layout, whatever was negotiated. */
bool layout_is_ours(const struct test_case *c);

/* What the session of a case is. */
const struct session_params *layout_params(const struct fixture *f, const struct test_case *c);

/* The OUT bytes of a case in stateless mode, with keys in front of what follows the parameters; in
 * mode LAYOUT_SESSION without them. p: parameters and keys that are announced. Returns how many. */
uint32_t layout_stateless(const struct fixture *f, const struct test_case *c,
                          const struct session_params *p, unsigned int mode, uint8_t *out);

/* Session mode, parameters not padded. */
uint32_t layout_revision(const struct fixture *f, const struct test_case *c, uint8_t *out);

#endif
