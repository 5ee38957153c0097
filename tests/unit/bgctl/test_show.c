/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From answers to text: every mode, what waits, odd and hostile answers, and JSON. */
#include "query.h"
#include "show.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PROXY                                                                                      \
	"'v':1,'ok':true,'version':'1.0.0','pid':77,'mode':'proxy','readonly':false,"              \
	"'size':1073741824,'clients':2,'image':'/c','bitmap':'/b','block':131072,'blocks':8192,"   \
	"'cached':8191,'written':3,"
#define CONNECTED                                                                                  \
	"'origin':{'uri':'nbd://h/x','state':'connected','error':'','since':61000,"                \
	"'connections':1,'bytes_read':1024,'reconnects':1,'waiting':0},"
#define LOST "'origin':{'uri':'nbd://h','state':'lost','error':'refused\\n','since':0},"
#define RUNNING                                                                                    \
	"'copy':{'state':'running','rate_limit':1048576,'rate':2097152,'seconds_left':61,"         \
	"'error':''}"

/* JSON with ' for ". */
static json_t *load(const char *text)
{
	char copy[2048];
	json_t *value;

	strcpy(copy, text);
	for (char *p = copy; (p = strchr(p, '\''));)
		*p = '"';
	value = json_loads(copy, 0, NULL);
	assert_non_null(value);
	return value;
}

static void check_shown(void (*show)(FILE *, const json_t *), const char *text, const char *wanted)
{
	json_t *answer = load(text);
	CLEANUP_FREE char *shown = NULL;
	size_t len;
	FILE *out = open_memstream(&shown, &len);

	show(out, answer);
	fclose(out);
	assert_string_equal(shown, wanted);
	json_decref(answer);
}

static void test_target(void **state)
{
	(void)state;
	check_shown(show_query,
		"{'ok':true,'version':'1.0.0','pid':7,'mode':'target','readonly':true,"
		"'size':512,'clients':0,'image':'/i'}",
		"mode: target\nversion: 1.0.0\npid: 7\nsize: 512 B (512 bytes)\nreadonly: yes\n"
		"clients: 0\nimage: /i\n");
	check_shown(show_query, "{'mode':'cow-target','image':'/i','size':0}",
		"mode: cow-target\npid: 0\nsize: 0 B (0 bytes)\nreadonly: no\nclients: 0\n"
		"base: /i\n");
}

static void test_proxy(void **state)
{
	(void)state;
	check_shown(show_query,
		"{" PROXY CONNECTED RUNNING
		",'snapshots':[{'id':9,'path':'/s 1','state':'copying','blocks':10,'saved':4,"
		"'method':'copy','error':'','clients':1},"
		"{'id':8,'path':'/s','state':'failed','blocks':10,'saved':4,"
		"'method':'copy','error':'no\\u001bspace','clients':0}]}",
		"mode: proxy\nversion: 1.0.0\npid: 77\nsize: 1.0 GiB (1073741824 bytes)\n"
		"readonly: no\nclients: 2\ncache: /c\nbitmap: /b\norigin: nbd://h/x\n"
		"origin-state: connected for 1 min 01 s\norigin-read: 1.0 KiB (1024 bytes)\n"
		"origin-reconnects: 1\nblock-size: 128.0 KiB (131072 bytes)\n"
		"cached: 8191 of 8192 blocks (99.9 %)\nwritten: 3 blocks\n"
		"copy: running, 2.0 MiB/s, 1 min 01 s left\ncopy-limit: 1.0 MiB/s\nsnapshots: 2\n"
		"snapshot: 9 copying /s 1 (copy, 4 of 10 blocks, clients: 1)\n"
		"snapshot: 8 failed /s (copy, clients: 0, no\\x1bspace)\n");
}

static void test_waiting(void **state)
{
	static const struct {
		const char *answer, *text;
	} rows[] = {
		{"{" PROXY LOST "'copy':{'state':'waiting'}}",
			"waiting: origin lost: refused\\x0a"},
		{"{" PROXY CONNECTED "'copy':{'state':'waiting'}}", "waiting: clients are busy"},
		{"{" PROXY CONNECTED "'copy':{'state':'waiting','error':'e'}}", "waiting: e"},
		{"{" PROXY LOST "'copy':{'state':'paused'}}", "paused"},
		{"{" PROXY LOST "'copy':{'state':'running'}}", ""},
		{"{}", ""},
	};
	char text[QUERY_WAITING_MAX];
	struct query q;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *answer = load(rows[i].answer);

		query_read(answer, &q);
		query_waiting(&q, text);
		assert_string_equal(text, rows[i].text);
		json_decref(answer);
	}
}

