/* SPDX-License-Identifier: GPL-2.0-or-later */
/* schedule.h with time moved by hand: tables of events and of what has to come of them. */
#include "schedule.h"

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SETTLE = 2000, INTERVAL = 60000, SCAN_INTERVAL = 3600000, START = 1000000 };

static const struct schedule_rules rules = {SETTLE, INTERVAL, SCAN_INTERVAL};

enum event {
	NOTHING,
	CHANGED,
	NOW,
	PEER,
	BLIND,
	SEEING,
	OVER,  /* the job under way: its outcome for all of its sets */
	SILENT /* without any */
};

struct step {
	uint64_t at; /* ms from the start on */
	enum event event;
	uint64_t sets;
	enum schedule_outcome outcome;
	/* What is to be done then. */
	enum schedule_kind kind;
	uint64_t job;
	uint64_t next; /* ms from the start on; 0: not looked at */
};
#define NEVER (SCHEDULE_NEVER - START)

static void finish(struct schedule *s, const struct step *p, uint64_t now)
{
	for (size_t i = 0; i < CONFIG_SETS_MAX && p->event == OVER; i++) {
		if (s->job.sets & 1ULL << i)
			schedule_outcome(s, i, p->outcome, now);
	}
	schedule_over(s, now);
}

static void happen(struct schedule *s, const struct step *p, uint64_t now)
{
	switch (p->event) {
	case NOTHING:
		break;
	case CHANGED:
		schedule_changed(s, p->sets, now);
		break;
	case NOW:
		schedule_now(s, p->sets);
		break;
	case PEER:
		schedule_peer(s, p->sets);
		break;
	case BLIND:
	case SEEING:
		schedule_blind(s, p->event == BLIND, now);
		break;
	case OVER:
	case SILENT:
		finish(s, p, now);
		break;
	}
}

static void play(uint64_t used, const struct step *steps, size_t count)
{
	struct schedule s;

	schedule_init(&s, &rules, used, START);
	for (size_t i = 0; i < count; i++) {
		const struct step *p = &steps[i];
		struct schedule_job job;

		happen(&s, p, START + p->at);
		job = schedule_next(&s, START + p->at);
		if (job.kind != p->kind || job.sets != p->job)
			fail_msg("step %zu: kind %d sets %llx", i, job.kind,
				(unsigned long long)job.sets);
		if (p->next && job.at != START + p->next)
			fail_msg("step %zu: at %lld", i, (long long)(job.at - START));
		if (job.kind == SCHEDULE_NOTHING && !schedule_is_busy(&s))
			assert_true(job.at > START + p->at);
	}
}
#define PLAY(used, ...)                                                                            \
	do {                                                                                       \
		const struct step steps_[] = {__VA_ARGS__};                                        \
		play(used, steps_, ARRAY_LEN(steps_));                                             \
	} while (0)

/* The first conversation, after which nothing is to be done for long. */
#define BEGIN(sets)                                                                                \
	{0, NOTHING, 0, 0, SCHEDULE_SYNC, sets, 0},                                                \
	{                                                                                          \
		100, OVER, 0, SCHEDULE_DONE, SCHEDULE_NOTHING, 0, INTERVAL                         \
	}

static void test_looks(void **state)
{
	(void)state;
	PLAY(7, BEGIN(7), {INTERVAL - 1, NOTHING, 0, 0, SCHEDULE_NOTHING, 0, INTERVAL},
		{INTERVAL, NOTHING, 0, 0, SCHEDULE_SYNC, 7, 0},
		{INTERVAL, NOTHING, 0, 0, SCHEDULE_NOTHING, 0, NEVER}, /* one at a time */
		{INTERVAL + 5, OVER, 0, SCHEDULE_DONE, SCHEDULE_NOTHING, 0, 2 * INTERVAL},
		/* Much later, as after a suspend: once. */
		{50 * INTERVAL, NOTHING, 0, 0, SCHEDULE_SYNC, 7, 0},
		{50 * INTERVAL, OVER, 0, SCHEDULE_DONE, SCHEDULE_NOTHING, 0, 51 * INTERVAL});
	PLAY(0, {0, NOTHING, 0, 0, SCHEDULE_NOTHING, 0, NEVER},
		{1, CHANGED, ~0ULL, 0, SCHEDULE_NOTHING, 0, NEVER},
		{1, NOW, ~0ULL, 0, SCHEDULE_NOTHING, 0, NEVER});
	PLAY(~0ULL, BEGIN(~0ULL));
}

