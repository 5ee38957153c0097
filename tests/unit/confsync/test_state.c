/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a node remembers of a set: generation, history, lock, peer, troubles; damage and tampering.
 */
#include "state.h"

#include "check.h"
#include "child.h"
#include "need.h"
#include "rig.h"
#include "sample.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct rig r;

static int set_up(void **state)
{
	(void)state;
	rig_init(&r, "keep = 3");
	rig_generations(&r, "echo a >a", "echo b >a");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_done(&r);
	return 0;
}

static void reopen(void)
{
	rig_close(&r);
	rig_open(&r);
}

static size_t count_past(void)
{
	struct state_past past;
	size_t count;

	assert_int_equal(state_history(&r.state, &past, &r.err), 0);
	count = past.count;
	state_past_done(&past);
	return count;
}

static void check_now(uint64_t number)
{
	assert_int_equal(r.state.now.number, number);
	reopen();
	assert_int_equal(r.state.now.number, number);
}

static void test_forth_and_back(void **state)
{
	(void)state;
	check_now(1);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(state_set_generation(&r.state, &r.two, &r.err), 0);
		check_now(2);
		assert_int_equal(count_past(), 1);
	}
	for (int again = 0; again < 2; again++) {
		assert_int_equal(state_back_to(&r.state, &r.one, "reload failed", &r.err), 0);
		check_now(1);
		assert_int_equal(count_past(), 1);
	}
	assert_true(rig_kept(&r, "undone: reload failed", "a", "b\n"));
}

static void test_back_to_none(void **state)
{
	struct generation none;

	(void)state;
	generation_init(&none);
	assert_int_equal(state_back_to(&r.state, &none, "x", &r.err), 0);
	check_now(0);
	assert_string_equal(r.state.now.set, "t");
}

/* Cut off after the history was written, before the generation was replaced. */
static void test_cut_off(void **state)
{
	(void)state;
	assert_int_equal(state_set_generation(&r.state, &r.two, &r.err), 0);
	scans_shell(&r.scans, "cd ../state/t && cp history/1-???????? generation");
	reopen();
	assert_int_equal(state_set_generation(&r.state, &r.two, &r.err), 0);
	assert_int_equal(count_past(), 1);
	scans_shell(&r.scans, "cd ../state/t && cp history/1-???????? generation");
	reopen();
	assert_int_equal(state_back_to(&r.state, &r.one, "x", &r.err), 0);
	assert_int_equal(count_past(), 0);
}

static void test_keep(void **state)
{
	(void)state;
	for (uint64_t n = 2; n < 9; n++) {
		r.two.number = n;
		assert_int_equal(state_set_generation(&r.state, &r.two, &r.err), 0);
		assert_int_equal(state_set_aside(&r.state, &r.one, "lost", &r.err), 0);
	}
	assert_int_equal(count_past(), 4); /* three, and the one set aside */
	assert_true(rig_kept(&r, "set aside: lost", "a", "a\n"));
}

static void test_past(void **state)
{
	char hex[MANIFEST_HEX];
	struct generation g;
	static const char *const none[] = {
		"3", "", "0", "-1", "1x", "abcdef", "ffffffffff", "../1"};

	(void)state;
	assert_int_equal(state_set_generation(&r.state, &r.two, &r.err), 0);
	assert_int_equal(state_past(&r.state, "1", &g, &r.err), 0);
	assert_memory_equal(g.digest, r.one.digest, MANIFEST_HASH);
	generation_done(&g);
	assert_int_equal(state_past(&r.state, "2", &g, &r.err), 0);
	assert_memory_equal(g.digest, r.two.digest, MANIFEST_HASH);
	generation_done(&g);
	hash_to_hex(r.one.digest, hex);
	hex[12] = 0;
	assert_int_equal(state_past(&r.state, hex, &g, &r.err), 0);
	assert_int_equal(g.number, 1);
	generation_done(&g);
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_int_equal(state_past(&r.state, none[i], &g, &r.err), -ENOENT);
}

