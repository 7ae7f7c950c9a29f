/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every symmetric algorithm that some resource has, as jobs for the fixture: one list for the tests
 * of all resources.
 */
#ifndef VC_TESTS_RESOURCE_KINDS_H
#define VC_TESTS_RESOURCE_KINDS_H

#include "resource_fixture.h"

#define KINDS_MAX 512

/* All that there are; returns how many. */
unsigned int kinds_all(struct job_kind *kinds);
/* Those that this resource can do. */
unsigned int kinds_of(const struct fixture *f, struct job_kind *kinds);
/* Whether the list has a kind of that service and algorithm (of the MAC, for MACs). */
bool kinds_have(uint8_t service, unsigned int algorithm);
/* "12 3 chain 2 ..." for a test that fails. */
const char *kind_name(const struct job_kind *kind);

#endif
