/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is done for a peer, step by step as text (planned.h), in good times and bad: who is asked
 * what over which way, when it is sent again, and what follows from each answer and refusal.
 */
#include "planned.h"
#include "rnd.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MINUTE = PLANNED_MINUTE };

static struct planned t;

#define EXPECT(expected)                                                                           \
	do {                                                                                       \
		assert_string_equal(planned_text(&t), expected);                                   \
		planned_draw(&t);                                                                  \
	} while (0)

static void tick(void)
{
	plan_tick(&t.plan, t.cands, &t.world, &t.steps);
}

/* The tick that is due. */
static void next_tick(uint64_t *due)
{
	t.world.now = *due;
	tick();
	*due = t.steps.due;
}

static void told(uint8_t at, enum rpc_prot by, bool more)
{
	struct plan_step s = {.what = PLAN_TELL, .cand = at, .by = by};

	plan_told(&t.plan, t.cands, &s, t.plan.name, more, &t.world, &t.steps);
}

static void asked_got(uint8_t at, uint16_t port)
{
	struct plan_step s = plan_question(&t.cands[at], at);

	plan_port(&t.plan, t.cands, &s, port, &t.world, &t.steps);
}

static void tcp_got(uint8_t at, enum rpc_prot prot, uint16_t port)
{
	struct plan_step s = {.what = PLAN_ASK, .cand = at, .by = RPC_TCP, .prot = prot};

	plan_port(&t.plan, t.cands, &s, port, &t.world, &t.steps);
}

static void ask_failed(uint8_t at, enum plan_fault fault)
{
	struct plan_step s = plan_question(&t.cands[at], at);

	plan_failed(&t.plan, t.cands, &s, fault, &t.world, &t.steps);
}

static void tcp_failed(uint8_t at, enum plan_what what, enum plan_fault fault)
{
	struct plan_step s = {.what = what, .cand = at, .by = RPC_TCP, .prot = RPC_TCP};

	plan_failed(&t.plan, t.cands, &s, fault, &t.world, &t.steps);
}

static void tell_failed(uint8_t at, enum plan_fault fault)
{
	struct plan_step s = plan_notification(&t.cands[at], at);

	plan_failed(&t.plan, t.cands, &s, fault, &t.world, &t.steps);
}

/* The good way. */

static void test_small(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct plan_cand), 16); /* there may be 100,000 */
	assert_int_equal(sizeof(struct plan), 6);
}

static void test_two_names(void **state)
{
	(void)state;
	planned_begin(&t, "4", false);
	tick();
	EXPECT("ask0/udp:port2.udp");
	assert_int_equal(t.steps.due, PLANNED_START + 1000);
	asked_got(0, 4000);
	EXPECT("tell0/udp:4000");
	told(0, RPC_UDP, true);
	EXPECT("next tell0/udp:4000");
	assert_int_equal(t.plan.name, 1);
	told(0, RPC_UDP, false);
	EXPECT("next");
	assert_int_equal(t.plan.name, 2);
}

static void test_ipv6_asks_getaddr(void **state)
{
	(void)state;
	planned_begin(&t, "6", false);
	tick();
	EXPECT("ask0/udp:addr3.udp");
}

/* Call numbers: the same for copies, another for each name. */
static void test_xids(void **state)
{
	uint64_t due;
	uint32_t xid;

	(void)state;
	planned_begin(&t, "4", false);
	tick();
	planned_draw(&t);
	due = t.steps.due;
	xid = t.cands[0].ask_xid;
	next_tick(&due);
	planned_draw(&t);
	assert_int_equal(t.cands[0].ask_xid, xid);
	asked_got(0, 4000);
	assert_int_equal(t.cands[0].ask_xid, 0); /* a second answer is not waited for */
	planned_draw(&t);
	xid = t.cands[0].tell_xid;
	next_tick(&due);
	planned_draw(&t);
	assert_int_equal(t.cands[0].tell_xid, xid);
	told(0, RPC_UDP, true);
	assert_int_equal(t.cands[0].tell_xid, 0);
}

static void test_acknowledged_twice(void **state)
{
	struct plan_step s = {.what = PLAN_TELL, .by = RPC_TCP};

	(void)state;
	planned_begin(&t, "4", false);
	tick();
	asked_got(0, 4000);
	told(0, RPC_UDP, true);
	plan_told(&t.plan, t.cands, &s, 0, true, &t.world, &t.steps); /* the first name again */
	EXPECT("");
	assert_int_equal(t.plan.name, 1);
}

