/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A row of a table for each metric that has one sample for each export; those with more samples
 * have a function. All samples of a metric stand together, so every metric walks over all servers.
 *
 * A server's steps of time become the buckets here that are powers of two: they are ends of steps,
 * so nothing is guessed but the sum, for which each step counts with its middle.
 */
#include "metrics.h"

#include "util.h"

#include <stdio.h>
#include <string.h>

enum { FIRST_POWER = 4, LAST_POWER = 25 /* of two, us: 16 us to 33 s */ };

struct page {
	FILE *out;
	json_t *figures;
	json_t *servers; /* name of an export to its server */
};

static void head(const struct page *p, const char *name, const char *type, const char *help)
{
	fprintf(p->out, "# HELP xnbd_%s %s\n# TYPE xnbd_%s %s\n", name, help, name, type);
}

static void put_value(const struct page *p, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", p->out);
		else if (*value == '"' || *value == '\\')
			fprintf(p->out, "\\%c", *value);
		else
			putc(*value, p->out);
	}
}

/* KEY = NULL: one label only. */
static void labels(const struct page *p, const char *name, const char *export, const char *key,
	const char *value)
{
	fprintf(p->out, "xnbd_%s{export=\"", name);
	put_value(p, export);
	if (key) {
		fprintf(p->out, "\",%s=\"", key);
		put_value(p, value);
	}
	fputs("\"} ", p->out);
}

static void put_number(const struct page *p, json_t *n)
{
	if (json_is_real(n))
		fprintf(p->out, "%.2f\n", json_real_value(n));
	else
		fprintf(p->out, "%lld\n", (long long)json_integer_value(n));
}

/* The number at "a.b.c" in SERVER; NULL: there is none. */
static json_t *find(json_t *server, const char *path)
{
	while (server && *path) {
		size_t len = strcspn(path, ".");
		char key[32];

		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		server = json_object_get(server, key);
		path += len + (path[len] == '.');
	}
	return server;
}

/* One sample an export. */

static const struct single {
	const char *name, *type, *path, *help;
} singles[] = {
	{"export_clients", "gauge", "client_count", "Clients after the handshake."},
	{"read_bytes_total", "counter", "stats.total.bytes_read", "Data sent to clients."},
	{"written_bytes_total", "counter", "stats.total.bytes_written", "Data taken from clients."},
	{"in_flight", "gauge", "stats.total.in_flight", "Requests not answered yet."},
	{"server_start_time_seconds", "gauge", "stats.since",
		"When the server was started, in seconds of the epoch; its counts begin then."},
	{"server_resident_memory_bytes", "gauge", "rss", "Memory of the server."},
	{"server_cpu_seconds_total", "counter", "cpu", "Processor time of the server."},
	{"proxy_blocks", "gauge", "query.blocks", "Blocks of a proxied disk."},
	{"proxy_cached_blocks", "gauge", "query.cached", "Those of them that are in the cache."},
	{"proxy_written_blocks", "gauge", "query.written", "Those that clients have written."},
	{"origin_read_bytes_total", "counter", "query.origin.bytes_read",
		"Data fetched from the origin of a proxy."},
	{"origin_reconnects_total", "counter", "query.origin.reconnects",
		"How often the origin was connected anew."},
	{"origin_waiting", "gauge", "query.origin.waiting",
		"Requests to the origin not answered yet."},
};

static void put_single(const struct page *p, const struct single *s)
{
	const char *name;
	json_t *server;

	head(p, s->name, s->type, s->help);
	json_object_foreach(p->servers, name, server)
	{
		json_t *n = find(server, s->path);

		if (!n)
			continue;
		labels(p, s->name, name, NULL, NULL);
		put_number(p, n);
	}
}

static void put_up(const struct page *p)
{
	const char *name;
	json_t *server;

	head(p, "server_up", "gauge", "1 if the export's server answers.");
	json_object_foreach(p->servers, name, server)
	{
		labels(p, "server_up", name, NULL, NULL);
		fprintf(p->out, "%d\n", json_object_get(server, "stats") != NULL);
	}
}

/* A sample for each key of an object. */
static void put_each(const struct page *p, const char *metric, const char *label, const char *path,
	const char *help)
{
	const char *name, *key;
	json_t *server, *n;

	head(p, metric, "counter", help);
	json_object_foreach(p->servers, name, server)
	{
		json_object_foreach(find(server, path), key, n)
		{
			labels(p, metric, name, label, key);
			put_number(p, n);
		}
	}
}

static void put_origins(const struct page *p)
{
	static const char *const states[] = {"connecting", "connected", "lost", "held"};
	const char *name;
	json_t *server;

	head(p, "origin_state", "gauge", "1 for the state the origin of a proxy is in.");
	json_object_foreach(p->servers, name, server)
	{
		const char *state = json_string_value(find(server, "query.origin.state"));

		for (size_t i = 0; state && i < ARRAY_LEN(states); i++) {
			labels(p, "origin_state", name, "state", states[i]);
			fprintf(p->out, "%d\n", strcmp(state, states[i]) == 0);
		}
	}
}

/* Times. */

/* The middle of the step that ends at UPPER us: see server/latency.h, eight steps a power. */
static double middle(uint64_t upper)
{
	uint64_t last = upper - 1, width = 1;

	while (last / width >= 16)
		width *= 2;
	return (double)upper - (double)width / 2;
}

struct times {
	uint64_t buckets[LAST_POWER + 2]; /* by power of two that is not below; the last: longer */
	double sum;                       /* s */
};

