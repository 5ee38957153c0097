/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handshake as a whole: golden bytes, every option in every state, other worlds (no default
 * export, none at all, many, shutting down), and random sequences of options compared with a
 * model of what a server has to remember.
 */
#include "render.h"
#include "script.h"
#include "session.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MODEL_ROUNDS = 2000, MODEL_STEPS = 16, TEXT_MAX = 64 * 1024 };

/* Runs a script in one piece; the rendered replies and " [end]". */
static void run(const struct session_world *world, const char *script, char *text)
{
	struct session s;
	struct buf in, rendered;
	char end[128];

	buf_init(&in, SIZE_MAX / 4);
	buf_init(&rendered, SIZE_MAX / 4);
	script_bytes(script, &in);
	session_run(&s, world, buf_bytes(&in), buf_len(&in), SESSION_WHOLE, NULL);
	render_replies(buf_bytes(&s.out), buf_len(&s.out), &rendered);
	session_end_text(&s, buf_len(&in), end, sizeof(end));
	snprintf(text, TEXT_MAX, "%s [%s]", buf_bytes(&rendered), end);
	buf_done(&in);
	buf_done(&rendered);
	session_done(&s);
}

/* Rule 1 and 12: the bytes themselves, once. */
static void test_golden_bytes(void **state)
{
	static const uint8_t greeting[] = "NBDMAGICIHAVEOPT\0\3";
	static const uint8_t go[] = "\0\3\xe8\x89\x04\x55\x65\xa9\0\0\0\7\0\0\0\3\0\0\0\14"
				    "\0\0\0\0\1\0\0\0\2\0\15\x6d"
				    "\0\3\xe8\x89\x04\x55\x65\xa9\0\0\0\7\0\0\0\3\0\0\0\16"
				    "\0\3\0\0\0\1\0\0\20\0\4\0\0\0"
				    "\0\3\xe8\x89\x04\x55\x65\xa9\0\0\0\7\0\0\0\1\0\0\0\0";
	static const struct session_world world;
	struct session s;
	struct buf in, out;
	struct neg n;

	(void)state;
	neg_init(&n);
	buf_init(&out, 4096);
	neg_start(&n, &out);
	assert_int_equal(buf_len(&out), sizeof(greeting) - 1);
	assert_memory_equal(buf_bytes(&out), greeting, sizeof(greeting) - 1);
	assert_int_equal(neg_want(&n), 4);

	buf_init(&in, 4096);
	buf_put(&in, "\0\0\0\3IHAVEOPT\0\0\0\7\0\0\0\12\0\0\0\4disk\0\0", 30);
	session_run(&s, &world, buf_bytes(&in), buf_len(&in), SESSION_BYTES, NULL);
	assert_int_equal(s.verdict, NEG_GO);
	assert_int_equal(buf_len(&s.out), sizeof(go) - 1);
	assert_memory_equal(buf_bytes(&s.out), go, sizeof(go) - 1);
	session_done(&s);
	buf_done(&in);
	buf_done(&out);
	neg_done(&n);
}

static void test_golden_oldstyle(void **state)
{
	static const uint8_t head[] = "NBDMAGIC\0\0\x42\x02\x81\x86\x12\x53"
				      "\0\0\1\0\0\0\2\0\0\0\15\x6d";
	uint8_t all[NBD_OLDSTYLE_BYTES] = {0};
	struct buf out;

	(void)state;
	memcpy(all, head, sizeof(head) - 1);
	buf_init(&out, 4096);
	neg_oldstyle(session_facts(SESSION_ID_DISK), &out);
	assert_int_equal(buf_len(&out), sizeof(all));
	assert_memory_equal(buf_bytes(&out), all, sizeof(all));
	buf_done(&out);
}

/* Each option in each state; the prefix's own replies are left out of the answers. */
static const struct {
	const char *name, *prefix, *prefix_out;
	bool shutting_down;
} states[] = {
	{"fresh", "f3", "", false},
	{"structured", "f3 sr", "sr:ACK ", false},
	{"extended", "f3 ext", "ext:ACK ", false},
	{"not fixed", "f2", "", false},
	{"shutting down", "f3", "", true},
};

#define INFOS(o, flags) o ":EXPORT(1099511628288," flags ") " o ":BLOCK(1,4096,67108864) " o ":ACK"
#define CLOSED          " [CLOSE!]"
#define DOWN(o)         o ":SHUTDOWN [MORE]"

