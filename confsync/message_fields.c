/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fields of messages; see message_fields.h. A field is a name, a type, and a place in struct
 * message; a type knows how it becomes JSON and which JSON may become it. What is there afterwards
 * keeps all limits: names are names, texts are printable and end.
 */
#include "message_fields.h"

#include "str.h"
#include "util.h"

#include <stdlib.h>
#include <string.h>

/* How a type is written and read; PLACE is the member in struct message. */
struct type {
	json_t *(*get)(const void *place);
	bool (*put)(void *place, const json_t *v);
	const char *right;
	bool optional;
};

/* Numbers and flags. */

static json_t *number_get(const void *place)
{
	return json_integer((json_int_t)MIN_OF(*(const uint64_t *)place, VECTOR_COUNT_MAX));
}

static bool number_put(void *place, const json_t *v)
{
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*(uint64_t *)place = (uint64_t)json_integer_value(v);
	return true;
}

static json_t *flag_get(const void *place)
{
	return json_boolean(*(const bool *)place);
}

static bool flag_put(void *place, const json_t *v)
{
	*(bool *)place = json_is_true(v);
	return json_is_boolean(v);
}

/* Texts. */

static json_t *string_get(const void *place)
{
	return json_string(place);
}

/* The text of V if it fits into ROOM with its zero, else NULL. */
static const char *short_text(const json_t *v, size_t room)
{
	return json_is_string(v) && json_string_length(v) < room ? json_string_value(v) : NULL;
}

static bool name_put(void *place, const json_t *v)
{
	const char *text = short_text(v, GENERATION_NAME_MAX);

	if (!text || !generation_name_ok(text))
		return false;
	memcpy(place, text, strlen(text) + 1);
	return true;
}

static bool id_put(void *place, const json_t *v)
{
	const char *text = short_text(v, GENERATION_ID_MAX);

	if (!text || !generation_id_ok(text))
		return false;
	memcpy(place, text, strlen(text) + 1);
	return true;
}

static bool no_id_put(void *place, const json_t *v)
{
	*(char *)place = 0;
	return !v || (json_is_string(v) && json_string_length(v) == 0) || id_put(place, v);
}

static json_t *text_get(const void *place)
{
	char text[MESSAGE_TEXT_MAX];

	str_printable(text, sizeof(text), place, strnlen(place, MESSAGE_TEXT_MAX - 1));
	return json_string(text);
}

static bool text_put(void *place, const json_t *v)
{
	const char *text = short_text(v, MESSAGE_TEXT_MAX);
	char again[MESSAGE_TEXT_MAX];

	if (!text)
		return false;
	str_printable(again, sizeof(again), text, strlen(text));
	if (strcmp(again, text) != 0)
		return false;
	memcpy(place, text, strlen(text) + 1);
	return true;
}

/* Hashes. */

static json_t *hash_get(const void *place)
{
	char hex[MANIFEST_HEX];

	hash_to_hex(place, hex);
	return json_string(hex);
}

static bool hash_put(void *place, const json_t *v)
{
	return json_is_string(v) &&
		hash_from_hex(json_string_value(v), json_string_length(v), place) == 0;
}

/* A hash that stays text, or "". */
static bool hex_put(void *place, const json_t *v)
{
	const char *text = short_text(v, MANIFEST_HEX);
	uint8_t hash[MANIFEST_HASH];

	if (!text || (*text && hash_from_hex(text, strlen(text), hash) < 0))
		return false;
	memcpy(place, text, strlen(text) + 1);
	return true;
}

/* Vectors: {"n1": 3, "n2": 4}. */

static json_t *vector_get(const void *place)
{
	const struct vector *v = place;
	json_t *ret = json_object();

	for (size_t i = 0; ret && i < ARRAY_LEN(v->at); i++) {
		if (*v->at[i].node &&
			json_object_set_new(ret, v->at[i].node, number_get(&v->at[i].count)) < 0) {
			json_decref(ret);
			return NULL;
		}
	}
	return ret;
}

static bool vector_put(void *place, const json_t *v)
{
	struct vector all = {0};
	json_t *object = (json_t *)(uintptr_t)v; /* the iterator changes nothing */

	if (!json_is_object(v))
		return false;
	for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i)) {
		const char *node = json_object_iter_key(i);
		struct vector one = {0};

		if (!generation_name_ok(node) ||
			!number_put(&one.at[0].count, json_object_iter_value(i)))
			return false;
		memcpy(one.at[0].node, node, strlen(node) + 1);
		if (vector_join(&all, &one) < 0)
			return false;
	}
	*(struct vector *)place = all;
	return true;
}

/* Results. */

static const char *const results[] = {
	[MESSAGE_RESULT_UNKNOWN] = "unknown",
	[MESSAGE_RESULT_COMMIT] = "commit",
	[MESSAGE_RESULT_ABORT] = "abort",
};

static json_t *result_get(const void *place)
{
	return json_string(results[*(const enum message_result *)place]);
}

static bool result_put(void *place, const json_t *v)
{
	for (size_t i = 0; json_is_string(v) && i < ARRAY_LEN(results); i++) {
		if (strcmp(results[i], json_string_value(v)) == 0) {
			*(enum message_result *)place = (enum message_result)i;
			return true;
		}
	}
	return false;
}

