/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages; see message.h. One table says which fields a kind has; what they are is in
 * message_fields.c. A field that is not in the table of its kind is passed over, so that a later
 * version may say more.
 */
#include "message.h"

#include "message_fields.h"
#include "util.h"
#include "wire.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 16 };

#define F(field) MESSAGE_FIELD_##field

static const struct kind {
	const char *name;
	enum message_field fields[FIELDS_MAX]; /* up to MESSAGE_FIELD_END */
} kinds[] = {
	[MESSAGE_HELLO] = {"hello", {F(VERSION), F(NODE)}},
	[MESSAGE_STATE_ASK] = {"state-ask", {F(SET)}},
	[MESSAGE_STATE] = {"state",
		{F(SET), F(DEFINITION), F(SIDE_NUMBER), F(SIDE_VECTOR), F(SIDE_DIGEST),
			F(SIDE_LIVE), F(EMPTY), F(ACTIVE), F(UNUSABLE), F(IN_DOUBT), F(FENCED),
			F(TXN_OR_NONE)}},
	[MESSAGE_OFFER] = {"offer",
		{F(SET), F(TXN), F(DIGEST), F(NUMBER), F(SET_ASIDE), F(DEFINITION)}},
	[MESSAGE_FETCH] = {"fetch",
		{F(SET), F(PUBLISH), F(REASON), F(VECTOR), F(NUMBER), F(DIGEST), F(SET_ASIDE)}},
	[MESSAGE_OUTCOME_ASK] = {"outcome-ask", {F(SET), F(TXN)}},
	[MESSAGE_OUTCOME] = {"outcome", {F(SET), F(TXN), F(RESULT)}},
	[MESSAGE_SHOW] = {"show", {F(SET)}},
	[MESSAGE_GET] = {"get", {F(SET), F(HASH)}},
	[MESSAGE_DATA] = {"data", {F(HASH), F(SIZE)}},
	[MESSAGE_AGREE] = {"agree", {F(SET), F(VECTOR), F(DIGEST), F(NUMBER)}},
	[MESSAGE_NEED] = {"need", {F(COUNT), F(BYTES)}},
	[MESSAGE_HASHES] = {"hashes", {F(LIST)}},
	[MESSAGE_REFUSE] = {"refuse", {F(WHY)}},
	[MESSAGE_PREPARED] = {"prepared", {F(END)}},
	[MESSAGE_COMMIT] = {"commit", {F(END)}},
	[MESSAGE_ABORT] = {"abort", {F(WHY)}},
	[MESSAGE_COMMITTED] = {"committed", {F(RELOAD)}},
	[MESSAGE_FINISH] = {"finish", {F(END)}},
	[MESSAGE_ROLLBACK] = {"rollback", {F(WHY)}},
	[MESSAGE_OK] = {"ok", {F(END)}},
	[MESSAGE_BYE] = {"bye", {F(END)}},
};

const char *message_name(enum message_kind kind)
{
	return kinds[kind].name;
}

void message_done(struct message *m)
{
	free(m->hashes);
	m->hashes = NULL;
}

/* Writing. */

static int add_fields(json_t *object, const struct message *m)
{
	const struct kind *k = &kinds[m->kind];
	int r = json_object_set_new(object, "m", json_string(k->name));

	for (size_t i = 0; r == 0 && k->fields[i] != MESSAGE_FIELD_END; i++)
		r = json_object_set_new(object, message_field_name(k->fields[i]),
			message_field_get(m, k->fields[i]));
	return r;
}

char *message_print(const struct message *m)
{
	json_t *object = json_object();
	char *ret = NULL;

	assert(m->kind != MESSAGE_HASHES || m->count <= MESSAGE_HASHES_MAX);
	if (object && add_fields(object, m) == 0)
		ret = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return ret;
}

/* Reading. */

static int find_kind(const json_t *v, enum message_kind *ret, struct err *err)
{
	const char *name = json_string_value(v);

	if (!name)
		return err_set(err, EPROTO, "a message without a kind (\"m\")");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i].name, name) == 0) {
			*ret = (enum message_kind)i;
			return 0;
		}
	}
	return err_set(err, EOPNOTSUPP, "a message of a kind that is not known here");
}

static int take_fields(const json_t *object, struct message *m, struct err *err)
{
	const struct kind *k = &kinds[m->kind];

	for (size_t i = 0; k->fields[i] != MESSAGE_FIELD_END; i++) {
		const char *name = message_field_name(k->fields[i]);
		const char *right =
			message_field_put(m, k->fields[i], json_object_get(object, name));

		if (right)
			return err_set(err, EPROTO, "message \"%s\": \"%s\" is not %s", k->name,
				name, right);
	}
	return 0;
}

static int take_object(const json_t *object, struct message *ret, struct err *err)
{
	struct message m = {0};
	int r;

	if (!json_is_object(object))
		return err_set(err, EPROTO, "a message that is no JSON object");
	r = find_kind(json_object_get(object, "m"), &m.kind, err);
	if (r == 0)
		r = take_fields(object, &m, err);
	if (r < 0)
		message_done(&m);
	else
		*ret = m;
	return r;
}

int message_parse(const char *text, size_t len, struct message *ret, struct err *err)
{
	json_t *object;
	int r;

	if (len > WIRE_TEXT_MAX)
		return err_set(err, EPROTO, "a message of more than 64 KiB");
	object = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!object)
		return err_set(err, EPROTO, "a message that is no JSON");
	r = take_object(object, ret, err);
	json_decref(object);
	return r;
}