static const struct {
	const char *option;
	const char *answers[ARRAY_LEN(states)];
} matrix[] = {
	{"name:disk",
		{"name(1099511628288,d6d) [GO 1 simple]",
			"name(1099511628288,ded) [GO 1 structured]", CLOSED,
			"name(1099511628288,d6d) [GO 1 simple]", CLOSED}},
	{"name:nothing", {CLOSED, CLOSED, CLOSED, CLOSED, CLOSED}},
	{"abort",
		{"abort:ACK [CLOSE]", "abort:ACK [CLOSE]", "abort:ACK [CLOSE]", CLOSED,
			"abort:ACK [CLOSE]"}},
	{"list+1",
		{"list:INVALID [MORE]", "list:INVALID [MORE]", "list:INVALID [MORE]", CLOSED,
			DOWN("list")}},
	{"opt4",
		{"opt4:UNSUP [MORE]", "opt4:UNSUP [MORE]", "opt4:UNSUP [MORE]", CLOSED,
			DOWN("opt4")}},
	{"starttls",
		{"starttls:UNSUP [MORE]", "starttls:UNSUP [MORE]", "starttls:UNSUP [MORE]", CLOSED,
			DOWN("starttls")}},
	{"info:disk",
		{INFOS("info", "d6d") " [MORE]", INFOS("info", "ded") " [MORE]",
			INFOS("info", "1ded") " [MORE]", CLOSED, DOWN("info")}},
	{"go:disk",
		{INFOS("go", "d6d") " [GO 1 simple]", INFOS("go", "ded") " [GO 1 structured]",
			INFOS("go", "1ded") " [GO 1 structured,extended]", CLOSED, DOWN("go")}},
	{"go:gone",
		{"go:POLICY [MORE]", "go:POLICY [MORE]", "go:POLICY [MORE]", CLOSED, DOWN("go")}},
	{"sr", {"sr:ACK [MORE]", "sr:ACK [MORE]", "sr:EXT_HEADER_REQD [MORE]", CLOSED, DOWN("sr")}},
	{"lm:disk",
		{"lm:INVALID [MORE]", "lm:CONTEXT(0,base:allocation) lm:ACK [MORE]",
			"lm:CONTEXT(0,base:allocation) lm:ACK [MORE]", CLOSED, DOWN("lm")}},
	{"set:disk,base:allocation",
		{"set:INVALID [MORE]", "set:CONTEXT(1,base:allocation) set:ACK [MORE]",
			"set:CONTEXT(1,base:allocation) set:ACK [MORE]", CLOSED, DOWN("set")}},
	{"ext", {"ext:ACK [MORE]", "ext:ACK [MORE]", "ext:INVALID [MORE]", CLOSED, DOWN("ext")}},
	{"opt12",
		{"opt12:UNSUP [MORE]", "opt12:UNSUP [MORE]", "opt12:UNSUP [MORE]", CLOSED,
			DOWN("opt12")}},
};

static void check_cell(size_t row, size_t column)
{
	const struct session_world world = {.shutting_down = states[column].shutting_down};
	char script[128], text[TEXT_MAX], want[TEXT_MAX];
	const char *answer = matrix[row].answers[column], *before = states[column].prefix_out;
	int cut = *answer == ' ' && *before ? 1 : 0; /* no reply: no space before the bracket */

	snprintf(script, sizeof(script), "%s %s", states[column].prefix, matrix[row].option);
	snprintf(want, sizeof(want), "%s%s", before, answer + cut);
	run(&world, script, text);
	if (strcmp(text, want) != 0)
		fail_msg("%s, %s:\n got: %s\nwant: %s", matrix[row].option, states[column].name,
			text, want);
}

static void test_every_option_in_every_state(void **state)
{
	(void)state;
	for (size_t row = 0; row < ARRAY_LEN(matrix); row++) {
		for (size_t column = 0; column < ARRAY_LEN(states); column++)
			check_cell(row, column);
	}
}

static void test_no_default_export(void **state)
{
	static const struct session_world world = {.no_default = true};
	char text[TEXT_MAX];

	(void)state;
	run(&world, "f3 go: info: sr set:,base:allocation lm:", text);
	assert_string_equal(text, "go:UNKNOWN info:UNKNOWN sr:ACK set:UNKNOWN lm:UNKNOWN [MORE]");
	run(&world, "f3 name:", text);
	assert_string_equal(text, " [CLOSE!]");
}

/* Rule 16: none and 300. */
static void test_list_sizes(void **state)
{
	static const struct session_world none = {.nothing = true};
	static const struct session_world many = {.nothing = true, .many = 300};
	char text[TEXT_MAX];
	size_t servers = 0;

	(void)state;
	run(&none, "f3 list", text);
	assert_string_equal(text, "list:ACK [MORE]");
	run(&many, "f3 list", text);
	for (const char *p = text; (p = strstr(p, "SERVER(")); p++)
		servers++;
	assert_int_equal(servers, 300);
	assert_non_null(strstr(text, "list:SERVER(e0) list:SERVER(e1) "));
	assert_non_null(strstr(text, "list:SERVER(e299) list:ACK [MORE]"));
}