/* Time. */

static void test_schedule_of_the_silent(void **state)
{
	static const uint64_t at[] = {
		0, 1, 2, 4, 8, 12, 16, 20, 24, 28, 38, 48, 58, 68, 78, 88, 98, 108, 118};
	uint64_t due = PLANNED_START;

	(void)state;
	planned_begin(&t, "4", false);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		assert_int_equal(due, PLANNED_START + 1000 * at[i]);
		next_tick(&due);
		assert_true(t.steps.count > 0);
		planned_draw(&t);
	}
	assert_int_equal(due, PLANNED_START + 128000);
	next_tick(&due);
	assert_int_equal(due, PLANNED_START + 188000); /* random part 0 */
}

static void test_gaps_with_any_random_number(void **state)
{
	struct rnd rnd;

	(void)state;
	rnd_init(&rnd, 1);
	for (int i = 0; i < 300; i++) {
		uint64_t due = PLANNED_START;

		planned_begin(&t, "46", false);
		while (due < PLANNED_START + 30 * MINUTE) {
			uint64_t last = due;

			t.world.random = (uint32_t)rnd_next(&rnd);
			next_tick(&due);
			planned_draw(&t);
			assert_true(due > last);
			if (last < PLANNED_START + PLAN_EARLY_MS)
				assert_true(due - last <= PLAN_EARLY_GAP_MS);
			else
				assert_in_range(due - last, MINUTE, 2 * MINUTE);
		}
	}
}

static void test_exact_deadline(void **state)
{
	uint64_t due = PLANNED_START;
	unsigned ticks = 0;

	(void)state;
	planned_begin(&t, "4", false);
	t.world.deadline = PLANNED_START + MINUTE;
	do {
		assert_true(due <= t.world.deadline);
		next_tick(&due);
		planned_draw(&t);
		ticks++;
	} while (t.steps.step[0].what != PLAN_GIVE_UP);
	assert_string_equal(planned_text(&t), "give-up");
	assert_int_equal(t.world.now, PLANNED_START + MINUTE);
	assert_int_equal(ticks, 14);
}

static void test_the_living_are_asked_often(void **state)
{
	uint64_t due;

	(void)state;
	planned_begin(&t, "4", false);
	tick();
	asked_got(0, 0);
	EXPECT("ask0/udp:port2.tcp");
	due = t.steps.due ? t.steps.due : PLANNED_START + 1000;
	asked_got(0, 0); /* neither */
	EXPECT("");
	assert_int_equal(t.plan.fault, PLAN_NOT_REGISTERED);
	for (uint64_t i = 2; i <= 30; i++) {
		uint64_t last = due;

		next_tick(&due);
		EXPECT("ask0/udp:port2.udp"); /* it answers: no need for TCP */
		assert_int_equal(due - last, i < 4 ? 1000 : i < 30 ? 2000 : 10000);
		asked_got(0, 0);
		EXPECT("ask0/udp:port2.tcp");
		asked_got(0, 0);
		EXPECT("");
	}
}

/* Lost datagrams are made up for by more of them, if there are not too many peers. */
static void test_copies(void **state)
{
	static const uint8_t copies[] = {1, 1, 2, 3, 3, 3};
	uint64_t due = PLANNED_START;

	(void)state;
	planned_begin(&t, "4", false);
	for (size_t i = 0; i < ARRAY_LEN(copies); i++) {
		next_tick(&due);
		planned_draw(&t);
		assert_int_equal(t.steps.step[0].copies, copies[i]);
		for (size_t k = 1; k < t.steps.count; k++)
			assert_int_equal(t.steps.step[k].copies, 1); /* TCP */
	}
	t.world.copies = 1;
	next_tick(&due);
	planned_draw(&t);
	assert_int_equal(t.steps.step[0].copies, 1);
	asked_got(0, 4000);
	assert_string_equal(planned_text(&t), "tell0/udp:4000");
	assert_int_equal(t.steps.step[0].copies, 1);
}

/* Losses. */

static void test_tcp_after_two_losses(void **state)
{
	uint64_t due = PLANNED_START;

	(void)state;
	planned_begin(&t, "4", false);
	next_tick(&due);
	EXPECT("ask0/udp:port2.udp");
	next_tick(&due);
	EXPECT("ask0/udp:port2.udp");
	next_tick(&due);
	assert_int_equal(t.world.now, PLANNED_START + 2000);
	EXPECT("ask0/udp:port2.udp ask0/tcp:port2.tcp");
	next_tick(&due); /* one conversation at a time */
	EXPECT("ask0/udp:port2.udp");
	tcp_got(0, RPC_TCP, 5000);
	EXPECT("tell0/tcp:5000");
	told(0, RPC_TCP, true);
	EXPECT("next tell0/tcp:5000");
	told(0, RPC_TCP, false);
	EXPECT("next");
}

