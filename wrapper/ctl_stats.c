/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two tables: requests by type, and bytes and times. A row is an export, or a client of the only
 * one that was asked for. Counts of a server that was started anew, or of a client that has come,
 * begin at 0.
 */
#include "ctl_stats.h"

#include "table.h"
#include "util.h"

#include <string.h>

/* What a row is about. */
struct subject {
	char name[192];
	json_t *now, *before; /* counts; NULL: none */
	long long clients;    /* -1: is one */
};

struct view {
	double seconds; /* 0 = totals */
	struct table requests, times;
};

static const char *text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static long long number_of(json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static json_t *server_of(json_t *answer, json_t *like)
{
	json_t *server;
	size_t i;

	json_array_foreach(json_object_get(answer, "servers"), i, server)
	{
		if (number_of(server, "pid") == number_of(like, "pid"))
			return server;
	}
	return NULL;
}

static json_t *client_of(json_t *stats, json_t *like)
{
	json_t *c;
	size_t i;

	json_array_foreach(json_object_get(stats, "clients"), i, c)
	{
		if (number_of(c, "id") == number_of(like, "id"))
			return c;
	}
	return NULL;
}

/* Cells. */

static long long grown(json_t *now, json_t *before, const char *key)
{
	return MAX_OF(number_of(now, key) - number_of(before, key), 0LL);
}

static void add_count(
	const struct view *v, struct table *t, json_t *now, json_t *before, const char *key)
{
	if (v->seconds > 0)
		table_add_rate(t, (double)grown(now, before, key) / v->seconds);
	else
		table_add_number(t, (uint64_t)number_of(now, key));
}

static void add_bytes(
	const struct view *v, struct table *t, const struct subject *s, const char *key)
{
	if (v->seconds > 0)
		table_add_bytes(
			t, (uint64_t)((double)grown(s->now, s->before, key) / v->seconds + 0.5));
	else
		table_add_bytes(t, (uint64_t)number_of(s->now, key));
}

/* How many of the step that ends at UPPER; STEPS as a server tells them, rising. *AT moves on. */
static long long step_count(json_t *steps, size_t *at, long long upper)
{
	json_t *step;

	for (; (step = json_array_get(steps, *at)); ++*at) {
		long long end = (long long)json_integer_value(json_array_get(step, 0));

		if (end >= upper)
			return end == upper ? (long long)json_integer_value(json_array_get(step, 1))
					    : 0;
	}
	return 0;
}

/* Of what was answered between two histograms: within how many us SHARE of 1000 were; -1: of none.
 */
static long long quantile(json_t *now, json_t *before, long long share)
{
	long long counts[1024], ends[1024], sum = 0, part = 0;
	size_t i, n = 0, at = 0;
	json_t *step;

	json_array_foreach(now, i, step)
	{
		if (n == ARRAY_LEN(ends))
			break;
		ends[n] = (long long)json_integer_value(json_array_get(step, 0));
		counts[n] = (long long)json_integer_value(json_array_get(step, 1)) -
			step_count(before, &at, ends[n]);
		sum += counts[n++];
	}
	for (i = 0; i < n && sum > 0; i++) {
		part += counts[i];
		if (part * 1000 >= sum * share)
			return ends[i];
	}
	return -1;
}

/* Since the start, or, of an export that is watched, since the last time. */
static void add_times(struct view *v, const struct subject *s, const char *kind)
{
	static const char *const keys[] = {"p50", "p99", "p999"};
	static const long long shares[] = {500, 990, 999};
	json_t *latency = json_object_get(json_object_get(s->now, "latency"), kind);
	json_t *now = json_object_get(json_object_get(s->now, "histogram"), kind);
	json_t *before = json_object_get(json_object_get(s->before, "histogram"), kind);
	struct table *t = &v->times;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		long long us = number_of(latency, "count") > 0 ? number_of(latency, keys[i]) : -1;

		if (v->seconds > 0 && now)
			us = quantile(now, before, shares[i]);
		if (us < 0)
			table_add(t, "-");
		else
			table_add_time(t, (uint64_t)us);
	}
}

/* Rows. */

static const char *const types[] = {
	"READ", "WRITE", "FLUSH", "TRIM", "CACHE", "WRITE_ZEROES", "BLOCK_STATUS"};

