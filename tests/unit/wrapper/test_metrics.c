/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page for Prometheus, of figures written down here: read by a parser that takes nothing but
 * what the format allows, and looked up sample by sample.
 */
#include "metrics.h"

#include "util.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The parser: one family after another, HELP, TYPE, samples, none twice. */

struct reader {
	char family[128], type[16];
	json_t *families, *samples; /* sets */
	unsigned count;
};

static size_t name_len(const char *p)
{
	size_t n = 0;

	assert_true(isalpha((unsigned char)*p) || *p == '_');
	while (isalnum((unsigned char)p[n]) || p[n] == '_')
		n++;
	return n;
}

static void add_once(json_t *set, const char *key)
{
	assert_null(json_object_get(set, key));
	json_object_set_new(set, key, json_true());
}

static void read_comment(struct reader *r, const char *line)
{
	char name[128], type[16];

	if (sscanf(line, "# HELP %127s ", name) == 1) {
		assert_true(strlen(line) > strlen("# HELP  ") + strlen(name));
		add_once(r->families, name);
		snprintf(r->family, sizeof(r->family), "%s", name);
		*r->type = 0;
		return;
	}
	assert_int_equal(sscanf(line, "# TYPE %127s %15s", name, type), 2);
	assert_string_equal(name, r->family);
	assert_string_equal(r->type, "");
	assert_true(
		!strcmp(type, "counter") || !strcmp(type, "gauge") || !strcmp(type, "histogram"));
	strcpy(r->type, type);
	assert_int_equal(!strcmp(type, "counter"),
		strlen(name) > 6 && !strcmp(name + strlen(name) - 6, "_total"));
}

/* Behind a label's value, which begins at P behind its quote. */
static const char *skip_value(const char *p)
{
	for (; *p != '"'; p++) {
		assert_int_not_equal(*p, 0);
		if (*p == '\\') {
			p++;
			assert_non_null(strchr("\\\"n", *p));
		}
	}
	return p + 1;
}

static const char *skip_labels(const char *p)
{
	do {
		p++;
		p += name_len(p);
		assert_memory_equal(p, "=\"", 2);
		p = skip_value(p + 2);
	} while (*p == ',');
	assert_int_equal(*p, '}');
	return p + 1;
}

static void check_family(const struct reader *r, const char *name, size_t len)
{
	static const char *const tails[] = {"_bucket", "_sum", "_count"};
	size_t family = strlen(r->family);
	bool is_known = false;

	assert_true(len >= family && memcmp(name, r->family, family) == 0);
	assert_true(*r->type);
	for (size_t i = 0; i < ARRAY_LEN(tails); i++)
		is_known = is_known ||
			(len - family == strlen(tails[i]) &&
				!memcmp(name + family, tails[i], len - family));
	assert_int_equal(is_known, strcmp(r->type, "histogram") == 0);
	assert_true(is_known || len == family);
}

static void read_sample(struct reader *r, const char *line)
{
	size_t len = name_len(line);
	const char *p = line + len;
	char key[1024], *end;

	check_family(r, line, len);
	if (*p == '{')
		p = skip_labels(p);
	assert_int_equal(*p, ' ');
	snprintf(key, sizeof(key), "%.*s", (int)(p - line), line);
	add_once(r->samples, key);
	assert_true(isdigit((unsigned char)p[1]));
	assert_true(strtod(p + 1, &end) >= 0);
	assert_int_equal(*end, 0);
	r->count++;
}

/* Number of samples. */
static unsigned read_page(const char *text)
{
	struct reader r = {.families = json_object(), .samples = json_object()};
	char *copy = strdup(text), *save = NULL;

	assert_true(*text && text[strlen(text) - 1] == '\n');
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (*line == '#')
			read_comment(&r, line);
		else
			read_sample(&r, line);
	}
	free(copy);
	json_decref(r.families);
	json_decref(r.samples);
	return r.count;
}

static json_t *figures_of(const char *servers)
{
	json_t *figures = json_pack("{s:s, s:i, s:i, s:i, s:i, s:{s:i}, s:[{s:s, s:i, s:f}]}",
		"version", "1.2", "pid", 12, "began", 1000, "exports", 3, "clients", 5, "snapshots",
		"a", 2, "processes", "process", "master", "rss", 4096, "cpu", 1.5);

	json_object_set_new(figures, "servers", json_loads(servers, 0, NULL));
	assert_non_null(json_object_get(figures, "servers"));
	return figures;
}

static char *page_of(const char *servers)
{
	json_t *figures = figures_of(servers);
	char *text = metrics_text(figures);

	assert_non_null(text);
	json_decref(figures);
	return text;
}

static void assert_line(const char *text, const char *line)
{
	for (const char *at = text; (at = strstr(at, line)); at++) {
		if ((at == text || at[-1] == '\n') && at[strlen(line)] == '\n')
			return;
	}
	fail_msg("no line %s in\n%s", line, text);
}