static void test_tcp_tries_again(void **state)
{
	uint64_t due = PLANNED_START;

	(void)state;
	planned_begin(&t, "6", false);
	for (int i = 0; i < 3; i++)
		next_tick(&due);
	EXPECT("ask0/udp:addr3.udp ask0/tcp:addr3.tcp");
	tcp_failed(0, PLAN_ASK, PLAN_SILENT);
	EXPECT("");
	next_tick(&due);
	EXPECT("ask0/udp:addr3.udp ask0/tcp:addr3.tcp");
	tcp_failed(0, PLAN_ASK, PLAN_CUT);
	EXPECT("");
	assert_int_equal(t.plan.fault, PLAN_CUT);
	next_tick(&due);
	tcp_got(0, RPC_TCP, 5000);
	EXPECT("tell0/tcp:5000");
	tcp_failed(0, PLAN_TELL, PLAN_CUT);
	EXPECT(""); /* no quick way out of that */
	due = PLANNED_START + 5000;
	next_tick(&due);
	EXPECT("ask0/udp:addr3.udp");
	next_tick(&due);
	EXPECT("ask0/udp:addr3.udp ask0/tcp:addr3.tcp");
}

static void test_lost_notifications(void **state)
{
	uint64_t due;

	(void)state;
	planned_begin(&t, "4", false);
	tick();
	planned_draw(&t);
	asked_got(0, 4000);
	EXPECT("tell0/udp:4000");
	due = t.steps.due;
	next_tick(&due);
	EXPECT("tell0/udp:4000");
	next_tick(&due); /* does it listen on TCP? */
	EXPECT("ask0/udp:port2.tcp tell0/udp:4000 ask0/tcp:port2.tcp");
	next_tick(&due); /* is it still there? */
	EXPECT("ask0/udp:port2.udp tell0/udp:4000");
	asked_got(0, 4000);
	EXPECT(""); /* it is, and was just told */
	for (int i = 0; i < 2; i++) {
		next_tick(&due);
		EXPECT("tell0/udp:4000");
	}
	next_tick(&due);
	EXPECT("ask0/udp:port2.tcp tell0/udp:4000");
	next_tick(&due);
	EXPECT("ask0/udp:port2.udp tell0/udp:4000");
	asked_got(0, 4001); /* no: it has moved */
	EXPECT("tell0/udp:4001");
}

/* The port of TCP is asked for over UDP too: that may be the only way to rpcbind. */
static void test_other_port_of_the_silent(void **state)
{
	uint64_t due;

	(void)state;
	planned_begin(&t, "4", false);
	tick();
	planned_draw(&t);
	asked_got(0, 4000);
	EXPECT("tell0/udp:4000");
	due = t.steps.due;
	next_tick(&due);
	EXPECT("tell0/udp:4000");
	next_tick(&due);
	EXPECT("ask0/udp:port2.tcp tell0/udp:4000 ask0/tcp:port2.tcp");
	asked_got(0, 5000);
	EXPECT("");
	next_tick(&due);
	EXPECT("tell0/udp:4000"); /* one conversation at a time */
	tcp_failed(0, PLAN_ASK, PLAN_SILENT);
	EXPECT("tell0/tcp:5000");
	told(0, RPC_TCP, false);
	EXPECT("next");
}

/* Refusals. */

static void test_methods_in_turn(void **state)
{
	uint64_t due;

	(void)state;
	planned_begin(&t, "4", false);
	tick();
	EXPECT("ask0/udp:port2.udp");
	ask_failed(0, PLAN_ASK_ANSWER + RPC_PROG_MISMATCH);
	EXPECT("ask0/udp:addr3.udp");
	due = t.steps.due;
	ask_failed(0, PLAN_ASK_ANSWER + RPC_PROC_UNAVAIL);
	EXPECT("ask0/udp:addr4.udp");
	ask_failed(0, PLAN_BAD_REPLY);
	EXPECT(""); /* all of them: not before the next tick */
	next_tick(&due);
	EXPECT("ask0/udp:port2.udp");
	ask_failed(0, PLAN_BAD_REPLY);
	EXPECT("ask0/udp:addr3.udp");
	asked_got(0, 4000);
	EXPECT("tell0/udp:4000");
	planned_begin(&t, "6", false);
	tick();
	EXPECT("ask0/udp:addr3.udp");
	ask_failed(0, PLAN_ASK_ANSWER + RPC_PROG_MISMATCH);
	EXPECT("ask0/udp:addr4.udp");
	ask_failed(0, PLAN_ASK_ANSWER + RPC_PROG_MISMATCH);
	EXPECT("ask0/udp:port2.udp");
}

