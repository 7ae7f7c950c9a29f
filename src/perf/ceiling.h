/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that is none: every request is marked done in the moment in which it is submitted, by
 * the thread that submits it, and nothing is computed. What is measured over it is the front end
 * alone.
 */
#ifndef VC_PERF_CEILING_H
#define VC_PERF_CEILING_H

#include <vcrypto/vcrypto.h>

int ceiling_open(const struct vcrypto_device_options *options, struct vcrypto_device **device,
                 char **error);

#endif
