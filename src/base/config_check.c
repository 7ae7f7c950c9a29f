/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check a configuration before libcyaml loads it. libcyaml reports an error at the last thing that
 * it liked, often some lines above, and says nothing of syntax errors' places; libyaml's nodes know
 * their lines. Any thread. The file is its administrator's, and so not hostile, but may be rubbish.
 */
#include "base/config_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "base/config.h"
#include "base/util.h"

struct check {
	const char *name;
	yaml_document_t *document;
	char item[256]; /* where we are: "devices[0].socket" */
	char *error;
};

typedef int check_fn(struct check *check, yaml_node_t *node, const cyaml_schema_value_t *schema);

static check_fn check_value;

static unsigned long line_of(const yaml_node_t *node)
{
	return node->start_mark.line + 1;
}

static int fail(struct check *check, const yaml_node_t *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct check *check, const yaml_node_t *node, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	check->error = str_format("%s:%lu: %s%s%s", check->name, line_of(node), check->item,
	                          *check->item ? ": " : "", text);
	return check->error ? -EINVAL : -ENOMEM;
}

static const char *scalar(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

static int fail_type(struct check *check, const yaml_node_t *node, const char *expected)
{
	switch (node->type) {
	case YAML_MAPPING_NODE:
		return fail(check, node, "expected %s, found keys and values", expected);
	case YAML_SEQUENCE_NODE:
		return fail(check, node, "expected %s, found a list", expected);
	default:
		if (!*scalar(node))
			return fail(check, node, "expected %s, found nothing", expected);
		return fail(check, node, "expected %s, found \"%.64s\"", expected, scalar(node));
	}
}

/* Check what is below: the item's name is longer for that time. */
static int check_inside(struct check *check, yaml_node_t *node, const cyaml_schema_value_t *schema,
                        const char *separator, const char *name)
{
	size_t length = strlen(check->item);
	int err;

	snprintf(check->item + length, sizeof(check->item) - length, "%s%s%s",
	         length || *separator == '[' ? separator : "", name, *separator == '[' ? "]" : "");
	err = check_value(check, node, schema);
	check->item[length] = '\0';
	return err;
}

static void add_word(char *list, size_t size, const char *word)
{
	size_t length = strlen(list);

	snprintf(list + length, size - length, "%s%s", length ? ", " : "", word);
}

static int check_integer(struct check *check, yaml_node_t *node, const cyaml_schema_value_t *schema)
{
	bool is_signed = schema->type == CYAML_INT;
	unsigned int bits = schema->data_size * 8;
	uint64_t most = bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
	uint64_t least = 0; /* without its sign */
	bool negative = *scalar(node) == '-';
	const char *text = scalar(node) + negative;
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (*text < '0' || *text > '9' || *end)
		return fail_type(check, node, "a whole number");
	if (is_signed) {
		most /= 2;
		least = most + 1;
	}
	if (negative && !is_signed && value)
		return fail(check, node, "%.64s is negative", scalar(node));
	if (errno == ERANGE || value > (negative ? least : most))
		return fail(check, node, "%.64s is not within %s%" PRIu64 " to %" PRIu64,
		            scalar(node), least ? "-" : "", least, most);
	return 0;
}

static int check_bool(struct check *check, yaml_node_t *node, const cyaml_schema_value_t *schema)
{
	static const char *const words[] = {"true", "false", "yes", "no", "on", "off"};

	for (size_t i = 0; i < vc_array_size(words); i++) {
		if (strcasecmp(scalar(node), words[i]) == 0)
			return 0;
	}
	return fail_type(check, node, "true or false");
}

static int check_enum(struct check *check, yaml_node_t *node, const cyaml_schema_value_t *schema)
{
	char known[256] = "";

	for (uint32_t i = 0; i < schema->enumeration.count; i++) {
		const char *word = schema->enumeration.strings[i].str;

		if (strcmp(word, scalar(node)) == 0)
			return 0;
		add_word(known, sizeof(known), word);
	}
	if (!(schema->flags & CYAML_FLAG_STRICT) && *scalar(node) >= '0' && *scalar(node) <= '9')
		return 0;
	return fail(check, node, "\"%.64s\" is not one of %s", scalar(node), known);
}

static int check_string(struct check *check, yaml_node_t *node, const cyaml_schema_value_t *schema)
{
	size_t length = strlen(scalar(node));

	if (length != node->data.scalar.length)
		return fail(check, node, "the text contains a zero byte");
	if (!length && schema->string.min)
		return fail(check, node, "must not be empty");
	if (length < schema->string.min)
		return fail(check, node, "\"%.64s\" is shorter than %u characters", scalar(node),
		            schema->string.min);
	if (length > schema->string.max)
		return fail(check, node, "\"%.64s\" is longer than %u characters", scalar(node),
		            schema->string.max);
	return 0;
}

static int check_scalar(struct check *check, yaml_node_t *node, const cyaml_schema_value_t *schema)
{
	static const struct {
		const char *expected;
		check_fn *fn;
	} types[] = {
		[CYAML_INT] = {"a whole number", check_integer},
		[CYAML_UINT] = {"a whole number", check_integer},
		[CYAML_BOOL] = {"true or false", check_bool},
		[CYAML_ENUM] = {"a word", check_enum},
		[CYAML_STRING] = {"text", check_string},
	};

	/* Of other types libcyaml itself is the judge. */
	if (schema->type >= vc_array_size(types) || !types[schema->type].fn)
		return 0;
	if (node->type != YAML_SCALAR_NODE)
		return fail_type(check, node, types[schema->type].expected);
	return types[schema->type].fn(check, node, schema);
}

static int check_sequence(struct check *check, yaml_node_t *node,
                          const cyaml_schema_value_t *schema)
{
	yaml_node_item_t *first;
	size_t count;
	int err = 0;

	if (node->type != YAML_SEQUENCE_NODE)
		return fail_type(check, node, "a list");
	first = node->data.sequence.items.start;
	count = (size_t)(node->data.sequence.items.top - first);
	if (!count && schema->sequence.min)
		return fail(check, node, "the list must not be empty");
	if (count < schema->sequence.min)
		return fail(check, node, "the list has %zu entries, at least %u are needed", count,
		            schema->sequence.min);
	if (count > schema->sequence.max)
		return fail(check, node, "the list has %zu entries, at most %u are allowed", count,
		            schema->sequence.max);
	for (size_t i = 0; i < count && !err; i++) {
		char index[24];

		snprintf(index, sizeof(index), "%zu", i);
		err = check_inside(check, yaml_document_get_node(check->document, first[i]),
		                   schema->sequence.entry, "[", index);
	}
	return err;
}

static const cyaml_schema_field_t *field_find(const cyaml_schema_value_t *schema, const char *key)
{
	const cyaml_schema_field_t *field = schema->mapping.fields;

	while (field->key && strcmp(field->key, key) != 0)
		field++;
	return field->key ? field : NULL;
}

static int fail_unknown(struct check *check, const yaml_node_t *key,
                        const cyaml_schema_value_t *schema)
{
	char known[256] = "";

	if (key->type != YAML_SCALAR_NODE)
		return fail_type(check, key, "a key");
	for (const cyaml_schema_field_t *field = schema->mapping.fields; field->key; field++)
		add_word(known, sizeof(known), field->key);
	return fail(check, key, "unknown key \"%.64s\"; there are %s", scalar(key), known);
}

/* The first pair with this key. */
static yaml_node_pair_t *pair_find(const struct check *check, const yaml_node_t *node,
                                   const char *key)
{
	yaml_node_pair_t *pair = node->data.mapping.pairs.start;

	for (; pair < node->data.mapping.pairs.top; pair++) {
		yaml_node_t *found = yaml_document_get_node(check->document, pair->key);

		if (found->type == YAML_SCALAR_NODE && strcmp(scalar(found), key) == 0)
			return pair;
	}
	return NULL;
}

static int check_mapping(struct check *check, yaml_node_t *node, const cyaml_schema_value_t *schema)
{
	yaml_node_pair_t *pair;
	int err;

	if (node->type != YAML_MAPPING_NODE)
		return fail_type(check, node, "keys and values");
	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = yaml_document_get_node(check->document, pair->key);
		const cyaml_schema_field_t *field = NULL;
		yaml_node_pair_t *first;

		if (key->type == YAML_SCALAR_NODE)
			field = field_find(schema, scalar(key));
		if (!field)
			return fail_unknown(check, key, schema);
		first = pair_find(check, node, field->key);
		if (first != pair)
			return fail(check, key, "key \"%s\" is there twice, first in line %lu",
			            field->key,
			            line_of(yaml_document_get_node(check->document, first->key)));
		err = check_inside(check, yaml_document_get_node(check->document, pair->value),
		                   &field->value, ".", field->key);
		if (err)
			return err;
	}
	for (const cyaml_schema_field_t *field = schema->mapping.fields; field->key; field++) {
		if (!(field->value.flags & CYAML_FLAG_OPTIONAL) &&
		    !pair_find(check, node, field->key))
			return fail(check, node, "key \"%s\" is missing", field->key);
	}
	return 0;
}