static void test_a_method_that_works_stays(void **state)
{
	uint64_t due;

	(void)state;
	planned_begin(&t, "4", false);
	tick();
	planned_draw(&t);
	ask_failed(0, PLAN_ASK_ANSWER + RPC_PROG_MISMATCH);
	planned_draw(&t);
	due = t.steps.due;
	asked_got(0, 0);
	EXPECT("ask0/udp:addr3.tcp");
	asked_got(0, 0);
	next_tick(&due);
	EXPECT("ask0/udp:addr3.udp");
}

static void test_rpcbind_not_on_udp(void **state)
{
	uint64_t due;

	(void)state;
	planned_begin(&t, "4", false);
	tick();
	planned_draw(&t);
	ask_failed(0, PLAN_REFUSED);
	EXPECT("ask0/tcp:port2.tcp");
	due = t.steps.due;
	assert_int_equal(due, PLANNED_START + 1000);
	ask_failed(0, PLAN_REFUSED); /* once is enough */
	EXPECT("");
	tcp_failed(0, PLAN_ASK, PLAN_REFUSED);
	EXPECT("");
	next_tick(&due); /* somebody who is just booting */
	EXPECT("ask0/udp:port2.udp");
	ask_failed(0, PLAN_REFUSED);
	EXPECT("ask0/tcp:port2.tcp");
	tcp_got(0, RPC_TCP, 5000);
	EXPECT("tell0/tcp:5000");
}

static void test_only_one_protocol(void **state)
{
	(void)state;
	planned_begin(&t, "4", false);
	tick();
	planned_draw(&t);
	asked_got(0, 0);
	EXPECT("ask0/udp:port2.tcp");
	asked_got(0, 5000);
	EXPECT("tell0/tcp:5000");
	told(0, RPC_TCP, false);
	EXPECT("next");
	/* and the other way round */
	planned_begin(&t, "4", false);
	tick();
	planned_draw(&t);
	ask_failed(0, PLAN_REFUSED);
	EXPECT("ask0/tcp:port2.tcp");
	tcp_got(0, RPC_TCP, 0);
	EXPECT("ask0/tcp:port2.udp");
	tcp_got(0, RPC_UDP, 4000);
	EXPECT("tell0/udp:4000");
}

static void test_tcp_only_keeps_asking(void **state)
{
	uint64_t due;

	(void)state;
	planned_begin(&t, "4", false);
	tick();
	planned_draw(&t);
	due = PLANNED_START + 1000;
	asked_got(0, 0);
	asked_got(0, 5000);
	EXPECT("tell0/tcp:5000");
	tcp_failed(0, PLAN_TELL, PLAN_REFUSED);
	EXPECT("ask0/tcp:port2.tcp"); /* it may have moved */
	tcp_got(0, RPC_TCP, 5001);
	EXPECT("tell0/tcp:5001");
	tcp_failed(0, PLAN_TELL, PLAN_REFUSED);
	EXPECT(""); /* not for ever */
	next_tick(&due);
	EXPECT("ask0/udp:port2.udp");
}

static void test_monitor_has_moved(void **state)
{
	uint64_t due;

	(void)state;
	planned_begin(&t, "4", false);
	tick();
	planned_draw(&t);
	asked_got(0, 4000);
	EXPECT("tell0/udp:4000");
	due = t.steps.due;
	told(0, RPC_UDP, true);
	EXPECT("next tell0/udp:4000");
	tell_failed(0, PLAN_REFUSED); /* restarted between the two names */
	EXPECT("ask0/udp:port2.udp ask0/tcp:port2.tcp");
	asked_got(0, 4001);
	EXPECT("tell0/udp:4001");
	tell_failed(0, PLAN_REFUSED);
	EXPECT("");
	next_tick(&due);
	EXPECT("ask0/udp:port2.udp");
}