static void test_clean(void **state)
{
	(void)state;
	assert_int_equal(state_set_generation(&r.state, &r.two, &r.err), 0);
	scans_shell(&r.scans,
		"mkdir -p ../state/t/objects/ab && : "
		">../state/t/objects/ab/"
		"00000000000000000000000000000000000000000000000000000000000000");
	assert_int_equal(state_clean(&r.state, NULL), 0);
	scans_shell(&r.scans, "test $(find ../state/t/objects -type f | wc -l) = 2");
	scans_shell(&r.scans, "rm ../state/t/history/1-*");
	assert_int_equal(state_clean(&r.state, &r.one.files), 0);
	scans_shell(&r.scans, "test $(find ../state/t/objects -type f | wc -l) = 2");
	assert_int_equal(state_clean(&r.state, NULL), 0);
	scans_shell(&r.scans, "test $(find ../state/t/objects -type f | wc -l) = 1");
}

enum { PASTS = 40, FILES = 3000, MEMORY_MAX_KIB = 20 * 1024 };

/* A history of PASTS generations of FILES files, which differ in one. */
static void make_history(void)
{
	struct generation g;
	char path[300];

	assert_int_equal(generation_copy(&g, &r.one), 0);
	for (int i = 0; i < FILES; i++) {
		struct entry e;

		snprintf(path, sizeof(path), "/etc/%0250d/%04d", 0, i);
		e = sample_entry(MANIFEST_FILE, path);
		assert_int_equal(manifest_add(&g.files, &e), 0);
	}
	assert_int_equal(manifest_sort(&g.files), 0);
	for (int i = 0; i < PASTS; i++) {
		g.files.entries[0].mode = (unsigned)i;
		assert_int_equal(manifest_digest(&g.files, g.digest), 0);
		assert_int_equal(state_set_aside(&r.state, &g, "x", &r.err), 0);
	}
	generation_done(&g);
}

static long memory_used(void)
{
	struct rusage u;

	CHECK(getrusage(RUSAGE_SELF, &u) == 0);
	return u.ru_maxrss; /* KiB, the most there ever was */
}

static void clean_many(void)
{
	long before = memory_used();

	CHECK(state_clean(&r.state, NULL) == 0);
	CHECK(memory_used() - before < MEMORY_MAX_KIB);
}

/* A long history is not in memory at once. */
static void test_clean_many(void **state)
{
	int status;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* keeps what was freed */
#endif
	rig_done(&r);
	rig_init(&r, "keep = 100");
	rig_generations(&r, "echo a >a", "echo b >a");
	make_history();
	status = child_run(clean_many);
	assert_int_equal(status, 0);
}

/* A damaged file is never taken for none. */
static void test_damage(void **state)
{
	struct state_past past;
	struct generation g;
	struct state other;

	(void)state;
	assert_int_equal(state_set_generation(&r.state, &r.two, &r.err), 0);
	scans_shell(&r.scans, "sed -i s/0644/0666/ ../state/t/history/1-*");
	assert_int_equal(state_history(&r.state, &past, &r.err), 0);
	assert_int_equal(past.count, 1);
	assert_int_equal(past.items[0].number, 1);
	assert_ptr_equal(strstr(past.items[0].reason, "damaged: "), past.items[0].reason);
	state_past_done(&past);
	assert_int_equal(state_past(&r.state, "1", &g, &r.err), -EBADMSG);
	assert_int_equal(state_clean(&r.state, NULL), -EBADMSG);

	scans_shell(&r.scans, "truncate -s -1 ../state/t/generation");
	assert_int_equal(state_open(&other, &r.scans.config, r.state.set, &r.err), -EBADMSG);
	assert_non_null(strstr(r.err.text, "generation is damaged"));
	assert_int_equal(state_held_read(&r.state, &g, &r.err), -ENOENT);
	assert_int_equal(state_held_write(&r.state, &r.two, &r.err), 0);
	assert_int_equal(state_held_read(&r.state, &g, &r.err), 0);
	generation_done(&g);
	scans_shell(&r.scans, "echo x >>../state/t/held");
	assert_int_equal(state_held_read(&r.state, &g, &r.err), -EBADMSG);
}