#define COUNTS(n)                                                                                  \
	"\"stats\": {\"since\": 77, \"total\": {\"requests\": {\"READ\": " #n                      \
	", \"WRITE\": 1}, \"bytes_read\": 4096, \"bytes_written\": 9, \"errors\": 2, "             \
	"\"errors_by\": {\"EIO\": 2}, \"in_flight\": 3, \"histogram\": {\"read\": [[1, 2], "       \
	"[16, 4], [18, 8], [67108864, 1]], \"write\": [], \"other\": []}}}"

static void test_wrapper_alone(void **state)
{
	char *text = page_of("[]");

	(void)state;
	read_page(text);
	assert_line(text, "xnbd_up 1");
	assert_line(text, "xnbd_build_info{version=\"1.2\"} 1");
	assert_line(text, "xnbd_start_time_seconds 1000");
	assert_line(text, "xnbd_exports 3");
	assert_line(text, "xnbd_clients 5");
	assert_line(text, "xnbd_servers 0");
	assert_line(text, "xnbd_snapshots{export=\"a\"} 2");
	assert_line(text, "xnbd_cpu_seconds_total{process=\"master\"} 1.50");
	free(text);
}

static void test_counts(void **state)
{
	char *text = page_of("[{\"export\": \"a\", \"client_count\": 2, " COUNTS(7) "}]");

	(void)state;
	read_page(text);
	assert_line(text, "xnbd_server_up{export=\"a\"} 1");
	assert_line(text, "xnbd_export_clients{export=\"a\"} 2");
	assert_line(text, "xnbd_requests_total{export=\"a\",type=\"READ\"} 7");
	assert_line(text, "xnbd_requests_total{export=\"a\",type=\"WRITE\"} 1");
	assert_line(text, "xnbd_read_bytes_total{export=\"a\"} 4096");
	assert_line(text, "xnbd_written_bytes_total{export=\"a\"} 9");
	assert_line(text, "xnbd_errors_total{export=\"a\",error=\"EIO\"} 2");
	assert_line(text, "xnbd_in_flight{export=\"a\"} 3");
	free(text);
}

#define TIME "xnbd_request_duration_seconds"

/* What took 16 us at most is in the first bucket, what has no end in the last. */
static void test_times(void **state)
{
	char *text = page_of("[{\"export\": \"a\", " COUNTS(7) "}]");

	(void)state;
	assert_line(text, TIME "_bucket{export=\"a\",kind=\"read\",le=\"0.000016\"} 6");
	assert_line(text, TIME "_bucket{export=\"a\",kind=\"read\",le=\"0.000032\"} 14");
	assert_line(text, TIME "_bucket{export=\"a\",kind=\"read\",le=\"33.554432\"} 14");
	assert_line(text, TIME "_bucket{export=\"a\",kind=\"read\",le=\"+Inf\"} 15");
	assert_line(text, TIME "_count{export=\"a\",kind=\"read\"} 15");
	/* 2 * 0.5 + 4 * 15.5 + 8 * 17 + 65011712 us */
	assert_line(text, TIME "_sum{export=\"a\",kind=\"read\"} 65.011911");
	assert_line(text, TIME "_count{export=\"a\",kind=\"write\"} 0");
	free(text);
}

static void test_names(void **state)
{
	char *text = page_of("[{\"export\": \"a\\\\\\\"\\n{b}\\u00e4\", \"client_count\": 1}]");

	(void)state;
	read_page(text);
	assert_line(text, "xnbd_export_clients{export=\"a\\\\\\\"\\n{b}\xc3\xa4\"} 1");
	assert_line(text, "xnbd_server_up{export=\"a\\\\\\\"\\n{b}\xc3\xa4\"} 0");
	free(text);
}

/* One that ends beside its successor, in either order. */
static void test_two_servers(void **state)
{
	static const char old[] =
		"{\"export\": \"a\", \"state\": \"stopping\", \"client_count\": 9}",
			  new[] = "{\"export\": \"a\", \"client_count\": 1, " COUNTS(4) "}";

	(void)state;
	for (int i = 0; i < 2; i++) {
		char servers[1024], *text;

		snprintf(servers, sizeof(servers), "[%s, %s]", i ? old : new, i ? new : old);
		text = page_of(servers);
		read_page(text);
		assert_line(text, "xnbd_export_clients{export=\"a\"} 1");
		assert_line(text, "xnbd_servers 1");
		free(text);
	}
}

static void test_proxy(void **state)
{
	char *text = page_of("[{\"export\": \"p\", \"query\": {\"blocks\": 10, \"cached\": 4, "
			     "\"origin\": {\"state\": \"lost\", \"reconnects\": 3}}}]");

	(void)state;
	read_page(text);
	assert_line(text, "xnbd_proxy_blocks{export=\"p\"} 10");
	assert_line(text, "xnbd_proxy_cached_blocks{export=\"p\"} 4");
	assert_line(text, "xnbd_origin_state{export=\"p\",state=\"lost\"} 1");
	assert_line(text, "xnbd_origin_state{export=\"p\",state=\"connected\"} 0");
	assert_line(text, "xnbd_origin_reconnects_total{export=\"p\"} 3");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrapper_alone),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_two_servers),
		cmocka_unit_test(test_proxy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
