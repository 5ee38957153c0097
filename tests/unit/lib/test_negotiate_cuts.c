/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whatever a client sends: cut in any way the same bytes give the same replies, verdict and
 * features; every reply is well-formed; memory stays bounded. Thousands of random clients; the
 * seed is TEST_SEED (see rnd.h).
 */
#include "garble.h"
#include "render.h"
#include "script.h"
#include "session.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 2500, IN_MAX = 1024 * 1024 };

static const struct session_world worlds[] = {
	{0}, {.shutting_down = true}, {.no_default = true}, {.nothing = true}, {.many = 20}};

static void explain(unsigned long round, int cut, const char *what)
{
	fail_msg("TEST_SEED=%llu, session %lu, cut %d: %s", (unsigned long long)rnd_seed(), round,
		cut, what);
}

static void check_session(const struct session_world *world, const struct buf *in,
	unsigned long round, struct rnd *rnd)
{
	struct session whole, other;
	struct buf text;

	session_run(&whole, world, buf_bytes(in), buf_len(in), SESSION_WHOLE, NULL);
	buf_init(&text, SIZE_MAX / 4);
	if (!render_replies(buf_bytes(&whole.out), buf_len(&whole.out), &text))
		explain(round, 0, (const char *)buf_bytes(&text));
	buf_done(&text);
	for (int cut = 1; cut < SESSION_CUTS; cut++) {
		session_run(&other, world, buf_bytes(in), buf_len(in), cut, rnd);
		if (!session_equal(&whole, &other))
			explain(round, cut, "another result than in one piece");
		if (other.most_memory > NEG_PAYLOAD_MAX)
			explain(round, cut, "more memory than the longest option");
		session_done(&other);
	}
	session_done(&whole);
}

static void run_rounds(enum garble_kind kind)
{
	for (unsigned long round = 0; round < ROUNDS; round++) {
		struct rnd rnd;
		struct buf in;

		rnd_init(&rnd, round * GARBLE_KINDS + kind);
		buf_init(&in, IN_MAX);
		garble_session(&rnd, kind, &in);
		check_session(&worlds[rnd_below(&rnd, ARRAY_LEN(worlds))], &in, round, &rnd);
		buf_done(&in);
	}
}

static void test_valid(void **state)
{
	(void)state;
	run_rounds(GARBLE_VALID);
}

static void test_half_valid(void **state)
{
	(void)state;
	run_rounds(GARBLE_HALF);
}

static void test_noise(void **state)
{
	(void)state;
	run_rounds(GARBLE_NOISE);
}

/* Rule 11: 4 GiB of one option pass through a few bytes of memory. */
static void test_huge_option_needs_no_memory(void **state)
{
	static uint8_t zeros[1024 * 1024];
	static const struct session_world world;
	struct neg_env env = session_env(&world);
	struct buf in, out;
	struct neg n;

	(void)state;
	neg_init(&n);
	buf_init(&in, IN_MAX);
	buf_init(&out, 4096);
	script_bytes("f3", &in);
	script_header(&in, 77, UINT32_MAX);
	assert_int_equal(neg_feed(&n, &env, buf_bytes(&in), buf_len(&in), &out), buf_len(&in));
	assert_int_equal(neg_want(&n), UINT32_MAX);
	for (uint64_t left = UINT32_MAX; left > 0;) {
		size_t len = MIN_OF(left, (uint64_t)sizeof(zeros));

		assert_int_equal(buf_len(&out), 0);
		assert_int_equal(neg_feed(&n, &env, zeros, len, &out), len);
		left -= len;
	}
	assert_int_equal(buf_len(&out), 20 + strlen("unknown option"));
	assert_true(n.in.room <= 256);
	buf_done(&in);
	buf_done(&out);
	neg_done(&n);
}

/* A session has at most NEG_OPTIONS_MAX options, and an end when the replies pile up. */
static void test_bounds_of_a_session(void **state)
{
	static const struct session_world many = {.many = 300};
	struct neg_env env = session_env(&many);
	struct session s;
	struct buf in, out;
	struct neg n;

	(void)state;
	buf_init(&in, IN_MAX);
	script_bytes("f3", &in);
	for (int i = 0; i < NEG_OPTIONS_MAX + 1; i++)
		script_bytes("sr", &in);
	session_run(&s, &many, buf_bytes(&in), buf_len(&in), SESSION_WHOLE, NULL);
	assert_int_equal(s.verdict, NEG_CLOSE);
	assert_false(s.orderly);
	assert_int_equal(buf_len(&s.out), 20 * NEG_OPTIONS_MAX);
	session_done(&s);

	buf_clear(&in);
	script_bytes("f3 list list", &in);
	neg_init(&n);
	buf_init(&out, 4096);
	neg_feed(&n, &env, buf_bytes(&in), buf_len(&in), &out);
	assert_int_equal(n.verdict, NEG_CLOSE);
	assert_string_equal(n.reason, "replies beyond the limit");
	buf_done(&in);
	buf_done(&out);
	neg_done(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_half_valid),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_huge_option_needs_no_memory),
		cmocka_unit_test(test_bounds_of_a_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