/* Shutting down: over-long options are still skipped, ABORT is still polite. */
static void test_shutting_down(void **state)
{
	static const struct session_world world = {.shutting_down = true};
	char text[TEXT_MAX];

	(void)state;
	run(&world, "f3 opt77+70000 list go:disk+3 abort", text);
	assert_string_equal(text, "opt77:UNSUP list:SHUTDOWN go:SHUTDOWN abort:ACK [CLOSE]");
}

/* The model: three facts decide every answer. */
struct model {
	bool sr, ext;
	char context; /* 0, 'd'isk or 'r'o */
};

static const char *model_flags(const struct model *m, bool ro)
{
	if (m->ext)
		return ro ? "1083" : "1ded";
	if (m->sr)
		return ro ? "83" : "ded";
	return ro ? "3" : "d6d";
}

static void model_infos(const struct model *m, const char *o, bool ro, char *out, size_t room)
{
	if (ro)
		snprintf(out, room, "%s:EXPORT(512,%s) %s:BLOCK(512,4096,1048576) %s:ACK", o,
			model_flags(m, ro), o, o);
	else
		snprintf(out, room, "%s:EXPORT(1099511628288,%s) %s:BLOCK(1,4096,67108864) %s:ACK",
			o, model_flags(m, ro), o, o);
}

static void model_set(struct model *m, char context, char *out, size_t room)
{
	m->context = m->sr ? context : 0;
	snprintf(out, room, "%s",
		!m->sr            ? "set:INVALID"
			: context ? "set:CONTEXT(1,base:allocation) set:ACK"
				  : "set:ACK");
}

static const char *const steps[] = {"sr", "ext", "set:disk,base:allocation",
	"set:ro,base:allocation", "set:disk,base:", "info:disk", "info:ro", "info:nothing"};

static void model_step(struct model *m, size_t step, char *out, size_t room)
{
	switch (step) {
	case 0:
		snprintf(out, room, "%s", m->ext ? "sr:EXT_HEADER_REQD" : "sr:ACK");
		m->sr = true;
		break;
	case 1:
		snprintf(out, room, "%s", m->ext ? "ext:INVALID" : "ext:ACK");
		m->sr = m->ext = true;
		break;
	case 2:
	case 3:
	case 4:
		model_set(m, "dr"[step - 2], out, room);
		break;
	case 5:
	case 6:
		model_infos(m, "info", step == 6, out, room);
		break;
	default:
		snprintf(out, room, "info:UNKNOWN");
	}
}

static void model_end(const struct model *m, bool ro, char *out, size_t room)
{
	char infos[256];

	model_infos(m, "go", ro, infos, sizeof(infos));
	snprintf(out, room, "%s [GO %d %s%s%s]", infos, ro ? 2 : 1, m->sr ? "structured" : "simple",
		m->ext ? ",extended" : "",
		m->context == (ro ? 'r' : 'd') ? ",base:allocation" : "");
}

static void check_model(uint64_t round)
{
	static const struct session_world world;
	char script[1024] = "f3", want[8192] = "", text[TEXT_MAX], one[512];
	struct model m = {0};
	struct rnd rnd;
	bool ro;

	rnd_init(&rnd, round);
	for (uint64_t left = rnd_below(&rnd, MODEL_STEPS); left > 0; left--) {
		size_t step = rnd_below(&rnd, ARRAY_LEN(steps));

		model_step(&m, step, one, sizeof(one));
		strcat(strcat(script, " "), steps[step]);
		strcat(strcat(want, one), " ");
	}
	ro = rnd_once_in(&rnd, 2);
	strcat(script, ro ? " go:ro" : " go:disk");
	model_end(&m, ro, one, sizeof(one));
	strcat(want, one);
	run(&world, script, text);
	if (strcmp(text, want) != 0)
		fail_msg("TEST_SEED=%llu: %s\n got: %s\nwant: %s", (unsigned long long)rnd_seed(),
			script, text, want);
}

static void test_sequences_against_a_model(void **state)
{
	(void)state;
	for (uint64_t round = 0; round < MODEL_ROUNDS; round++)
		check_model(round);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_bytes),
		cmocka_unit_test(test_golden_oldstyle),
		cmocka_unit_test(test_every_option_in_every_state),
		cmocka_unit_test(test_no_default_export),
		cmocka_unit_test(test_list_sizes),
		cmocka_unit_test(test_shutting_down),
		cmocka_unit_test(test_sequences_against_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
