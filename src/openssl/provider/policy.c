/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is offloaded. See policy.h.
 *
 * The defaults (policy auto) are those that measured as a gain; docs/openssl.md has the figures. A
 * synchronous caller waits for whatever it offloads: only RSA and the larger curves are dear enough
 * for that. In an ASYNC
 * job it is the caller's own cost that counts (two copies, submission, pause and resumption, about
 * what AES takes for 4 to 8 KiB of serial CBC), and only CBC encryption costs more than that in
 * software. GCM and CBC decryption are as quick there as copying: they are offloaded when min-size
 * is set, for devices that make it worth while.
 */
#include "openssl/provider/policy.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/async.h>

#include "openssl/core/core.h"

static const size_t default_min_size[POLICY_WORKS] = {
	[POLICY_CBC_ENCRYPT] = 8192, [POLICY_CBC_DECRYPT] = SIZE_MAX, [POLICY_CBC_HMAC] = 8192,
	[POLICY_CTR] = SIZE_MAX,     [POLICY_XTS] = SIZE_MAX,         [POLICY_GCM] = SIZE_MAX,
	[POLICY_CCM] = SIZE_MAX,     [POLICY_CHACHA] = SIZE_MAX,
};

static const struct {
	bool in_job, synchronous;
} gains[POLICY_KEYS] = {
	[POLICY_RSA] = {true, true},
	/* As quick in software as it is handed over, unless many are in flight. */
	[POLICY_P256] = {false, false},
	[POLICY_P384] = {true, true},
	[POLICY_P521] = {true, true},
};

/* Whole text is a number from 0 to max. */
static int parse_number(const char *text, unsigned long max, unsigned long *value)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoul(text, &end, 10);
	if (errno || *end || *value > max)
		return -EINVAL;
	return 0;
}

static int parse_mode(const char *text, enum policy_mode *mode)
{
	static const char *const names[] = {
		[POLICY_AUTO] = "auto", [POLICY_ALWAYS] = "always", [POLICY_NEVER] = "never"};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*mode = (enum policy_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_switch(const char *text, bool *value)
{
	if (!strcmp(text, "on"))
		*value = true;
	else if (!strcmp(text, "off"))
		*value = false;
	else
		return -EINVAL;
	return 0;
}

int policy_parse(struct policy *policy, const struct policy_texts *texts, const char **bad)
{
	unsigned long number;

	*policy = (struct policy){.mode = POLICY_AUTO, .fallback = true};
	memcpy(policy->min_size, default_min_size, sizeof(policy->min_size));
	*bad = NULL;
	if (texts->mode && parse_mode(texts->mode, &policy->mode))
		*bad = "policy";
	if (texts->fallback && parse_switch(texts->fallback, &policy->fallback))
		*bad = "fallback";
	if (texts->min_size) {
		if (parse_number(texts->min_size, 1ul << 30, &number))
			*bad = "min-size";
		for (unsigned int i = 0; !*bad && i < POLICY_WORKS; i++)
			policy->min_size[i] = number;
	}
	if (texts->deadline_ms) {
		if (parse_number(texts->deadline_ms, 3600ul * 1000, &number))
			*bad = "deadline-ms";
		else
			policy->deadline_ms = (unsigned int)number;
	}
	if (texts->socket) {
		if (strlen(texts->socket) >= sizeof(policy->socket))
			*bad = "socket";
		else
			memcpy(policy->socket, texts->socket, strlen(texts->socket) + 1);
	}
	return *bad ? -EINVAL : 0;
}

static enum policy_choice try_now(const struct policy *policy)
{
	if (core_available())
		return POLICY_OFFLOAD;
	return policy->fallback ? POLICY_SOFTWARE : POLICY_FAIL;
}

enum policy_choice policy_cipher(const struct policy *policy, enum policy_work work, size_t size)
{
	if (policy->mode == POLICY_NEVER || size == 0)
		return POLICY_SOFTWARE;
	if (policy->mode == POLICY_AUTO) {
		if (size < policy->min_size[work]) {
			core_count_small();
			return POLICY_SOFTWARE;
		}
		if (!ASYNC_get_current_job())
			return POLICY_SOFTWARE;
	}
	return try_now(policy);
}

enum policy_choice policy_private(const struct policy *policy, enum policy_key key)
{
	if (policy->mode == POLICY_NEVER)
		return POLICY_SOFTWARE;
	if (policy->mode == POLICY_AUTO &&
	    !(ASYNC_get_current_job() ? gains[key].in_job : gains[key].synchronous))
		return POLICY_SOFTWARE;
	return try_now(policy);
}