/* Lists of hashes: PLACE is the message, as their number is beside them. */

static json_t *list_get(const void *place)
{
	const struct message *m = place;
	json_t *ret = json_array();

	for (size_t i = 0; ret && i < m->count; i++) {
		if (json_array_append_new(ret, hash_get(m->hashes[i])) < 0) {
			json_decref(ret);
			return NULL;
		}
	}
	return ret;
}

static bool list_put(void *place, const json_t *v)
{
	struct message *m = place;
	size_t count = json_array_size(v);

	if (!json_is_array(v) || count > MESSAGE_HASHES_MAX)
		return false;
	m->hashes = calloc(count + 1, sizeof(*m->hashes));
	if (!m->hashes)
		return false;
	m->count = count;
	for (size_t i = 0; i < count; i++) {
		if (!hash_put(m->hashes[i], json_array_get(v, i)))
			return false;
	}
	return true;
}

static const struct type number = {number_get, number_put, "a number from 0 on", false},
			 flag = {flag_get, flag_put, "true or false", false},
			 name = {string_get, name_put, "a name", false},
			 id = {string_get, id_put, "16 hexadecimal digits", false},
			 no_id = {string_get, no_id_put, "16 hexadecimal digits or empty", true},
			 text = {text_get, text_put, "printable text below 1 KiB", false},
			 hash = {hash_get, hash_put, "64 hexadecimal digits", false},
			 hex = {string_get, hex_put, "64 hexadecimal digits or empty", false},
			 vector = {vector_get, vector_put, "counts of at most two nodes", false},
			 result = {result_get, result_put, "commit, abort or unknown", false},
			 list = {list_get, list_put, "an array of at most 500 hashes", false};

#define AT(member) offsetof(struct message, member)

static const struct {
	const char *name;
	const struct type *type;
	size_t offset;
} fields[] = {
	[MESSAGE_FIELD_VERSION] = {"version", &number, AT(version)},
	[MESSAGE_FIELD_NODE] = {"node", &name, AT(node)},
	[MESSAGE_FIELD_SET] = {"set", &name, AT(set)},
	[MESSAGE_FIELD_DEFINITION] = {"definition", &hex, AT(definition)},
	[MESSAGE_FIELD_TXN] = {"txn", &id, AT(transaction)},
	[MESSAGE_FIELD_TXN_OR_NONE] = {"txn", &no_id, AT(transaction)},
	[MESSAGE_FIELD_SIDE_NUMBER] = {"number", &number, AT(side.number)},
	[MESSAGE_FIELD_SIDE_VECTOR] = {"vector", &vector, AT(side.vector)},
	[MESSAGE_FIELD_SIDE_DIGEST] = {"digest", &hash, AT(side.digest)},
	[MESSAGE_FIELD_SIDE_LIVE] = {"live", &hash, AT(side.live)},
	[MESSAGE_FIELD_EMPTY] = {"empty", &flag, AT(side.empty)},
	[MESSAGE_FIELD_ACTIVE] = {"active", &flag, AT(side.active)},
	[MESSAGE_FIELD_UNUSABLE] = {"unusable", &flag, AT(side.unusable)},
	[MESSAGE_FIELD_IN_DOUBT] = {"in_doubt", &flag, AT(side.in_doubt)},
	[MESSAGE_FIELD_FENCED] = {"fenced", &flag, AT(fenced)},
	[MESSAGE_FIELD_VECTOR] = {"vector", &vector, AT(vector)},
	[MESSAGE_FIELD_NUMBER] = {"number", &number, AT(number)},
	[MESSAGE_FIELD_DIGEST] = {"digest", &hash, AT(hash)},
	[MESSAGE_FIELD_HASH] = {"hash", &hash, AT(hash)},
	[MESSAGE_FIELD_SIZE] = {"size", &number, AT(size)},
	[MESSAGE_FIELD_COUNT] = {"count", &number, AT(count)},
	[MESSAGE_FIELD_BYTES] = {"bytes", &number, AT(size)},
	[MESSAGE_FIELD_SET_ASIDE] = {"set_aside", &flag, AT(set_aside)},
	[MESSAGE_FIELD_PUBLISH] = {"publish", &flag, AT(publish)},
	[MESSAGE_FIELD_RESULT] = {"result", &result, AT(result)},
	[MESSAGE_FIELD_WHY] = {"why", &text, AT(text)},
	[MESSAGE_FIELD_REASON] = {"reason", &text, AT(text)},
	[MESSAGE_FIELD_RELOAD] = {"reload", &text, AT(text)},
	[MESSAGE_FIELD_LIST] = {"list", &list, 0},
};

const char *message_field_name(enum message_field f)
{
	return fields[f].name;
}

json_t *message_field_get(const struct message *m, enum message_field f)
{
	return fields[f].type->get((const char *)m + fields[f].offset);
}

const char *message_field_put(struct message *m, enum message_field f, const json_t *v)
{
	const struct type *t = fields[f].type;

	if ((!v && !t->optional) || !t->put((char *)m + fields[f].offset, v))
		return t->right;
	return NULL;
}
