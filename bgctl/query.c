/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes the answer to "query" apart, and what can be concluded from it. Nothing here trusts the
 * server's numbers to fit each other.
 */
#include "query.h"

#include "str.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

const char *query_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

uint64_t query_number(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

static void read_origin(const json_t *o, struct query *q)
{
	q->origin.uri = query_text(o, "uri");
	q->origin.state = query_text(o, "state");
	q->origin.error = query_text(o, "error");
	q->origin.since = query_number(o, "since");
	q->origin.bytes_read = query_number(o, "bytes_read");
	q->origin.reconnects = query_number(o, "reconnects");
}

static void read_copy(const json_t *o, struct query *q)
{
	bool known = json_is_integer(json_object_get(o, "seconds_left"));

	q->copy.state = query_text(o, "state");
	q->copy.error = query_text(o, "error");
	q->copy.rate_limit = query_number(o, "rate_limit");
	q->copy.rate = query_number(o, "rate");
	q->copy.seconds_left = known ? (int64_t)query_number(o, "seconds_left") : -1;
}

void query_read(const json_t *answer, struct query *ret)
{
	*ret = (struct query){
		.mode = query_text(answer, "mode"),
		.version = query_text(answer, "version"),
		.image = query_text(answer, "image"),
		.bitmap = query_text(answer, "bitmap"),
		.readonly = json_is_true(json_object_get(answer, "readonly")),
		.pid = query_number(answer, "pid"),
		.size = query_number(answer, "size"),
		.clients = query_number(answer, "clients"),
		.block = query_number(answer, "block"),
		.blocks = query_number(answer, "blocks"),
		.cached = query_number(answer, "cached"),
		.written = query_number(answer, "written"),
		.snapshots = json_object_get(answer, "snapshots"),
	};
	ret->proxy = strcmp(ret->mode, "proxy") == 0;
	read_origin(json_object_get(answer, "origin"), ret);
	read_copy(json_object_get(answer, "copy"), ret);
}

bool query_done(const struct query *q)
{
	if (!q->proxy)
		return strcmp(q->mode, "target") == 0;
	/* A cache that was complete from the start needs no copy. */
	return strcmp(q->copy.state, "done") == 0 ||
		(strcmp(q->copy.state, "none") == 0 && q->cached >= q->blocks);
}

bool query_copying(const struct query *q)
{
	return strcmp(q->copy.state, "running") == 0 || strcmp(q->copy.state, "waiting") == 0 ||
		strcmp(q->copy.state, "paused") == 0;
}

uint64_t query_cached_bytes(const struct query *q)
{
	uint64_t bytes;

	if (q->cached >= q->blocks || __builtin_mul_overflow(q->cached, q->block, &bytes))
		return q->size;
	return MIN_OF(bytes, q->size);
}

void query_waiting(const struct query *q, char out[QUERY_WAITING_MAX])
{
	bool connected = strcmp(q->origin.state, "connected") == 0;
	const char *why = connected ? q->copy.error : q->origin.error;
	char text[2 * QUERY_WAITING_MAX];

	out[0] = 0;
	if (strcmp(q->copy.state, "paused") == 0)
		strcpy(out, "paused");
	if (strcmp(q->copy.state, "waiting") != 0)
		return;
	if (connected)
		snprintf(text, sizeof(text), "waiting: %s", *why ? why : "clients are busy");
	else
		snprintf(text, sizeof(text), "waiting: origin %s%s%s", q->origin.state,
			*why ? ": " : "", why);
	str_printable(out, QUERY_WAITING_MAX, text, strlen(text));
}

json_t *query_snapshot(const struct query *q, json_int_t id)
{
	json_t *s;
	size_t i;

	json_array_foreach(q->snapshots, i, s)
	{
		if (json_integer_value(json_object_get(s, "id")) == id)
			return s;
	}
	return NULL;
}
