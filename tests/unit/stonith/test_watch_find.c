/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Findings begin and end once each, and go on under a new configuration. */
#include "confkit.h"
#include "watch_find.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PDU(name, last)                                                                            \
	"pdu \"" name "\" { address = \"127.0.0." last                                             \
	"\" profile = \"apc-rpdu\" version = \"2c\" "                                              \
	"community-file = \"@/community\" }\n"
#define TWO                                                                                        \
	PDU("left", "1")                                                                           \
	PDU("right", "2")                                                                          \
	"node \"n1\" { outlets = {\"left:1\", \"right:1\"} shooters = {\"n2\"} }\n"                \
	"node \"n2\" { outlets = {\"left:8\", \"right:8\"} shooters = {\"n1\"} }\n"
#define ONE                                                                                        \
	PDU("right", "2")                                                                          \
	"node \"N2\" { outlets = {\"right:8\"} shooters = {\"n1\"} }\n"                            \
	"node \"n1\" { outlets = {\"right:1\"} shooters = {\"n2\"} }\n"

static void test_once(void **state)
{
	struct watch_find f = {.kind = WATCH_LOST};

	(void)state;
	assert_int_equal(watch_find_judge(&f, WATCH_NO, "", 1), WATCH_SAME);
	assert_int_equal(watch_find_judge(&f, WATCH_UNKNOWN, "", 2), WATCH_SAME);
	assert_int_equal(watch_find_judge(&f, WATCH_YES, "gone", 3), WATCH_BEGUN);
	assert_int_equal(watch_find_judge(&f, WATCH_YES, "still gone", 4), WATCH_SAME);
	assert_int_equal(watch_find_judge(&f, WATCH_UNKNOWN, "", 5), WATCH_SAME);
	assert_true(f.on);
	assert_int_equal(f.since, 3);
	assert_string_equal(f.text, "still gone");
	assert_int_equal(watch_find_judge(&f, WATCH_NO, "", 6), WATCH_OVER);
	assert_string_equal(f.text, "still gone"); /* what is over */
	assert_int_equal(watch_find_judge(&f, WATCH_NO, "", 7), WATCH_SAME);
	assert_int_equal(watch_find_judge(&f, WATCH_YES, "again", 8), WATCH_BEGUN);
	assert_int_equal(f.since, 8);
}

/* Each place is of what it should be, and no two are one. */
static void test_places(void **state)
{
	struct confkit k;
	struct watch_find_table t;
	size_t places = 0;

	(void)state;
	confkit_init(&k);
	confkit_read(&k, TWO);
	assert_string_equal(k.faults, "");
	assert_int_equal(watch_find_init(&t, &k.config), 0);
	for (size_t i = 0; i < 2; i++) {
		for (enum watch_find_kind kind = WATCH_LOST; kind < WATCH_PDU_KINDS; kind++) {
			struct watch_find *f = watch_find_pdu(&t, i, kind);

			assert_int_equal(f->kind, kind);
			assert_ptr_equal(f->pdu, k.config.pdus[i].name);
			assert_false(f->on);
			f->on = true;
			places++;
		}
		for (enum watch_find_kind kind = WATCH_PROXY; kind < WATCH_KINDS; kind++) {
			struct watch_find *f = watch_find_node(&t, i, kind);

			assert_int_equal(f->kind, kind);
			assert_ptr_equal(f->node, k.config.nodes[i].name);
			assert_false(f->on);
			f->on = true;
			places++;
		}
	}
	for (size_t i = 0; i < 4; i++) {
		const struct config_node *n = &k.config.nodes[i / 2];

		for (enum watch_find_kind kind = WATCH_OFF; kind < WATCH_OUTLET_END; kind++) {
			struct watch_find *f = watch_find_outlet(&t, i, kind);

			assert_int_equal(f->kind, kind);
			assert_ptr_equal(f->node, n->name);
			assert_string_equal(f->outlet, n->outlets[i % 2].text);
			assert_false(f->on);
			f->on = true;
			places++;
		}
	}
	assert_int_equal(places, t.count);
	assert_int_equal(watch_find_count(&t), t.count);
	watch_find_done(&t);
	confkit_done(&k);
}

/* By name, wherever it is now, in whatever case. */
static void test_carry(void **state)
{
	struct confkit old_kit, kit;
	struct watch_find_table old, t;

	(void)state;
	confkit_init(&old_kit);
	confkit_init(&kit);
	assert_int_equal(confkit_read(&old_kit, TWO), 0);
	assert_int_equal(confkit_read(&kit, ONE), 0);
	assert_int_equal(watch_find_init(&old, &old_kit.config), 0);
	assert_int_equal(watch_find_init(&t, &kit.config), 0);
	watch_find_judge(watch_find_outlet(&old, 3, WATCH_OFF), WATCH_YES, "right:8", 5);
	watch_find_judge(watch_find_outlet(&old, 0, WATCH_OFF), WATCH_YES, "left:1", 6);
	watch_find_judge(watch_find_pdu(&old, 1, WATCH_LOST), WATCH_YES, "right", 7);
	watch_find_carry(&t, &old);
	assert_int_equal(watch_find_count(&t), 2);
	assert_true(watch_find_pdu(&t, 0, WATCH_LOST)->on);
	assert_true(watch_find_outlet(&t, 0, WATCH_OFF)->on);
	assert_int_equal(watch_find_outlet(&t, 0, WATCH_OFF)->since, 5);
	assert_string_equal(watch_find_outlet(&t, 0, WATCH_OFF)->text, "right:8");
	/* What has no place any more is still there, to be said. */
	assert_int_equal(watch_find_count(&old), 1);
	assert_true(watch_find_outlet(&old, 0, WATCH_OFF)->on);
	watch_find_done(&old);
	watch_find_done(&t);
	confkit_done(&old_kit);
	confkit_done(&kit);
}

static void test_names(void **state)
{
	(void)state;
	for (enum watch_find_kind a = WATCH_LOST; a < WATCH_KINDS; a++) {
		assert_non_null(watch_find_name(a));
		for (enum watch_find_kind b = WATCH_LOST; b < a; b++)
			assert_string_not_equal(watch_find_name(a), watch_find_name(b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_carry),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
