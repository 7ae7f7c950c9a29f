/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins: algorithms by name, and which sessions they mean. Main thread (configuration), and a worker
 * when a session is new to it.
 *
 * A name is words with '-' between; of a chain, two names with '+' between. A pin means each name
 * that begins with its first word and has its other words, in their order: rsa is every RSA, aes
 * every cipher and AEAD of AES, aes-gcm those of GCM, aes-128-cbc only itself. Chains are meant by
 * pins with a '+' only.
 */
#include <stdio.h>
#include <string.h>

#include "host/agree.h"
#include "host/sched/sched.h"

/* The end of a word. */
static size_t word(const char *text)
{
	return strcspn(text, "-+");
}

static bool same_word(const char *a, const char *b)
{
	return word(a) == word(b) && !strncmp(a, b, word(a));
}

/* To the next word of this name; NULL: there is none. */
static const char *next_word(const char *text)
{
	text += word(text);
	return *text == '-' ? text + 1 : NULL;
}

/* One of the names of a chain, or the only one. */
static bool name_matches(const char *pin, const char *name)
{
	if (!same_word(pin, name))
		return false;
	for (pin = next_word(pin); pin; pin = next_word(pin)) {
		do
			name = next_word(name);
		while (name && !same_word(pin, name));
		if (!name)
			return false;
	}
	return true;
}

bool pin_matches(const char *pin, const char *name)
{
	const char *second_pin = strchr(pin, '+'), *second = strchr(name, '+');

	if (!second_pin != !second || !name_matches(pin, name))
		return false;
	return !second || name_matches(second_pin + 1, second + 1);
}

int group_pinned(const struct group *group, const struct session_params *params)
{
	char name[64];

	session_params_name(params, name, sizeof(name));
	for (unsigned int i = 0; i < group->pins; i++)
		if (pin_matches(group->pin[i].algorithm, name))
			return group->pin[i].at;
	return -1;
}

/* ---- every name that there is ---- */

#define ALGORITHMS 64
#define LONGEST_KEY 64

/* Parameters without keys; of those that have none to check. */
static bool is(const char *pin, struct session_params params)
{
	static const uint8_t key[LONGEST_KEY];
	char name[64];

	params.key = params.auth_key = key;
	params.auth_key_len = params.mac ? 16 : 0;
	return !session_params_check(&params) &&
	       pin_matches(pin, session_params_name(&params, name, sizeof(name)));
}

/* A cipher or AEAD alone, and the chains of it. */
static bool is_cipher(const char *pin, struct session_params params)
{
	for (params.key_len = 16; params.key_len <= LONGEST_KEY; params.key_len += 8) {
		params.chain = 0;
		if (is(pin, params))
			return true;
		if (params.service != VIRTIO_CRYPTO_SERVICE_CIPHER)
			continue;
		params.chain = VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH;
		for (unsigned int d = 1; d < 2 * ALGORITHMS; d++) {
			params.mac = (uint8_t)(d < ALGORITHMS ? d : 0);
			params.hash = (uint8_t)(d < ALGORITHMS ? 0 : d - ALGORITHMS);
			if (is(pin, params))
				return true;
		}
	}
	return false;
}

static bool is_asymmetric(const char *pin)
{
	static const uint16_t curves[] = {192, 224, 256, 384, 521};
	struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                .akcipher = VIRTIO_CRYPTO_AKCIPHER_ECDSA};
	char name[64];

	for (unsigned int i = 0; i < vc_array_size(curves); i++) {
		params.key_bits = curves[i];
		if (pin_matches(pin, session_params_name(&params, name, sizeof(name))))
			return true;
	}
	params.akcipher = VCRYPTO_INBAND_AGREE;
	for (unsigned int i = 0; i < AGREE_CURVES; i++) {
		params.curve = agree_curves_known[i].number;
		params.key_bits = agree_curves_known[i].bits;
		if (pin_matches(pin, session_params_name(&params, name, sizeof(name))))
			return true;
	}
	params.akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA;
	for (params.key_bits = 512; params.key_bits <= 8192; params.key_bits++)
		if (pin_matches(pin, session_params_name(&params, name, sizeof(name))))
			return true;
	return false;
}

bool pin_known(const char *pin)
{
	static const uint8_t services[] = {VIRTIO_CRYPTO_SERVICE_CIPHER, VIRTIO_CRYPTO_SERVICE_AEAD,
	                                   VIRTIO_CRYPTO_SERVICE_HASH, VIRTIO_CRYPTO_SERVICE_MAC};

	for (unsigned int s = 0; s < vc_array_size(services); s++)
		for (unsigned int a = 1; a < ALGORITHMS; a++) {
			struct session_params params = {.service = services[s],
			                                .encrypt = 1,
			                                .cipher = (uint8_t)a,
			                                .aead = (uint8_t)a,
			                                .hash = (uint8_t)a,
			                                .mac = (uint8_t)a};

			if (s < 2 ? is_cipher(pin, params) : is(pin, params))
				return true;
		}
	return is_asymmetric(pin);
}