static int check_value(struct check *check, yaml_node_t *node, const cyaml_schema_value_t *schema)
{
	/* Nothing, where nothing is allowed: libcyaml makes it a NULL pointer. */
	const unsigned int null = CYAML_FLAG_POINTER_NULL & ~CYAML_FLAG_POINTER;

	if ((schema->flags & null) && node->type == YAML_SCALAR_NODE && !*scalar(node))
		return 0;
	switch (schema->type) {
	case CYAML_MAPPING:
		return check_mapping(check, node, schema);
	case CYAML_SEQUENCE:
	case CYAML_SEQUENCE_FIXED:
		return check_sequence(check, node, schema);
	default:
		return check_scalar(check, node, schema);
	}
}

static int syntax_error(const char *name, const yaml_parser_t *parser, char **error)
{
	/* Reader errors (not UTF-8) come before there are marks. */
	*error = str_format("%s:%zu: not YAML: %s%s%s", name, parser->problem_mark.line + 1,
	                    parser->problem ? parser->problem : "unreadable",
	                    parser->context ? " " : "", parser->context ? parser->context : "");
	return *error ? -EINVAL : -ENOMEM;
}

/* The root of the text's only document. */
static int load_document(const char *name, yaml_parser_t *parser, yaml_document_t *document,
                         char **error)
{
	if (!yaml_parser_load(parser, document))
		return syntax_error(name, parser, error);
	if (yaml_document_get_root_node(document))
		return 0;
	yaml_document_delete(document);
	*error = str_format("%s:1: the file is empty", name);
	return *error ? -EINVAL : -ENOMEM;
}

