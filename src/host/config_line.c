/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a setting stands in the file: libcyaml forgets the lines, so the file is parsed once more,
 * but only when there is something to complain about. Main thread; it has passed the schema.
 */
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "host/config_check.h"

static yaml_node_t *mapping_get(yaml_document_t *document, yaml_node_t *node, const char *key)
{
	if (node->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		yaml_node_t *name = yaml_document_get_node(document, pair->key);

		if (name && name->type == YAML_SCALAR_NODE &&
		    !strcmp((const char *)name->data.scalar.value, key))
			return yaml_document_get_node(document, pair->value);
	}
	return NULL;
}

static yaml_node_t *sequence_get(yaml_document_t *document, yaml_node_t *node, int index)
{
	if (node->type != YAML_SEQUENCE_NODE)
		return NULL;

	yaml_node_item_t *item = node->data.sequence.items.start + index;

	return item < node->data.sequence.items.top ? yaml_document_get_node(document, *item)
	                                            : NULL;
}

/* The node of the place, or the last one on the way to it that is there. */
static yaml_node_t *place_find(yaml_document_t *document, const struct config_place *place)
{
	yaml_node_t *found = yaml_document_get_root_node(document);
	yaml_node_t *node = found ? mapping_get(document, found, place->section) : NULL;

	if (node && place->index >= 0) {
		found = node;
		node = sequence_get(document, node, place->index);
	}
	if (node && place->key) {
		found = node;
		node = mapping_get(document, node, place->key);
		if (node && place->item >= 0) {
			found = node;
			node = sequence_get(document, node, place->item);
		}
	}
	return node ? node : found;
}

unsigned int config_line(const char *path, const struct config_place *place)
{
	FILE *file = fopen(path, "re");
	yaml_document_t document;
	yaml_parser_t parser;
	yaml_node_t *node;
	unsigned int line = 0;

	if (!file)
		return 0;
	if (!yaml_parser_initialize(&parser))
		goto out;
	yaml_parser_set_input_file(&parser, file);
	if (yaml_parser_load(&parser, &document)) {
		node = place_find(&document, place);
		if (node)
			line = (unsigned int)node->start_mark.line + 1;
		yaml_document_delete(&document);
	}
	yaml_parser_delete(&parser);
out:
	fclose(file);
	return line;
}
