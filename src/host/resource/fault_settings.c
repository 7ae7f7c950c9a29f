/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fault_settings.h. Parsing: main thread; dice: the worker.
 */
#include "host/resource/fault_settings.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* An exponential delay has no end; so many times the mean, two in a billion are longer. */
#define EXPONENTIAL_MOST 20

const struct fault_settings fault_settings_none = {.seed = FAULT_SEED};

/* ---- text to numbers ---- */

/* Digits alone, up to `end`, which is not looked at if it is NULL. */
static bool number_parse(const char *text, const char **end, uint64_t most, uint64_t *value)
{
	char *stop;

	errno = 0;
	*value = strtoull(text, &stop, 10);
	if (*text < '0' || *text > '9' || errno || *value > most)
		return false;
	*end = stop;
	return true;
}

static int delay_parse(struct fault_settings *settings, const char *text)
{
	uint64_t *us = settings->delay_us;
	const char *end = "";
	uint64_t kind;
	bool good;

	us[0] = us[1] = 0;
	if (!strcmp(text, "none")) {
		settings->delay = FAULT_DELAY_NONE;
		return 0;
	}
	if (!strncmp(text, "fixed:", 6)) {
		kind = FAULT_DELAY_FIXED;
		good = number_parse(text + 6, &end, FAULT_DELAY_MAX_US, &us[0]);
	} else if (!strncmp(text, "exponential:", 12)) {
		kind = FAULT_DELAY_EXPONENTIAL;
		good = number_parse(text + 12, &end, FAULT_DELAY_MAX_US, &us[0]);
	} else if (!strncmp(text, "uniform:", 8)) {
		kind = FAULT_DELAY_UNIFORM;
		good = number_parse(text + 8, &end, FAULT_DELAY_MAX_US, &us[0]) && *end == '-' &&
		       number_parse(end + 1, &end, FAULT_DELAY_MAX_US, &us[1]) && us[0] <= us[1];
	} else {
		return -EINVAL;
	}
	settings->delay = kind;
	return good && !*end ? 0 : -EINVAL;
}

static int share_parse(double *share, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	/* Digits in front: no "nan", no "inf", no sign. */
	if ((*text != '.' && (*text < '0' || *text > '9')) || *end || !(value >= 0 && value <= 1))
		return -EINVAL;
	*share = value;
	return 0;
}

