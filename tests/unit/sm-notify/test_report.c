/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The summary and the list, as text and as JSON that can be read back, hostile names included. */
#include "report.h"
#include "statedir.h"
#include "util.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LINE(mon, my) STATEDIR_LINE(mon, my) "\n"

static struct statedir dir;
static struct monlist list;
static struct self self;
static struct settings settings;
static struct campaign_job job = {.settings = &settings, .self = &self, .list = &list, .state = 7};
static char *text;
static size_t text_len;
static FILE *out;

static int set_up(void **state)
{
	(void)state;
	statedir_init(&dir);
	monlist_init(&list);
	out = open_memstream(&text, &text_len);
	return out ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	fclose(out);
	free(text);
	monlist_close(&list);
	statedir_done(&dir);
	return 0;
}

static void load(void)
{
	struct err err = {0};

	assert_int_equal(monlist_open(&list, dir.temp.folder, &err), 0);
	assert_int_equal(monlist_load_in_place(&list, &err), 0);
}

static json_t *parse(void)
{
	json_error_t error;
	json_t *all = json_loads(text, 0, &error);

	assert_non_null(all);
	return all;
}

static const char *string_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void test_list(void **state)
{
	json_t *all;

	(void)state;
	statedir_put(&dir, "sm/a.lab.test", LINE("10.9.0.2", "me\xff%s") LINE("10.9.0.2", "you"));
	load();
	report_list(out, &list, false);
	assert_string_equal(text, "a.lab.test 10.9.0.2 me\xff%s\na.lab.test 10.9.0.2 you\n");
	rewind(out);
	report_list(out, &list, true);
	all = parse();
	assert_int_equal(json_array_size(all), 2);
	assert_string_equal(string_of(json_array_get(all, 0), "peer"), "a.lab.test");
	assert_string_equal(string_of(json_array_get(all, 0), "my_name"), "me\\xff%s");
	assert_string_equal(string_of(json_array_get(all, 1), "mon_name"), "10.9.0.2");
	json_decref(all);
}

static void test_empty_list(void **state)
{
	json_t *all;

	(void)state;
	load();
	report_list(out, &list, false);
	assert_int_equal(text_len, 0);
	report_list(out, &list, true);
	all = parse();
	assert_int_equal(json_array_size(all), 0);
	json_decref(all);
}

static void test_summary(void **state)
{
	uint8_t faults[] = {PLAN_REFUSED, PLAN_REFUSED};
	struct campaign_result r = {.told = 1, .not_told = 1, .ms = 1234, .strange = 5};
	json_t *all, *failed;

	(void)state;
	r.faults = faults;
	r.udp = (struct net_counts){.sent = 3, .received = 2, .dropped = 1};
	statedir_put(&dir, "sm/a.lab.test", LINE("10.9.0.2", "me"));
	statedir_put(&dir, "sm/b.lab.test", LINE("10.9.0.3", "me"));
	load();
	list.peers[0].left = 0;
	report_json(out, &job, &r);
	all = parse();
	assert_int_equal(json_integer_value(json_object_get(all, "state")), 7);
	assert_int_equal(json_integer_value(json_object_get(all, "notified")), 1);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(all, "datagrams"), "strange")),
		5);
	failed = json_object_get(all, "failed");
	assert_int_equal(json_array_size(failed), 1);
	assert_string_equal(string_of(json_array_get(failed, 0), "peer"),
		monlist_peer_name(&list, &list.peers[1]));
	assert_string_equal(string_of(json_array_get(failed, 0), "reason"), "nobody listens there");
	json_decref(all);
}

static void test_summary_of_nothing(void **state)
{
	struct campaign_result r = {0};
	json_t *all;

	(void)state;
	load();
	report_json(out, &job, &r);
	all = parse();
	assert_int_equal(json_array_size(json_object_get(all, "failed")), 0);
	json_decref(all);
}

static void test_log(void **state)
{
	uint8_t faults[] = {PLAN_NO_ADDRESS, PLAN_NO_ADDRESS};
	struct campaign_result r = {.told = 1, .not_told = 1, .ms = 1234};

	(void)state;
	r.faults = faults;
	statedir_put(&dir, "sm/a.lab.test", LINE("10.9.0.2", "me"));
	statedir_put(&dir, "sm/b.lab.test", LINE("10.9.0.3", "me"));
	load();
	list.peers[0].left = 0;
	statedir_forget_log(&dir);
	report_log(&job, &r);
	assert_int_equal(dir.lines, 2);
	assert_non_null(strstr(dir.log, "not notified: the name cannot be resolved\n"));
	assert_non_null(
		strstr(dir.log, "state 7: 1 peers notified, 1 not, given up after 1.23 s\n"));
	statedir_forget_log(&dir);
	r.stopped = true;
	report_log(&job, &r);
	assert_int_equal(dir.lines, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_list),
		TEST(test_empty_list),
		TEST(test_summary),
		TEST(test_summary_of_nothing),
		TEST(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
