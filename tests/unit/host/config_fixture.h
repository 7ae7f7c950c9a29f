/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of host.yaml: a text as a file that is there for the time of a group of tests.
 */
#ifndef VC_TEST_CONFIG_FIXTURE_H
#define VC_TEST_CONFIG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/config.h"

/* Of the group of tests. */
int config_setup(void **state);
int config_teardown(void **state);

struct host_config *load_good(const char *text);
/* It must fail with "PATH:LINE: " and the part in the sentence. */
void assert_bad(const char *text, unsigned int line, const char *part);

#endif
