/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch.h on real folders: what editors, shells and package managers do there must be told if it
 * matters, and must not if it does not.
 */
#include "watch.h"

#include "clock.h"
#include "confkit.h"
#include "loop.h"
#include "state.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <cmocka.h>

/* Bits of the sets. */
enum { TREE = 1, LIST = 2, WILD = 4 };

struct fixture {
	struct confkit kit;
	struct reactor reactor;
	struct watch watch;
	uint64_t changed, called;
};

static void on_changed(void *arg, uint64_t sets)
{
	((struct fixture *)arg)->changed |= sets;
}

static void on_called(void *arg, uint64_t sets)
{
	((struct fixture *)arg)->called |= sets;
}

static const char sets[] = CONFKIT_GENERAL CONFKIT_PAIR
	"set 'tree' { paths = {'@/etc/tree/'} exclude = {'*.orig', 'cache'} }\n"
	"set 'list' { paths = {'@/etc/one.conf', '@/etc/two.conf', '@/etc/far/away/three'} }\n"
	"set 'wild' { paths = {'@/etc/*.d/*.cf', '@/srv/**/deep.conf'} }\n"
	"set 'mine' { kind = 'local' paths = {'@/etc/tree/mine'} }\n";

static void run(struct fixture *f, const char *command)
{
	char text[1024];

	snprintf(text, sizeof(text), "cd '%s' && { %s; }", f->kit.temp.folder, command);
	assert_int_equal(system(text), 0);
}