/* There must be nothing after the document. */
static int check_end(const char *name, yaml_parser_t *parser, char **error)
{
	yaml_document_t document;
	yaml_node_t *root;
	int err = 0;

	if (!yaml_parser_load(parser, &document))
		return syntax_error(name, parser, error);
	root = yaml_document_get_root_node(&document);
	if (root) {
		*error = str_format("%s:%lu: a second document (after \"---\") is one too many",
		                    name, line_of(root));
		err = *error ? -EINVAL : -ENOMEM;
	}
	yaml_document_delete(&document);
	return err;
}

int config_schema_check(const char *name, const char *text, size_t length,
                        const cyaml_schema_value_t *schema, char **error)
{
	struct check check = {.name = name};
	yaml_document_t document;
	yaml_parser_t parser;
	int err;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	err = load_document(name, &parser, &document, error);
	if (err)
		goto out;
	check.document = &document;
	err = check_value(&check, yaml_document_get_root_node(&document), schema);
	*error = check.error;
	if (!err)
		err = check_end(name, &parser, error);
	yaml_document_delete(&document);
out:
	yaml_parser_delete(&parser);
	return err;
}

/* One step of an item's name: ".key" or "[index]". The node there, NULL if there is none. */
static yaml_node_t *step(const struct check *check, const yaml_node_t *node, const char **item)
{
	size_t length = strcspn(*item, ".[");
	yaml_node_pair_t *pair;
	char key[64];

	if (**item == '[') {
		char *end;
		unsigned long index = strtoul(*item + 1, &end, 10);

		if (*end != ']' || node->type != YAML_SEQUENCE_NODE ||
		    index >= (size_t)(node->data.sequence.items.top -
		                      node->data.sequence.items.start))
			return NULL;
		*item = end + 1;
		return yaml_document_get_node(check->document,
		                              node->data.sequence.items.start[index]);
	}
	if (**item == '.')
		length = strcspn(++*item, ".[");
	if (length >= sizeof(key) || node->type != YAML_MAPPING_NODE)
		return NULL;
	memcpy(key, *item, length);
	key[length] = '\0';
	*item += length;
	pair = pair_find(check, node, key);
	return pair ? yaml_document_get_node(check->document, pair->value) : NULL;
}

/* The line of an item in what the parser is about to read; 0: it is not there. */
static unsigned int item_line(yaml_parser_t *parser, const char *item)
{
	yaml_document_t document;
	struct check check = {.document = &document};
	unsigned int line;
	yaml_node_t *node;

	if (!yaml_parser_load(parser, &document))
		return 0;
	node = yaml_document_get_root_node(&document);
	while (node && *item)
		node = step(&check, node, &item);
	line = node ? (unsigned int)line_of(node) : 0;
	yaml_document_delete(&document);
	return line;
}

unsigned int config_line(const char *path, const char *item)
{
	FILE *file = fopen(path, "re");
	yaml_parser_t parser;
	unsigned int line = 0;

	if (!file)
		return 0;
	if (yaml_parser_initialize(&parser)) {
		yaml_parser_set_input_file(&parser, file);
		line = item_line(&parser, item);
		yaml_parser_delete(&parser);
	}
	fclose(file);
	return line;
}

unsigned int config_line_text(const char *text, size_t length, const char *item)
{
	yaml_parser_t parser;
	unsigned int line;

	if (!yaml_parser_initialize(&parser))
		return 0;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	line = item_line(&parser, item);
	yaml_parser_delete(&parser);
	return line;
}