static void add_requests(struct view *v, const struct subject *s)
{
	json_t *now = json_object_get(s->now, "requests");
	json_t *before = json_object_get(s->before, "requests");

	table_add(&v->requests, s->name);
	if (s->clients >= 0)
		table_add_number(&v->requests, (uint64_t)s->clients);
	else
		table_add(&v->requests, "");
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		add_count(v, &v->requests, now, before, types[i]);
	table_add_number(&v->requests, (uint64_t)number_of(s->now, "errors"));
}

static void add_row(struct view *v, const struct subject *s)
{
	add_requests(v, s);
	table_add(&v->times, s->name);
	add_bytes(v, &v->times, s, "bytes_read");
	add_bytes(v, &v->times, s, "bytes_written");
	table_add_number(&v->times, (uint64_t)number_of(s->now, "in_flight"));
	add_times(v, s, "read");
	add_times(v, s, "write");
}

/* What is there instead of counts. */
static void add_state(struct view *v, const char *name, json_t *server)
{
	table_add(&v->requests, name);
	table_add_number(&v->requests, (uint64_t)number_of(server, "client_count"));
	table_add(&v->requests, text_of(server, "state"));
	for (size_t i = 1; i < ARRAY_LEN(types) + 1; i++)
		table_add(&v->requests, "");
}

static void add_clients(struct view *v, json_t *stats, json_t *stats_before)
{
	json_t *c;
	size_t i;

	json_array_foreach(json_object_get(stats, "clients"), i, c)
	{
		struct subject s = {.now = c, .before = client_of(stats_before, c), .clients = -1};

		snprintf(s.name, sizeof(s.name), "%lld %s", number_of(c, "id"), text_of(c, "peer"));
		add_row(v, &s);
	}
}

static void add_server(struct view *v, json_t *server, json_t *answer_before, bool is_only)
{
	json_t *stats = json_object_get(server, "stats");
	json_t *before = json_object_get(server_of(answer_before, server), "stats");
	struct subject s = {.now = json_object_get(stats, "total"),
		.before = json_object_get(before, "total"),
		.clients = number_of(server, "client_count")};
	const char *name = text_of(server, "export");

	snprintf(s.name, sizeof(s.name), "%.*s%s", 120, name, strlen(name) > 120 ? "..." : "");
	if (!stats) {
		add_state(v, s.name, server);
		return;
	}
	add_row(v, &s);
	if (is_only)
		add_clients(v, stats, before);
}

/* All of it. */

#define NUMBER(title)                                                                              \
	{                                                                                          \
		title, TABLE_RIGHT                                                                 \
	}

static void begin(struct view *v)
{
	static const struct table_column requests[] = {{"EXPORT", TABLE_LEFT}, NUMBER("CLIENTS"),
		NUMBER("READ"), NUMBER("WRITE"), NUMBER("FLUSH"), NUMBER("TRIM"), NUMBER("CACHE"),
		NUMBER("ZERO"), NUMBER("STATUS"), NUMBER("ERRORS")};
	static const struct table_column times[] = {{"EXPORT", TABLE_LEFT}, NUMBER("BYTES READ"),
		NUMBER("WRITTEN"), NUMBER("IN FLIGHT"), NUMBER("READ 50%"), NUMBER("99%"),
		NUMBER("99.9%"), NUMBER("WRITE 50%"), NUMBER("99%"), NUMBER("99.9%")};

	table_init(&v->requests, requests, ARRAY_LEN(requests));
	table_init(&v->times, times, ARRAY_LEN(times));
}

void ctl_stats_print(json_t *answer, json_t *before, double seconds, const char *name, FILE *out)
{
	struct view v = {.seconds = before ? seconds : 0};
	json_t *server;
	size_t i;

	if (json_array_size(json_object_get(answer, "servers")) == 0) {
		fprintf(out, "no server runs\n");
		return;
	}
	begin(&v);
	json_array_foreach(json_object_get(answer, "servers"), i, server)
		add_server(&v, server, before, name != NULL);
	table_print(&v.requests, out);
	if (v.times.used > 0) {
		putc('\n', out);
		table_print(&v.times, out);
	}
	table_done(&v.requests);
	table_done(&v.times);
}
