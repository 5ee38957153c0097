/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tool prints. The keys and their order are an interface: scripts read them, so new lines
 * come at the end of their group. A line that does not apply to the server's mode is left out.
 */
#include "show.h"

#include "query.h"
#include "str.h"
#include "units.h"
#include "util.h"

#include <string.h>

typedef unsigned long long ull;

static void put_text(FILE *out, const char *text)
{
	size_t len = strlen(text), room = 4 * len + 1;
	CLEANUP_FREE char *escaped = malloc(room);

	if (!escaped)
		return;
	str_printable(escaped, room, text, len);
	fputs(escaped, out);
}

/* Nothing at all for an empty text. */
static void put_line(FILE *out, const char *key, const char *text)
{
	if (!*text)
		return;
	fprintf(out, "%s: ", key);
	put_text(out, text);
	fputc('\n', out);
}

static void put_size(FILE *out, const char *key, uint64_t bytes)
{
	char text[UNITS_MAX];

	units_size(text, bytes);
	fprintf(out, "%s: %s (%llu bytes)\n", key, text, (ull)bytes);
}

static void put_origin(FILE *out, const struct query *q)
{
	char since[UNITS_MAX];

	units_time(since, q->origin.since / 1000);
	put_line(out, "origin", q->origin.uri);
	fprintf(out, "origin-state: ");
	put_text(out, q->origin.state);
	fprintf(out, " for %s\n", since);
	put_line(out, "origin-error", q->origin.error);
	put_size(out, "origin-read", q->origin.bytes_read);
	fprintf(out, "origin-reconnects: %llu\n", (ull)q->origin.reconnects);
}

static void put_cached(FILE *out, const struct query *q)
{
	char percent[UNITS_MAX];

	units_percent(percent, units_share(q->cached, q->blocks));
	put_size(out, "block-size", q->block);
	fprintf(out, "cached: %llu of %llu blocks (%s)\n", (ull)q->cached, (ull)q->blocks, percent);
	fprintf(out, "written: %llu blocks\n", (ull)q->written);
}

static void put_copy(FILE *out, const struct query *q)
{
	char text[UNITS_MAX], waiting[QUERY_WAITING_MAX];

	query_waiting(q, waiting);
	fprintf(out, "copy: ");
	put_text(out, *waiting ? waiting : q->copy.state);
	if (query_copying(q) && !*waiting) {
		units_size(text, q->copy.rate);
		fprintf(out, ", %s/s", text);
		units_time(text, (uint64_t)MAX_OF(q->copy.seconds_left, (int64_t)0));
		if (q->copy.seconds_left >= 0)
			fprintf(out, ", %s left", text);
	}
	fputc('\n', out);
	units_size(text, q->copy.rate_limit);
	if (q->copy.rate_limit > 0)
		fprintf(out, "copy-limit: %s/s\n", text);
	if (!strstr(waiting, q->copy.error))
		put_line(out, "copy-error", q->copy.error);
}

static void put_snapshot(FILE *out, const json_t *s)
{
	const char *state = query_text(s, "state"), *error = query_text(s, "error");

	fprintf(out, "%llu ", (ull)query_number(s, "id"));
	put_text(out, state);
	fputc(' ', out);
	put_text(out, query_text(s, "path"));
	fprintf(out, " (");
	put_text(out, query_text(s, "method"));
	if (strcmp(state, "copying") == 0)
		fprintf(out, ", %llu of %llu blocks", (ull)query_number(s, "saved"),
			(ull)query_number(s, "blocks"));
	fprintf(out, ", clients: %llu", (ull)query_number(s, "clients"));
	if (*error) {
		fprintf(out, ", ");
		put_text(out, error);
	}
	fprintf(out, ")\n");
}

static const char *image_key(const struct query *q)
{
	if (q->proxy)
		return "cache";
	return strcmp(q->mode, "cow-target") == 0 ? "base" : "image";
}

void show_query(FILE *out, const json_t *answer)
{
	struct query q;
	json_t *s;
	size_t i;

	query_read(answer, &q);
	put_line(out, "mode", q.mode);
	put_line(out, "version", q.version);
	fprintf(out, "pid: %llu\n", (ull)q.pid);
	put_size(out, "size", q.size);
	fprintf(out, "readonly: %s\n", q.readonly ? "yes" : "no");
	fprintf(out, "clients: %llu\n", (ull)q.clients);
	put_line(out, image_key(&q), q.image);
	if (q.proxy) {
		put_line(out, "bitmap", q.bitmap);
		put_origin(out, &q);
		put_cached(out, &q);
		put_copy(out, &q);
	}
	if (q.snapshots)
		fprintf(out, "snapshots: %zu\n", json_array_size(q.snapshots));
	json_array_foreach(q.snapshots, i, s)
	{
		fprintf(out, "snapshot: ");
		put_snapshot(out, s);
	}
}

void show_snapshots(FILE *out, const json_t *answer)
{
	json_t *all = json_object_get(answer, "snapshots"), *s;
	size_t i;

	if (json_array_size(all) == 0)
		fprintf(out, "no snapshots\n");
	json_array_foreach(all, i, s) put_snapshot(out, s);
}

void show_snapshot(FILE *out, const json_t *snapshot)
{
	fprintf(out, "id: %llu\n", (ull)query_number(snapshot, "id"));
	put_line(out, "path", query_text(snapshot, "path"));
	put_line(out, "method", query_text(snapshot, "method"));
	put_line(out, "state", query_text(snapshot, "state"));
}

void show_verify(FILE *out, const json_t *answer)
{
	json_t *first = json_object_get(answer, "first_different");

	fprintf(out, "checked: %llu blocks\n", (ull)query_number(answer, "checked"));
	fprintf(out, "skipped: %llu blocks\n", (ull)query_number(answer, "skipped"));
	fprintf(out, "different: %llu blocks\n", (ull)query_number(answer, "different"));
	if (json_is_integer(first))
		fprintf(out, "first-different: %llu\n",
			(ull)query_number(answer, "first_different"));
}

void show_json(FILE *out, const json_t *value)
{
	json_t *copy = json_copy((json_t *)value);
	CLEANUP_FREE char *text = NULL;

	if (json_is_object(copy)) {
		json_object_del(copy, "v");
		json_object_del(copy, "ok");
	}
	text = json_dumps(copy, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	fprintf(out, "%s\n", text ? text : "");
	json_decref(copy);
}