static void add_step(struct times *t, json_t *step)
{
	uint64_t upper = (uint64_t)json_integer_value(json_array_get(step, 0));
	uint64_t n = (uint64_t)json_integer_value(json_array_get(step, 1));
	unsigned power = FIRST_POWER;

	if (upper == 0)
		return;
	while (power <= LAST_POWER && (1ULL << power) < upper)
		power++;
	t->buckets[power] += n;
	t->sum += (double)n * middle(upper) / 1e6;
}

static void put_times(const struct page *p, const char *export, const char *kind, json_t *steps)
{
	static const char name[] = "request_duration_seconds";
	struct times t = {0};
	uint64_t sum = 0;
	json_t *step;
	size_t i;

	json_array_foreach(steps, i, step) add_step(&t, step);
	for (unsigned power = FIRST_POWER; power <= LAST_POWER + 1; power++) {
		char end[32] = "+Inf";

		sum += t.buckets[power];
		if (power <= LAST_POWER)
			snprintf(end, sizeof(end), "%.6f", (double)(1ULL << power) / 1e6);
		fprintf(p->out, "xnbd_%s_bucket{export=\"", name);
		put_value(p, export);
		fprintf(p->out, "\",kind=\"%s\",le=\"%s\"} %llu\n", kind, end,
			(unsigned long long)sum);
	}
	labels(p, "request_duration_seconds_sum", export, "kind", kind);
	fprintf(p->out, "%.6f\n", t.sum);
	labels(p, "request_duration_seconds_count", export, "kind", kind);
	fprintf(p->out, "%llu\n", (unsigned long long)sum);
}

static void put_histograms(const struct page *p)
{
	const char *name, *kind;
	json_t *server, *steps;

	head(p, "request_duration_seconds", "histogram",
		"Time from a request's last byte to its reply; the sum is good to a sixteenth.");
	json_object_foreach(p->servers, name, server)
	{
		json_object_foreach(find(server, "stats.total.histogram"), kind, steps)
			put_times(p, name, kind, steps);
	}
}

/* The wrapper. */

static void put_snapshots(const struct page *p)
{
	const char *name;
	json_t *n;

	head(p, "snapshots", "gauge", "Snapshots of an export that are exported.");
	json_object_foreach(json_object_get(p->figures, "snapshots"), name, n)
	{
		labels(p, "snapshots", name, NULL, NULL);
		put_number(p, n);
	}
}

static void put_process(const struct page *p, const char *metric, const char *type, const char *key,
	const char *help)
{
	json_t *one;
	size_t i;

	head(p, metric, type, help);
	json_array_foreach(json_object_get(p->figures, "processes"), i, one)
	{
		const char *name = json_string_value(json_object_get(one, "process"));

		if (!name || !json_object_get(one, key))
			continue;
		fprintf(p->out, "xnbd_%s{process=\"", metric);
		put_value(p, name);
		fputs("\"} ", p->out);
		put_number(p, json_object_get(one, key));
	}
}

static void put_own(const struct page *p, const char *metric, const char *key, const char *help)
{
	head(p, metric, "gauge", help);
	fprintf(p->out, "xnbd_%s ", metric);
	put_number(p, json_object_get(p->figures, key));
}

static void put_wrapper(const struct page *p)
{
	const char *version = json_string_value(json_object_get(p->figures, "version"));

	head(p, "up", "gauge", "1: the wrapper runs.");
	fputs("xnbd_up 1\n", p->out);
	head(p, "build_info", "gauge", "1, with the version of the wrapper.");
	fputs("xnbd_build_info{version=\"", p->out);
	put_value(p, version ? version : "");
	fputs("\"} 1\n", p->out);
	put_own(p, "start_time_seconds", "began",
		"When the wrapper was started, in seconds of the epoch.");
	put_own(p, "exports", "exports", "Exports, snapshots too.");
	put_own(p, "clients", "clients", "Clients after the handshake, of all exports.");
	put_process(p, "resident_memory_bytes", "gauge", "rss", "Memory of the wrapper.");
	put_process(p, "cpu_seconds_total", "counter", "cpu", "Processor time of the wrapper.");
	put_snapshots(p);
}

/* One server an export: no sample may stand there twice. */
static json_t *choose_servers(json_t *figures)
{
	json_t *chosen = json_object(), *server;
	size_t i;

	json_array_foreach(json_object_get(figures, "servers"), i, server)
	{
		const char *name = json_string_value(json_object_get(server, "export"));
		json_t *other = name ? json_object_get(chosen, name) : NULL;

		if (name && (!other || !json_object_get(other, "stats")))
			json_object_set(chosen, name, server);
	}
	return chosen;
}

static void put_all(const struct page *p)
{
	put_wrapper(p);
	head(p, "servers", "gauge", "Exports that have a server.");
	fprintf(p->out, "xnbd_servers %zu\n", json_object_size(p->servers));
	put_up(p);
	for (size_t i = 0; i < ARRAY_LEN(singles); i++)
		put_single(p, &singles[i]);
	put_each(p, "requests_total", "type", "stats.total.requests", "Requests by NBD command.");
	put_each(p, "errors_total", "error", "stats.total.errors_by", "Error replies by error.");
	put_origins(p);
	put_histograms(p);
}

char *metrics_text(json_t *figures)
{
	char *text = NULL;
	size_t len = 0;
	struct page p = {open_memstream(&text, &len), figures, choose_servers(figures)};
	bool failed = true;

	if (p.out) {
		put_all(&p);
		failed = ferror(p.out);
		failed = fclose(p.out) != 0 || failed;
	}
	json_decref(p.servers);
	if (failed) {
		free(text);
		return NULL;
	}
	return text;
}