static void test_change_settles(void **state)
{
	(void)state;
	PLAY(3, BEGIN(3), {200, CHANGED, 1, 0, SCHEDULE_NOTHING, 0, 200 + SETTLE},
		{1200, CHANGED, 1, 0, SCHEDULE_NOTHING, 0, 1200 + SETTLE},
		{1200 + SETTLE, NOTHING, 0, 0, SCHEDULE_SCAN, 1, 0},
		{4000, OVER, 0, SCHEDULE_SAME, SCHEDULE_NOTHING, 0, INTERVAL},
		/* And one that makes a difference. */
		{5000, CHANGED, 2, 0, SCHEDULE_NOTHING, 0, 7000},
		{7000, NOTHING, 0, 0, SCHEDULE_SCAN, 2, 0},
		{7100, OVER, 0, SCHEDULE_DIFFERS, SCHEDULE_SYNC, 2, 0},
		/* What the transaction writes is seen once more. */
		{7200, CHANGED, 2, 0, SCHEDULE_NOTHING, 0, NEVER},
		{7300, OVER, 0, SCHEDULE_DONE, SCHEDULE_NOTHING, 0, 9200},
		{9200, NOTHING, 0, 0, SCHEDULE_SCAN, 2, 0},
		{9300, OVER, 0, SCHEDULE_SAME, SCHEDULE_NOTHING, 0, INTERVAL});
}

static void test_change_without_end(void **state)
{
	struct schedule s;
	struct schedule_job job;
	uint64_t now = START;

	(void)state;
	schedule_init(&s, &rules, 1, START);
	schedule_next(&s, now);
	schedule_outcome(&s, 0, SCHEDULE_DONE, now);
	schedule_over(&s, now);
	for (unsigned rounds = 0; rounds < 2; rounds++) {
		uint64_t since = now;

		do {
			schedule_changed(&s, 1, now);
			now += 500;
			job = schedule_next(&s, now);
		} while (job.kind == SCHEDULE_NOTHING && now < since + 100 * SETTLE);
		assert_int_equal(job.kind, SCHEDULE_SCAN);
		assert_int_equal(now - since, SCHEDULE_SETTLE_MAX * SETTLE);
		schedule_outcome(&s, 0, SCHEDULE_SAME, now);
		schedule_over(&s, now);
	}
}

/* A look does not read half of an edit. */
static void test_look_leaves_edits_alone(void **state)
{
	(void)state;
	PLAY(3, BEGIN(3), {INTERVAL - 100, CHANGED, 1, 0, SCHEDULE_NOTHING, 0, INTERVAL},
		{INTERVAL, NOTHING, 0, 0, SCHEDULE_SYNC, 2, 0},
		{INTERVAL + 1, OVER, 0, SCHEDULE_DONE, SCHEDULE_NOTHING, 0,
			INTERVAL - 100 + SETTLE},
		{INTERVAL - 100 + SETTLE, NOTHING, 0, 0, SCHEDULE_SCAN, 1, 0});
	/* Only edits are left: it is made up for when they have settled. */
	PLAY(1, BEGIN(1), {INTERVAL - 100, CHANGED, 1, 0, SCHEDULE_NOTHING, 0, 0},
		{INTERVAL, NOTHING, 0, 0, SCHEDULE_NOTHING, 0, INTERVAL - 100 + SETTLE},
		{INTERVAL - 100 + SETTLE, NOTHING, 0, 0, SCHEDULE_SYNC, 1, 0});
	/* People do not wait. */
	PLAY(1, BEGIN(1), {200, CHANGED, 1, 0, SCHEDULE_NOTHING, 0, 0},
		{300, NOW, 1, 0, SCHEDULE_SYNC, 1, 0},
		{400, OVER, 0, SCHEDULE_DONE, SCHEDULE_NOTHING, 0, INTERVAL});
}

static void test_retries(void **state)
{
	static const uint64_t delays[] = {5, 10, 20, 40, 80, 160, 300, 300, 300};
	struct schedule s;
	struct schedule_job job;
	uint64_t now = START;

	(void)state;
	for (unsigned way = 0; way < 3; way++) {
		schedule_init(&s, &rules, 1, now);
		job = schedule_next(&s, now);
		for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
			assert_int_equal(job.kind, SCHEDULE_SYNC);
			now += 100;
			if (way < 2)
				schedule_outcome(
					&s, 0, way ? SCHEDULE_UNREACHED : SCHEDULE_FAILED, now);
			schedule_over(&s, now);
			job = schedule_next(&s, now);
			assert_int_equal(job.kind, SCHEDULE_NOTHING);
			assert_int_equal(job.at, now + delays[i] * 1000);
			now = job.at;
			job = schedule_next(&s, now);
		}
		schedule_outcome(&s, 0, SCHEDULE_DONE, now);
		schedule_over(&s, now);
		job = schedule_next(&s, now);
		now += INTERVAL;
	}
}