static void test_monitor_says_no(void **state)
{
	uint64_t due;

	(void)state;
	for (unsigned a = RPC_PROG_UNAVAIL; a <= RPC_AUTH_DENIED; a++) {
		planned_begin(&t, "4", false);
		tick();
		planned_draw(&t);
		asked_got(0, 4000);
		EXPECT("tell0/udp:4000");
		due = t.steps.due;
		tell_failed(0, PLAN_TELL_ANSWER + a);
		EXPECT("ask0/udp:port2.udp");
		asked_got(0, 4000);
		EXPECT("tell0/udp:4000");
		tell_failed(0, PLAN_TELL_ANSWER + a);
		EXPECT("");
		assert_int_equal(t.plan.fault, PLAN_TELL_ANSWER + a);
		next_tick(&due);
		EXPECT("ask0/udp:port2.udp");
	}
}

/* A port that was refused, then an old acknowledgement: there is nowhere to send the next name. */
static void test_told_without_a_port(void **state)
{
	(void)state;
	planned_begin(&t, "4", false);
	tick();
	planned_draw(&t);
	asked_got(0, 4000);
	planned_draw(&t);
	tell_failed(0, PLAN_REFUSED);
	planned_draw(&t);
	told(0, RPC_UDP, true);
	EXPECT("next ask0/udp:port2.udp");
}

static void test_unreachable(void **state)
{
	uint64_t due;

	(void)state;
	planned_begin(&t, "64", false);
	tick();
	EXPECT("ask0/udp:addr3.udp ask1/udp:port2.udp");
	due = t.steps.due;
	ask_failed(0, PLAN_UNREACHABLE);
	EXPECT("");
	assert_int_equal(t.steps.due, 0);
	assert_false(t.plan.alive);
	next_tick(&due);
	EXPECT("ask0/udp:addr3.udp ask1/udp:port2.udp");
}

/* Several addresses. */

static void test_race(void **state)
{
	uint64_t due;

	(void)state;
	planned_begin(&t, "464", false);
	tick();
	EXPECT("ask0/udp:port2.udp ask1/udp:addr3.udp ask2/udp:port2.udp");
	asked_got(1, 4001);
	EXPECT("tell1/udp:4001");
	due = t.steps.due;
	asked_got(2, 4002); /* the same host, most likely: wait for 1 */
	EXPECT("");
	next_tick(&due); /* which is silent */
	EXPECT("ask0/udp:port2.udp tell1/udp:4001 tell2/udp:4002");
	told(2, RPC_UDP, true);
	EXPECT("next tell2/udp:4002");
	told(2, RPC_UDP, false);
	EXPECT("next");
}

static void test_race_goes_on_after_a_refusal(void **state)
{
	(void)state;
	planned_begin(&t, "44", false);
	tick();
	planned_draw(&t);
	asked_got(0, 4000);
	planned_draw(&t);
	tell_failed(0, PLAN_REFUSED);
	planned_draw(&t);
	asked_got(1, 4001);
	EXPECT("tell1/udp:4001");
}

static void test_no_socket_of_the_family(void **state)
{
	uint64_t due = PLANNED_START;

	(void)state;
	planned_begin(&t, "64", false);
	t.world.v6 = false;
	next_tick(&due);
	EXPECT("ask1/udp:port2.udp");
	planned_begin(&t, "6", true);
	t.world.v6 = false;
	due = PLANNED_START;
	next_tick(&due);
	EXPECT("resolve"); /* perhaps it has another address */
	assert_int_equal(t.plan.fault, PLAN_NO_FAMILY);
	plan_resolved(&t.plan, t.cands, 1, &t.world, &t.steps);
	EXPECT("");
	assert_int_equal(t.plan.fault, PLAN_NO_FAMILY);
	next_tick(&due);
	t.cands[1].v6 = false;
	plan_resolved(&t.plan, t.cands, 2, &t.world, &t.steps);
	EXPECT("ask1/udp:port2.udp");
}

/* Names. */

static void test_resolve_first(void **state)
{
	uint64_t due = PLANNED_START;

	(void)state;
	planned_begin(&t, "", true);
	next_tick(&due);
	EXPECT("resolve");
	plan_resolved(&t.plan, t.cands, 0, &t.world, &t.steps);
	EXPECT("");
	assert_int_equal(t.steps.due, 0);
	assert_int_equal(t.plan.fault, PLAN_NO_ADDRESS);
	next_tick(&due);
	EXPECT("resolve");
	t.world.now += 30;
	t.cands[1].v6 = true;
	plan_resolved(&t.plan, t.cands, 2, &t.world, &t.steps);
	EXPECT("ask0/udp:port2.udp ask1/udp:addr3.udp");
	assert_int_equal(t.steps.due, t.world.now + 1000);
}