static void test_done(void **state)
{
	static const struct {
		const char *answer;
		bool done, copying;
	} rows[] = {
		{"{'mode':'target'}", true, false},
		{"{'mode':'cow-target'}", false, false},
		{"{}", false, false},
		{"{'mode':'proxy','copy':{'state':'done'},'blocks':3,'cached':2}", true, false},
		{"{'mode':'proxy','copy':{'state':'none'},'blocks':3,'cached':3}", true, false},
		{"{'mode':'proxy','copy':{'state':'none'},'blocks':3,'cached':2}", false, false},
		{"{'mode':'proxy','copy':{'state':'running'},'blocks':3,'cached':3}", false, true},
		{"{'mode':'proxy','copy':{'state':'waiting'}}", false, true},
		{"{'mode':'proxy','copy':{'state':'paused'}}", false, true},
	};
	struct query q;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *answer = load(rows[i].answer);

		query_read(answer, &q);
		assert_int_equal(query_done(&q), rows[i].done);
		assert_int_equal(query_copying(&q), rows[i].copying);
		json_decref(answer);
	}
}

/* Members of other types, negative numbers, numbers that do not fit each other. */
static void test_odd_answers(void **state)
{
	json_t *answer = load("{'mode':1,'size':-5,'blocks':'x','origin':[],'copy':7,"
			      "'snapshots':{'id':1}}");
	struct query q;

	(void)state;
	query_read(answer, &q);
	assert_string_equal(q.mode, "");
	assert_string_equal(q.copy.state, "");
	assert_int_equal(q.size, 0);
	assert_int_equal(q.copy.seconds_left, -1);
	assert_null(query_snapshot(&q, 1));
	json_decref(answer);
	q = (struct query){.size = 1000, .block = 300, .blocks = 4, .cached = 3};
	assert_int_equal(query_cached_bytes(&q), 900);
	q.cached = 4;
	assert_int_equal(query_cached_bytes(&q), 1000);
	q = (struct query){
		.size = 1000, .block = INT64_MAX, .blocks = INT64_MAX, .cached = INT64_MAX - 1};
	assert_int_equal(query_cached_bytes(&q), 1000);
}

static void test_snapshots(void **state)
{
	(void)state;
	check_shown(show_snapshots, "{'mode':'target'}", "no snapshots\n");
	check_shown(show_snapshots, "{'snapshots':[]}", "no snapshots\n");
	check_shown(show_snapshots,
		"{'snapshots':[{'id':9,'path':'/s','state':'complete','method':'reflink',"
		"'clients':2}]}",
		"9 complete /s (reflink, clients: 2)\n");
	check_shown(show_snapshot, "{'ok':true,'id':9,'path':'/s','method':'copy'}",
		"id: 9\npath: /s\nmethod: copy\n");
}

static void test_verify(void **state)
{
	(void)state;
	check_shown(show_verify, "{'checked':10,'skipped':2,'different':0,'first_different':null}",
		"checked: 10 blocks\nskipped: 2 blocks\ndifferent: 0 blocks\n");
	check_shown(show_verify, "{'checked':10,'skipped':2,'different':1,'first_different':0}",
		"checked: 10 blocks\nskipped: 2 blocks\ndifferent: 1 blocks\nfirst-different: 0\n");
}

/* The terminal gets no control character, and the caller's answer stays as it was. */
static void test_json(void **state)
{
	json_t *answer = load("{'ok':true,'v':1,'x':'\\u009b\\u001b'}");

	(void)state;
	check_shown(show_json, "{'ok':true,'v':1,'x':'\\u009b\\u001b'}",
		"{\n  \"x\": \"\\u009B\\u001B\"\n}\n");
	check_shown(show_json, "[]", "[]\n");
	show_json(stdout, answer);
	assert_int_equal(json_object_size(answer), 3);
	json_decref(answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_odd_answers),
		cmocka_unit_test(test_snapshots),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