static void test_retry_at_once(void **state)
{
	(void)state;
	/* Files change again. */
	PLAY(1, {0, NOTHING, 0, 0, SCHEDULE_SYNC, 1, 0},
		{100, OVER, 0, SCHEDULE_FAILED, SCHEDULE_NOTHING, 0, 5100},
		{200, CHANGED, 1, 0, SCHEDULE_NOTHING, 0, 2200},
		{2200, NOTHING, 0, 0, SCHEDULE_SCAN, 1, 0},
		{2300, OVER, 0, SCHEDULE_DIFFERS, SCHEDULE_SYNC, 1, 0},
		{2400, OVER, 0, SCHEDULE_FAILED, SCHEDULE_NOTHING, 0, 7400});
	/* The peer comes: only if it was not there. */
	PLAY(1, {0, NOTHING, 0, 0, SCHEDULE_SYNC, 1, 0},
		{100, OVER, 0, SCHEDULE_FAILED, SCHEDULE_NOTHING, 0, 5100},
		{200, PEER, 1, 0, SCHEDULE_NOTHING, 0, 5100});
	PLAY(3, {0, NOTHING, 0, 0, SCHEDULE_SYNC, 3, 0},
		{100, OVER, 0, SCHEDULE_UNREACHED, SCHEDULE_NOTHING, 0, 5100},
		{200, PEER, 2, 0, SCHEDULE_SYNC, 2, 0},
		{300, OVER, 0, SCHEDULE_DONE, SCHEDULE_NOTHING, 0, 5100},
		{400, PEER, 2, 0, SCHEDULE_NOTHING, 0, 5100});
	/* A look does not come before. */
	PLAY(1, BEGIN(1), {INTERVAL, NOTHING, 0, 0, SCHEDULE_SYNC, 1, 0},
		{INTERVAL, SILENT, 0, 0, SCHEDULE_NOTHING, 0, INTERVAL + 5000},
		{INTERVAL + 4999, NOTHING, 0, 0, SCHEDULE_NOTHING, 0, INTERVAL + 5000});
}

static void test_full_scans(void **state)
{
	uint64_t looks = SCAN_INTERVAL / INTERVAL;

	(void)state;
	PLAY(1, BEGIN(1), {SCAN_INTERVAL, NOTHING, 0, 0, SCHEDULE_FULL, 1, 0},
		{SCAN_INTERVAL + 1, OVER, 0, SCHEDULE_DONE, SCHEDULE_SYNC, 1, 0},
		{SCAN_INTERVAL + 2, OVER, 0, SCHEDULE_DONE, SCHEDULE_NOTHING, 0,
			(looks + 1) * INTERVAL + 1});
	PLAY(3, BEGIN(3), {SCAN_INTERVAL - 1, CHANGED, 1, 0, SCHEDULE_SYNC, 2, 0},
		{SCAN_INTERVAL, OVER, 0, SCHEDULE_DONE, SCHEDULE_FULL, 2, 0},
		{SCAN_INTERVAL + 1, OVER, 0, SCHEDULE_DONE, SCHEDULE_NOTHING, 0,
			SCAN_INTERVAL - 1 + SETTLE},
		{SCAN_INTERVAL - 1 + SETTLE, NOTHING, 0, 0, SCHEDULE_FULL, 1, 0});
}

static void test_blind(void **state)
{
	(void)state;
	PLAY(3, BEGIN(3), {1000, BLIND, 0, 0, SCHEDULE_NOTHING, 0, 11000},
		{2000, BLIND, 0, 0, SCHEDULE_NOTHING, 0, 11000},
		{11000, NOTHING, 0, 0, SCHEDULE_SCAN, 3, 0},
		{11500, OVER, 0, SCHEDULE_SAME, SCHEDULE_NOTHING, 0, 21000},
		{21000, NOTHING, 0, 0, SCHEDULE_SCAN, 3, 0},
		{21500, OVER, 0, SCHEDULE_DIFFERS, SCHEDULE_SYNC, 3, 0},
		{21600, SEEING, 0, 0, SCHEDULE_NOTHING, 0, NEVER},
		{21700, OVER, 0, SCHEDULE_DONE, SCHEDULE_NOTHING, 0, INTERVAL});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_change_settles),
		cmocka_unit_test(test_change_without_end),
		cmocka_unit_test(test_look_leaves_edits_alone),
		cmocka_unit_test(test_retries),
		cmocka_unit_test(test_retry_at_once),
		cmocka_unit_test(test_full_scans),
		cmocka_unit_test(test_blind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
