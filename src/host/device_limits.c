/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See device_limits.h.
 */
#include "host/device_limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/util.h"

#define MOST_OPS 1000000000u
#define MOST_BYTES (UINT64_C(1) << 50)

#define PLACE(field) .at = offsetof(struct device_limits, field), .width = SIZEOF_FIELD(field)
#define SIZEOF_FIELD(field) sizeof(((struct device_limits *)NULL)->field)

/* Less in flight would hardly be a device; the rings of one of ours lie in the memory that it
 * shares. */
const struct limit_field limit_fields[] = {
	{"weight", .running = true, PLACE(qos.weight), .least = 1, .most = QOS_WEIGHT_MAX},
	{"ops", .optional = true, .running = true, PLACE(qos.ops), .least = 1, .most = MOST_OPS},
	{"ops-burst", .optional = true, .running = true, PLACE(qos.ops_burst), .least = 1,
         .most = MOST_OPS},
	{"bytes", .size = true, .optional = true, .running = true, PLACE(qos.bytes), .least = 1024,
         .most = MOST_BYTES},
	{"bytes-burst", .size = true, .optional = true, .running = true, PLACE(qos.bytes_burst),
         .least = 1, .most = MOST_BYTES},
	{"sessions", PLACE(sessions), .least = 1, .most = 1u << 20},
	{"inflight-bytes", .size = true, .running = true, PLACE(inflight_bytes), .least = 4096,
         .most = INT64_MAX},
	{"memory", .size = true, .running = true, PLACE(memory), .least = 1u << 20,
         .most = INT64_MAX},
	{NULL},
};

const struct limit_field *limit_field_find(const char *name)
{
	for (const struct limit_field *field = limit_fields; field->name; field++)
		if (!strcmp(field->name, name))
			return field;
	return NULL;
}

uint64_t limit_get(const struct device_limits *limits, const struct limit_field *field)
{
	const uint8_t *at = (const uint8_t *)limits + field->at;
	uint32_t narrow;
	uint64_t value;

	if (field->width == sizeof(narrow)) {
		memcpy(&narrow, at, sizeof(narrow));
		value = narrow;
	} else {
		memcpy(&value, at, sizeof(value));
	}
	/* A weight that nobody gave is 0. */
	return field->optional ? value : vc_max(value, field->least);
}

static void limit_put(struct device_limits *limits, const struct limit_field *field, uint64_t value)
{
	uint8_t *at = (uint8_t *)limits + field->at;
	uint32_t narrow = (uint32_t)value;

	if (field->width == sizeof(narrow))
		memcpy(at, &narrow, sizeof(narrow));
	else
		memcpy(at, &value, sizeof(value));
}

char *limit_complaint(const struct limit_field *field, uint64_t value)
{
	if (value >= field->least && value <= field->most)
		return NULL;
	if (field->most == INT64_MAX)
		return str_format("%s is %" PRIu64 "; it must be at least %" PRIu64, field->name,
		                  value, field->least);
	return str_format("%s is %" PRIu64 "; it must be from %" PRIu64 " to %" PRIu64, field->name,
	                  value, field->least, field->most);
}

char *limits_complaint(const struct device_limits *limits)
{
	if (limits->qos.ops_burst && !limits->qos.ops)
		return str_format("ops-burst is given, and no ops to be a burst of");
	if (limits->qos.bytes_burst && !limits->qos.bytes)
		return str_format("bytes-burst is given, and no bytes to be a burst of");
	return NULL;
}

static int number_parse(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno || *text < '0' || *text > '9' || *end ? -EINVAL : 0;
}

static int value_parse(const struct limit_field *field, const char *text, uint64_t *value)
{
	int err;

	*value = 0;
	if (!strcmp(text, "none") && field->optional)
		return 0;
	err = field->size ? config_size_parse(text, value) : number_parse(text, value);
	/* 0 says nothing: "none" does. */
	return !err && !*value ? -EINVAL : err;
}

int limit_set(struct device_limits *limits, const char *name, const char *text, char **error)
{
	const struct limit_field *field = limit_field_find(name);
	uint64_t value = 0;

	*error = NULL;
	if (!field) {
		*error = str_format("there is no limit \"%s\"", name);
		return -EINVAL;
	}
	if (!field->running)
		*error = str_format("%s cannot be changed while the daemon runs", name);
	else if (!text || value_parse(field, text, &value))
		*error = str_format("%s is \"%s\"; it must be %s%s", name, text ? text : "",
		                    field->size ? "a size, as 64MiB" : "a number",
		                    field->optional ? ", or none" : "");
	else if (value || !field->optional)
		*error = limit_complaint(field, value);
	if (*error)
		return -EINVAL;
	limit_put(limits, field, value);
	return 0;
}