static void test_folders_are_ours(void **state)
{
	struct state other;
	struct stat st;

	(void)state;
	assert_int_equal(stat(r.state.folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	scans_shell(&r.scans, "chmod 770 ../state/t");
	assert_int_equal(state_open(&other, &r.scans.config, r.state.set, &r.err), -EPERM);
	scans_shell(&r.scans, "mv ../state/t ../elsewhere && ln -s ../elsewhere ../state/t");
	assert_int_equal(state_open(&other, &r.scans.config, r.state.set, &r.err), -EPERM);
}

static void test_lock(void **state)
{
	struct state other;

	(void)state;
	assert_int_equal(state_open(&other, &r.scans.config, r.state.set, &r.err), 0);
	assert_int_equal(state_lock(&other, 60, &r.err), -EBUSY);
	assert_int_equal(state_set_generation(&r.state, &r.two, &r.err), 0);
	state_unlock(&r.state);
	assert_int_equal(other.now.number, 1);
	assert_int_equal(state_lock(&other, 0, &r.err), 0);
	assert_int_equal(other.now.number, 2);
	state_close(&other);
}

/* The daemon, commands and who answers the peer write it without the set's lock. */
static void test_peer_written_by_many(void **state)
{
	enum { WRITERS = 3, TIMES = 40 };
	struct state_peer p = {.time = 1, .reached = true}, q;
	int status;

	(void)state;
	assert_int_equal(state_peer_write(&r.state, &p), 0);
	for (int i = 0; i < WRITERS; i++) {
		if (fork() != 0)
			continue;
		memset(p.text, 'a' + i, 50 * ((size_t)i + 1));
		for (int k = 0; k < TIMES; k++) {
			if (state_peer_write(&r.state, &p) < 0 || state_peer_read(&r.state, &q) < 0)
				_exit(1);
		}
		_exit(0);
	}
	for (int i = 0; i < WRITERS; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(state_peer_read(&r.state, &q), 0);
}

static void test_peer(void **state)
{
	struct state_peer p = {.time = 1234567890, .reached = true, .text = "a\nb"}, q;

	(void)state;
	assert_int_equal(state_peer_read(&r.state, &q), -ENOENT);
	p.side = (struct plan_side){.number = 7, .vector = r.two.vector, .active = true};
	assert_int_equal(vector_bump(&p.side.vector, "a9"), 0);
	memcpy(p.side.digest, r.one.digest, MANIFEST_HASH);
	memcpy(p.side.live, r.two.digest, MANIFEST_HASH);
	hash_to_hex(r.two.digest, p.definition);
	assert_int_equal(state_peer_write(&r.state, &p), 0);
	assert_int_equal(state_peer_read(&r.state, &q), 0);
	assert_memory_equal(&p.side, &q.side, sizeof(p.side));
	assert_string_equal(p.definition, q.definition);
	assert_int_equal(q.time, p.time);
	assert_true(q.reached && q.boottime > 0);
	assert_null(strchr(q.text, '\n'));
	scans_shell(&r.scans, "sed -i 's/\"boot\": \"/&x/' ../state/t/peer");
	assert_int_equal(state_peer_read(&r.state, &q), 0);
	assert_int_equal(q.boottime, 0);
	scans_shell(&r.scans, "echo '[' >../state/t/peer");
	assert_int_equal(state_peer_read(&r.state, &q), -EBADMSG);
}

static void test_trouble(void **state)
{
	struct state_trouble t = {.why = PLAN_BECAUSE_BOTH, .held = true, .since = 99}, u;

	(void)state;
	assert_false(state_trouble_read(&r.state, &u));
	snprintf(t.text, sizeof(t.text), "validate: exit status 1");
	memcpy(t.digest, r.one.digest, MANIFEST_HASH);
	assert_int_equal(state_trouble_write(&r.state, &t), 0);
	assert_true(state_trouble_read(&r.state, &u));
	assert_memory_equal(&t, &u, sizeof(t));
	scans_shell(&r.scans, "echo x >../state/t/trouble");
	assert_true(state_trouble_read(&r.state, &u));
	assert_true(u.failed && strstr(u.text, "cannot be read"));
	state_trouble_clear(&r.state);
	assert_false(state_trouble_read(&r.state, &u));
}

static void test_frozen(void **state)
{
	(void)state;
	assert_false(state_is_frozen(&r.state));
	assert_int_equal(state_freeze(&r.state, true, &r.err), 0);
	assert_true(state_is_frozen(&r.state));
	assert_int_equal(state_freeze(&r.state, false, &r.err), 0);
	assert_int_equal(state_freeze(&r.state, false, &r.err), 0);
	assert_false(state_is_frozen(&r.state));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(test_forth_and_back),
		T(test_back_to_none),
		T(test_cut_off),
		T(test_keep),
		T(test_past),
		T(test_clean),
		T(test_clean_many),
		T(test_damage),
		T(test_folders_are_ours),
		T(test_lock),
		T(test_peer_written_by_many),
		T(test_peer),
		T(test_trouble),
		T(test_frozen),
	};

	if (geteuid() != 0)
		return need_all("root, who alone can give owners away");
	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