static int switch_parse(uint64_t *on, const char *text)
{
	static const char *const words[][2] = {
		{"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}};

	for (size_t i = 0; i < vc_array_size(words); i++)
		for (unsigned int value = 0; value < 2; value++)
			if (!strcmp(text, words[i][value])) {
				*on = value;
				return 0;
			}
	return -EINVAL;
}

/* ---- the keys ---- */

enum kind { DELAY, SHARE, SWITCH, NUMBER };

static const struct key {
	const char *name;
	enum kind kind;
	size_t offset; /* in struct fault_settings */
	uint64_t most; /* NUMBER */
} keys[FAULT_KEYS] = {
	{"delay", DELAY, 0, 0},
	{"error-rate", SHARE, offsetof(struct fault_settings, error_rate), 0},
	{"refuse", SWITCH, offsetof(struct fault_settings, refuse), 0},
	{"refuse-sessions", SWITCH, offsetof(struct fault_settings, refuse_sessions), 0},
	{"reorder", NUMBER, offsetof(struct fault_settings, reorder), FAULT_REORDER_MAX},
	{"hang", SWITCH, offsetof(struct fault_settings, hang), 0},
	{"dead", SWITCH, offsetof(struct fault_settings, dead), 0},
	{"after", NUMBER, offsetof(struct fault_settings, after), UINT32_MAX},
	{"for-ms", NUMBER, offsetof(struct fault_settings, for_ms), 86400000},
	{"seed", NUMBER, offsetof(struct fault_settings, seed), UINT64_MAX},
};

const char *const fault_keys[FAULT_KEYS + 1] = {
	"delay",  "error-rate", "refuse", "refuse-sessions", "reorder", "hang", "dead", "after",
	"for-ms", "seed",       NULL};

static const struct key *key_find(const char *name)
{
	for (size_t i = 0; i < vc_array_size(keys); i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

static uint64_t *word(const struct fault_settings *settings, const struct key *key)
{
	return (uint64_t *)((uintptr_t)settings + key->offset);
}

static void expected(const struct key *key, char *text, size_t size)
{
	switch (key->kind) {
	case DELAY:
		snprintf(text, size,
		         "none, fixed:US, uniform:MIN-MAX or exponential:MEAN, microseconds up to "
		         "%u",
		         FAULT_DELAY_MAX_US);
		break;
	case SHARE:
		snprintf(text, size, "a share from 0 to 1");
		break;
	case SWITCH:
		snprintf(text, size, "yes or no");
		break;
	case NUMBER:
		snprintf(text, size, "a number from 0 to %" PRIu64, key->most);
		break;
	}
}

int fault_settings_set(struct fault_settings *settings, const char *name, const char *value,
                       char **error)
{
	const struct key *key = key_find(name);
	struct fault_settings changed = *settings;
	const char *end = "";
	char text[128];
	int err = 0;

	if (!key) {
		*error = str_format("there is no fault \"%s\"", name);
		return -EINVAL;
	}
	switch (key->kind) {
	case DELAY:
		err = delay_parse(&changed, value);
		break;
	case SHARE:
		err = share_parse(&changed.error_rate, value);
		break;
	case SWITCH:
		err = switch_parse(word(&changed, key), value);
		break;
	case NUMBER:
		if (!number_parse(value, &end, key->most, word(&changed, key)) || *end)
			err = -EINVAL;
		break;
	}
	if (err) {
		expected(key, text, sizeof(text));
		*error = str_format("%s is \"%s\"; it must be %s", name, value, text);
		return err;
	}
	*settings = changed;
	return 0;
}

static bool delay_get(const struct fault_settings *settings, char *text, size_t size)
{
	switch (settings->delay) {
	case FAULT_DELAY_FIXED:
		snprintf(text, size, "fixed:%" PRIu64, settings->delay_us[0]);
		return true;
	case FAULT_DELAY_UNIFORM:
		snprintf(text, size, "uniform:%" PRIu64 "-%" PRIu64, settings->delay_us[0],
		         settings->delay_us[1]);
		return true;
	case FAULT_DELAY_EXPONENTIAL:
		snprintf(text, size, "exponential:%" PRIu64, settings->delay_us[0]);
		return true;
	default:
		snprintf(text, size, "none");
		return false;
	}
}

bool fault_settings_get(const struct fault_settings *settings, const char *name, char *text,
                        size_t size)
{
	const struct key *key = key_find(name);

	switch (key->kind) {
	case DELAY:
		return delay_get(settings, text, size);
	case SHARE:
		snprintf(text, size, "%g", settings->error_rate);
		return settings->error_rate > 0;
	case SWITCH:
		snprintf(text, size, "%s", *word(settings, key) ? "yes" : "no");
		break;
	case NUMBER:
		snprintf(text, size, "%" PRIu64, *word(settings, key));
		break;
	}
	return *word(settings, key) != *word(&fault_settings_none, key);
}

bool fault_settings_any(const struct fault_settings *s)
{
	return s->delay || s->error_rate > 0 || s->refuse || s->refuse_sessions || s->reorder > 1 ||
	       s->hang || s->dead;
}

/* ---- the dice ---- */

/* splitmix64 (Steele, Lea and Flood, 2014): any state is a good one. */
static uint64_t next(struct fault_random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void fault_random_seed(struct fault_random *random, uint64_t seed, uint64_t stream)
{
	random->state = stream;
	random->state = next(random) ^ seed;
}

double fault_random_draw(struct fault_random *random)
{
	return (double)(next(random) >> 11) * 0x1p-53;
}

uint64_t fault_delay_draw(const struct fault_settings *settings, struct fault_random *random)
{
	const uint64_t *us = settings->delay_us;

	switch (settings->delay) {
	case FAULT_DELAY_FIXED:
		return us[0] * 1000;
	case FAULT_DELAY_UNIFORM:
		return us[0] * 1000 +
		       (uint64_t)(fault_random_draw(random) * (double)((us[1] - us[0]) * 1000 + 1));
	case FAULT_DELAY_EXPONENTIAL: {
		double times = -log(1 - fault_random_draw(random));

		return (uint64_t)(vc_min(times, EXPONENTIAL_MOST) * (double)us[0] * 1000);
	}
	default:
		return 0;
	}
}
