/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a resource of type fault does to its requests: the settings, their text, and the dice.
 *
 * Pure logic. host.yaml and vcryptoctl say the same words: one parser for both.
 */
#ifndef VC_HOST_RESOURCE_FAULT_SETTINGS_H
#define VC_HOST_RESOURCE_FAULT_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_delay {
	FAULT_DELAY_NONE,
	FAULT_DELAY_FIXED,
	FAULT_DELAY_UNIFORM,
	FAULT_DELAY_EXPONENTIAL
};

#define FAULT_DELAY_MAX_US 10000000u
#define FAULT_REORDER_MAX 1024u
#define FAULT_SEED 1u

/* All zero but for the seed: none. Copied as words between threads, so no pointers. */
struct fault_settings {
	uint64_t delay;           /* enum fault_delay */
	uint64_t delay_us[2];     /* fixed: [0]; uniform: from, to; exponential: the mean */
	double error_rate;        /* share that comes back undone */
	uint64_t refuse;          /* take no requests */
	uint64_t refuse_sessions; /* realise none */
	uint64_t reorder;         /* completions among which the next is drawn; 0, 1: in order */
	uint64_t hang;            /* what it has stays there */
	uint64_t dead;            /* everything comes back undone, at once */
	uint64_t after;  /* requests of each worker that are taken before all that begins */
	uint64_t for_ms; /* so long after which it ends; 0: never */
	uint64_t seed;
};

extern const struct fault_settings fault_settings_none;

/* The keys in their order, ended by NULL: "delay", "error-rate", ... */
#define FAULT_KEYS 10
extern const char *const fault_keys[FAULT_KEYS + 1];

/* Set one of them by its text. 0; -EINVAL with a sentence in *error (to be freed). */
int fault_settings_set(struct fault_settings *settings, const char *key, const char *value,
                       char **error);
/* The value of a key as text that fault_settings_set() takes. False: it is as it is with none. */
bool fault_settings_get(const struct fault_settings *settings, const char *key, char *text,
                        size_t size);
/* Whether they do anything to anyone. */
bool fault_settings_any(const struct fault_settings *settings);

/* Dice: the same for the same seed and stream. */
struct fault_random {
	uint64_t state;
};
void fault_random_seed(struct fault_random *random, uint64_t seed, uint64_t stream);
/* From 0 to below 1. */
double fault_random_draw(struct fault_random *random);
/* Nanoseconds. */
uint64_t fault_delay_draw(const struct fault_settings *settings, struct fault_random *random);

#endif
