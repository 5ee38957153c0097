/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records in memory and as JSON; see record.h. Numbers rise within a list, and none is above
 * last_number: a file that says otherwise was not written by us, and is not believed in part.
 */
#include "record.h"

#include "util.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

static const char *const states[] = {"writing", "good", "bad"};

void records_done(struct records *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->items[i].target);
	free(r->items);
	free(r->last_error);
	free(r->snapshot);
	free(r->snapshot_of);
	*r = (struct records){0};
}

static struct record *append(struct records *r, const char *target)
{
	struct record *items;
	char *copy;

	if (r->count == RECORDS_MAX)
		return NULL;
	items = realloc(r->items, (r->count + 1) * sizeof(*items));
	if (!items)
		return NULL;
	r->items = items;
	copy = strdup(target);
	if (!copy)
		return NULL;
	items[r->count] = (struct record){.target = copy};
	return &items[r->count++];
}

struct record *records_add(struct records *r, const char *target, unsigned slot, uint64_t time)
{
	struct record *one = append(r, target);

	if (!one)
		return NULL;
	one->number = ++r->last_number;
	one->slot = slot;
	one->time = time;
	return one;
}

void records_drop(struct records *r, size_t index)
{
	free(r->items[index].target);
	memmove(&r->items[index], &r->items[index + 1], (r->count - index - 1) * sizeof(*r->items));
	r->count--;
}

const struct record *records_newest(const struct records *r)
{
	for (size_t i = r->count; i > 0; i--) {
		if (r->items[i - 1].state == RECORD_GOOD)
			return &r->items[i - 1];
	}
	return NULL;
}

struct record *records_at(const struct records *r, const char *target)
{
	for (size_t i = r->count; i > 0; i--) {
		if (strcmp(r->items[i - 1].target, target) == 0)
			return &r->items[i - 1];
	}
	return NULL;
}

int records_set_text(char **text, const char *value)
{
	char *copy = value ? strdup(value) : NULL;

	if (value && !copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

/* To JSON. Names on disks need not be UTF-8; those of a configuration are. */

static json_t *print_one(const struct record *r)
{
	return json_pack("{s:I, s:I, s:s, s:b, s:i, s:I, s:I, s:I, s:s, s:s}", "number",
		(json_int_t)r->number, "time", (json_int_t)r->time, "state", states[r->state],
		"verified", r->verified, "slot", (int)r->slot, "bytes", (json_int_t)r->bytes,
		"stored", (json_int_t)r->stored, "ms", (json_int_t)r->ms, "target", r->target,
		"digest", r->digest);
}

/* An error's text may come from anywhere. */
static json_t *text_or_null(const char *text)
{
	json_t *value = text ? json_string(text) : NULL;

	return value ? value : text ? json_string("not UTF-8") : json_null();
}

char *records_print(const struct records *r)
{
	json_t *all = json_array(), *top;
	char *text;

	for (size_t i = 0; i < r->count; i++)
		json_array_append_new(all, print_one(&r->items[i]));
	if (json_array_size(all) != r->count) {
		json_decref(all);
		return NULL;
	}
	top = json_pack("{s:i, s:I, s:I, s:o, s:o, s:o, s:o}", "version", 1, "last_number",
		(json_int_t)r->last_number, "last_try", (json_int_t)r->last_try, "last_error",
		text_or_null(r->last_error), "snapshot", text_or_null(r->snapshot), "snapshot_of",
		text_or_null(r->snapshot_of), "copies", all);
	text = top ? json_dumps(top, JSON_INDENT(2)) : NULL;
	json_decref(top);
	return text;
}

/* From JSON. */

static bool get_number(const json_t *object, const char *key, uint64_t max, uint64_t *ret)
{
	const json_t *value = json_object_get(object, key);
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value) || n < 0 || (uint64_t)n > max)
		return false;
	*ret = (uint64_t)n;
	return true;
}

static bool get_state(const json_t *object, enum record_state *ret)
{
	const char *text = json_string_value(json_object_get(object, "state"));

	for (size_t i = 0; text && i < ARRAY_LEN(states); i++) {
		if (strcmp(text, states[i]) == 0) {
			*ret = (enum record_state)i;
			return true;
		}
	}
	return false;
}

static bool get_digest(const json_t *object, char out[RECORD_DIGEST_ROOM])
{
	const char *text = json_string_value(json_object_get(object, "digest"));
	size_t len = text ? strlen(text) : 1;

	if ((len != 0 && len != RECORD_DIGEST_ROOM - 1) || text[strspn(text, "0123456789abcdef")])
		return false;
	memcpy(out, text, len + 1);
	return true;
}

static bool parse_one(const json_t *object, struct records *r)
{
	const char *target = json_string_value(json_object_get(object, "target"));
	uint64_t before = r->count ? r->items[r->count - 1].number : 0, slot;
	struct record *one = target && *target ? append(r, target) : NULL;

	if (!one)
		return false;
	if (!get_number(object, "number", r->last_number, &one->number) ||
		!get_number(object, "time", INT64_MAX, &one->time) ||
		!get_number(object, "slot", RECORDS_MAX, &slot) ||
		!get_number(object, "bytes", INT64_MAX, &one->bytes) ||
		!get_number(object, "stored", INT64_MAX, &one->stored) ||
		!get_number(object, "ms", INT64_MAX, &one->ms) || !get_state(object, &one->state) ||
		!get_digest(object, one->digest))
		return false;
	one->slot = (unsigned)slot;
	one->verified = json_is_true(json_object_get(object, "verified"));
	return one->number > before;
}

static bool get_text(const json_t *object, const char *key, char **ret)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_null(value))
		return true;
	return json_is_string(value) && records_set_text(ret, json_string_value(value)) == 0;
}

static bool parse_top(const json_t *top, struct records *r)
{
	const json_t *all = json_object_get(top, "copies"), *one;
	uint64_t version;
	size_t i;

	if (!get_number(top, "version", 1, &version) || version != 1 || !json_is_array(all) ||
		!get_number(top, "last_number", INT64_MAX, &r->last_number) ||
		!get_number(top, "last_try", INT64_MAX, &r->last_try) ||
		!get_text(top, "last_error", &r->last_error) ||
		!get_text(top, "snapshot", &r->snapshot) ||
		!get_text(top, "snapshot_of", &r->snapshot_of))
		return false;
	json_array_foreach(all, i, one)
	{
		if (!parse_one(one, r))
			return false;
	}
	return true;
}

int records_parse(const char *text, struct records *ret, struct err *err)
{
	json_error_t fault;
	json_t *top = json_loads(text, JSON_REJECT_DUPLICATES, &fault);
	bool good;

	*ret = (struct records){0};
	if (!top)
		return err_set(err, EBADMSG, "line %d: %.100s", fault.line, fault.text);
	good = parse_top(top, ret);
	json_decref(top);
	return good ? 0 : err_set(err, EBADMSG, "is not a list of copies as we write it");
}