static int set_up(void **state)
{
	static const struct watch_ops ops = {on_changed, on_called};
	struct fixture *f = calloc(1, sizeof(*f));

	confkit_init(&f->kit);
	assert_int_equal(confkit_read(&f->kit, sets), 0);
	run(f, "mkdir -p etc/tree/sub/cache etc/x.d srv/a state/tree state/list");
	run(f, "touch etc/one.conf etc/tree/a state/tree/peer state/tree/frozen");
	assert_int_equal(reactor_init(&f->reactor), 0);
	watch_init(&f->watch, &f->reactor, &f->kit.config, &ops, f);
	assert_int_equal(watch_lost(&f->watch), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	watch_done(&f->watch);
	reactor_done(&f->reactor);
	confkit_done(&f->kit);
	free(f);
	return 0;
}

/* Events are there as soon as the call that made them is over. */
static void expect_sets(struct fixture *f, const char *command, uint64_t changed)
{
	f->changed = 0;
	run(f, command);
	loop_turns(&f->reactor, 3);
	if (f->changed != changed)
		fail_msg("%s: %llx is told", command, (unsigned long long)f->changed);
}

static void test_files(void **state)
{
	struct fixture *f = *state;

	expect_sets(f, "true", 0);
	expect_sets(f, "echo 1 >etc/tree/a", TREE);
	expect_sets(f, "echo 1 >etc/tree/sub/new", TREE);
	expect_sets(f, "chmod 600 etc/tree/sub/new", TREE);
	expect_sets(f, "ln -s a etc/tree/link", TREE);
	expect_sets(f, "rm etc/tree/link", TREE);
	expect_sets(f, "cat etc/tree/a etc/one.conf >/dev/null; ls -R etc >/dev/null", 0);
	expect_sets(f, "echo 1 >etc/one.conf", LIST);
	expect_sets(f, "touch etc/two.conf", LIST);
	expect_sets(f, "touch etc/other.conf; rm etc/other.conf", 0);
	expect_sets(f, "touch etc/x.d/1.cf", WILD);
	expect_sets(f, "touch etc/x.d/1.other", 0);
	expect_sets(f, "touch etc/tree/a.orig etc/tree/sub/cache/x etc/tree/mine", 0);
	expect_sets(f, "chmod 700 etc/tree/sub", TREE);
	expect_sets(f, "chmod 711 etc", 0);
}

static void test_editors(void **state)
{
	struct fixture *f = *state;

	/* vi: may it write, a swap file, the old one becomes the backup. */
	expect_sets(f, "touch etc/tree/4913; rm etc/tree/4913", 0);
	expect_sets(
		f, "echo 1 >etc/tree/.a.swp; echo 2 >etc/tree/.a.swp; echo 3 >etc/tree/.a.swx", 0);
	expect_sets(f, "mv etc/tree/a etc/tree/a~; echo new >etc/tree/a; rm etc/tree/a~", TREE);
	expect_sets(f, "rm etc/tree/.a.swp etc/tree/.a.swx", 0);
	/* emacs: lock, saved by itself, the backup is a copy. */
	expect_sets(f, "ln -s me@here.1 etc/tree/.#a; echo 1 >'etc/tree/#a#'", 0);
	expect_sets(f, "cp etc/tree/a etc/tree/a~", 0);
	expect_sets(f, "echo 2 >etc/tree/a", TREE);
	expect_sets(f, "rm etc/tree/.#a 'etc/tree/#a#' etc/tree/a~", 0);
	/* Those who write beside it and rename. */
	expect_sets(f, "echo 1 >etc/tree/a.dpkg-new; echo 1 >etc/one.conf~", 0);
	expect_sets(f, "mv etc/tree/a.dpkg-new etc/tree/a", TREE);
	expect_sets(f, "mv etc/one.conf~ etc/one.conf", LIST);
	/* We. */
	expect_sets(f, "echo 1 >etc/tree/.xnbd-confsync.0011223344556677.1.new", 0);
	expect_sets(f, "mv etc/tree/.xnbd-confsync.0011223344556677.1.new etc/tree/b", TREE);
}

static void test_folders(void **state)
{
	struct fixture *f = *state;

	expect_sets(f, "mkdir -p etc/tree/1/2/3/4/5/6", TREE);
	expect_sets(f, "touch etc/tree/1/2/3/4/5/6/x", TREE);
	expect_sets(f, "mv etc/tree/1 etc/tree/one", TREE);
	expect_sets(f, "touch etc/tree/one/2/3/y", TREE);
	expect_sets(f, "mv etc/tree/one/2 away", TREE);
	expect_sets(f, "touch away/3/z; rm -r away", 0);
	expect_sets(f, "mkdir etc/tree/one/2; touch etc/tree/one/2/x", TREE);
	expect_sets(f, "touch etc/tree/one/2/y", TREE);
	expect_sets(f, "mkdir -p full/of/it; touch full/of/it/x", 0);
	expect_sets(f, "mv full etc/tree/", TREE);
	expect_sets(f, "echo 1 >etc/tree/full/of/it/x", TREE);
	expect_sets(f, "rm -r etc/tree/full", TREE);
	expect_sets(f, "mkdir -p srv/a/b/c", WILD);
	expect_sets(f, "touch srv/a/b/c/other", 0);
	expect_sets(f, "touch srv/a/b/c/deep.conf", WILD);
	expect_sets(f, "mkdir etc/y.d", WILD);
	expect_sets(f, "touch etc/y.d/2.cf", WILD);
	expect_sets(f, "mkdir etc/other; touch etc/other/x.cf", 0);
}

/* What the sets begin with goes, and comes again. */
static void test_above(void **state)
{
	struct fixture *f = *state;

	expect_sets(f, "mkdir etc/far", LIST);
	expect_sets(f, "mkdir etc/far/away", LIST);
	expect_sets(f, "touch etc/far/away/three", LIST);
	expect_sets(f, "touch etc/far/away/four", 0);
	for (int i = 0; i < 3; i++) {
		expect_sets(f, "rm -r etc/tree", TREE);
		expect_sets(f, "mkdir etc/tree", TREE);
		expect_sets(f, "touch etc/tree/a", TREE);
	}
	expect_sets(f, "mv etc etc.away", TREE | LIST | WILD);
	expect_sets(f, "touch etc.away/tree/a; rm -r etc.away", 0);
	expect_sets(f, "mkdir -p etc/tree", TREE | LIST | WILD);
	expect_sets(f, "touch etc/tree/a", TREE);
	expect_sets(f, "touch etc/one.conf", LIST);
	expect_sets(f, "rm -r etc/*", TREE | LIST);
}

/* A link is not gone through. */
static void test_links(void **state)
{
	struct fixture *f = *state;
	size_t count = f->watch.count;

	run(f, "mkdir -p elsewhere/1/2");
	expect_sets(f, "ln -s ../../elsewhere etc/tree/there", TREE);
	watch_refresh(&f->watch);
	assert_int_equal(f->watch.count, count);
	expect_sets(f, "touch elsewhere/1/x", 0);
	assert_int_equal(watch_lost(&f->watch), 0);
}

static void test_overflow(void **state)
{
	struct fixture *f = *state;
	const struct inotify_event e = {.wd = -1, .mask = IN_Q_OVERFLOW};

	watch_take(&f->watch, (const char *)&e, sizeof(e));
	assert_int_equal(f->watch.changed, TREE | LIST | WILD);
	assert_true(f->watch.overflow);
	assert_int_equal(f->watch.overflows, 1);
	expect_sets(f, "mkdir -p etc/tree/1/2", TREE | LIST | WILD);
	assert_false(f->watch.overflow);
	expect_sets(f, "touch etc/tree/1/2/x", TREE);
}

/* Nonsense, and what is cut off, is passed over. */
static void test_odd_events(void **state)
{
	struct fixture *f = *state;
	struct inotify_event e = {.wd = 1 << 20, .mask = IN_CREATE};

	watch_take(&f->watch, (const char *)&e, sizeof(e));
	watch_take(&f->watch, (const char *)&e, sizeof(e) - 1);
	e.len = 1000;
	watch_take(&f->watch, (const char *)&e, sizeof(e));
	assert_int_equal(f->watch.changed, 0);
}

static void test_state_folder(void **state)
{
	struct fixture *f = *state;

	expect_sets(f, "echo 1 >state/tree/peer.new; mv state/tree/peer.new state/tree/peer", 0);
	expect_sets(f, "touch state/tree/generation", 0);
	assert_int_equal(f->called, 0);
	expect_sets(f, "touch state/tree/peer", 0);
	assert_int_equal(f->called, TREE);
	f->called = 0;
	expect_sets(f, "rm state/tree/frozen", 0);
	assert_int_equal(f->called, TREE);
	/* One that comes later. */
	run(f, "mkdir state/wild; touch state/wild/peer");
	watch_refresh(&f->watch);
	f->called = 0;
	expect_sets(f, "touch state/wild/peer", 0);
	assert_int_equal(f->called, WILD);
}

static void test_no_watches(void **state)
{
	struct fixture *f = *state;
	size_t count = f->watch.count;

	watch_done(&f->watch);
	assert_int_equal(f->watch.count, 0);
	watch_refresh(&f->watch); /* as after a time without instances */
	assert_int_equal(f->watch.count, count);
	expect_sets(f, "touch etc/tree/a", TREE);
}

static void test_many(void **state)
{
	struct fixture *f = *state;

	expect_sets(f, "i=0; while [ $i -lt 300 ]; do mkdir -p etc/tree/m/$i/x; i=$((i+1)); done",
		TREE);
	while (loop_turn(&f->reactor), f->watch.count < 600)
		;
	expect_sets(f, "touch etc/tree/m/299/x/y", TREE);
	expect_sets(f, "mv etc/tree/m m", TREE);
	assert_true(f->watch.count < 100);
	expect_sets(f, "rm -r m", 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_files),
		TEST(test_editors),
		TEST(test_folders),
		TEST(test_above),
		TEST(test_links),
		TEST(test_overflow),
		TEST(test_odd_events),
		TEST(test_state_folder),
		TEST(test_no_watches),
		TEST(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