static void test_slow_resolver(void **state)
{
	uint64_t due = PLANNED_START;

	(void)state;
	planned_begin(&t, "", true);
	next_tick(&due);
	EXPECT("resolve");
	for (int i = 0; i < 4; i++) {
		next_tick(&due);
		EXPECT("");
	}
	t.world.now = PLANNED_START + 10000;
	plan_resolved(&t.plan, t.cands, 0, &t.world, &t.steps);
	assert_int_equal(t.steps.due, t.world.now + 1000); /* not up to ten seconds more */
	due = t.steps.due;
	next_tick(&due);
	EXPECT("resolve");
}

static void test_literal_first_then_the_name(void **state)
{
	uint64_t due = PLANNED_START;

	(void)state;
	planned_begin(&t, "4", true);
	for (int i = 0; i < 3; i++) {
		next_tick(&due);
		assert_int_not_equal(t.steps.step[0].what, PLAN_RESOLVE);
		planned_draw(&t);
	}
	next_tick(&due);
	assert_int_equal(t.world.now, PLANNED_START + 4000);
	EXPECT("resolve ask0/udp:port2.udp");
	plan_resolved(&t.plan, t.cands, 1, &t.world, &t.steps); /* nothing new */
	EXPECT("");
	assert_int_equal(t.steps.due, 0);
	assert_int_equal(t.plan.fault, PLAN_SILENT);
	for (int i = 0; i < 4; i++)
		next_tick(&due);
	EXPECT("resolve ask0/udp:port2.udp");
	plan_resolved(&t.plan, t.cands, 2, &t.world, &t.steps); /* it has another one */
	EXPECT("ask1/udp:port2.udp");
	assert_int_equal(t.steps.due, t.world.now + 1000);
}

/* A peer that is there but not registered must not start all over with each lookup. */
static void test_lookups_do_not_start_over(void **state)
{
	uint64_t due;

	(void)state;
	planned_begin(&t, "4", true);
	tick();
	planned_draw(&t);
	asked_got(0, 0);
	planned_draw(&t);
	due = PLANNED_START + 1000;
	asked_got(0, 0);
	while (t.world.now < PLANNED_START + 2 * MINUTE) {
		next_tick(&due);
		planned_draw(&t);
		if (t.steps.step[0].what == PLAN_RESOLVE)
			plan_resolved(&t.plan, t.cands, 1, &t.world, &t.steps);
		tcp_failed(0, PLAN_ASK, PLAN_REFUSED);
	}
	assert_true(due - t.world.now > 5000);
}

static void test_fault_texts(void **state)
{
	char seen[PLAN_FAULTS][100];

	(void)state;
	for (unsigned i = 0; i < PLAN_FAULTS; i++) {
		plan_fault_text((enum plan_fault)i, seen[i], sizeof(seen[i]));
		assert_true(strlen(seen[i]) > 3);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(seen[k], seen[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_two_names),
		cmocka_unit_test(test_ipv6_asks_getaddr),
		cmocka_unit_test(test_xids),
		cmocka_unit_test(test_acknowledged_twice),
		cmocka_unit_test(test_schedule_of_the_silent),
		cmocka_unit_test(test_gaps_with_any_random_number),
		cmocka_unit_test(test_exact_deadline),
		cmocka_unit_test(test_the_living_are_asked_often),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_tcp_after_two_losses),
		cmocka_unit_test(test_tcp_tries_again),
		cmocka_unit_test(test_lost_notifications),
		cmocka_unit_test(test_other_port_of_the_silent),
		cmocka_unit_test(test_methods_in_turn),
		cmocka_unit_test(test_a_method_that_works_stays),
		cmocka_unit_test(test_rpcbind_not_on_udp),
		cmocka_unit_test(test_only_one_protocol),
		cmocka_unit_test(test_tcp_only_keeps_asking),
		cmocka_unit_test(test_monitor_has_moved),
		cmocka_unit_test(test_monitor_says_no),
		cmocka_unit_test(test_told_without_a_port),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_race),
		cmocka_unit_test(test_race_goes_on_after_a_refusal),
		cmocka_unit_test(test_no_socket_of_the_family),
		cmocka_unit_test(test_resolve_first),
		cmocka_unit_test(test_slow_resolver),
		cmocka_unit_test(test_literal_first_then_the_name),
		cmocka_unit_test(test_lookups_do_not_start_over),
		cmocka_unit_test(test_fault_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
