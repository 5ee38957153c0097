/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transactions on one node with real files: each kind of change forth, back and half way, what
 * cannot be done is refused before anything is changed, and what somebody else does meanwhile is
 * neither lost nor overwritten.
 */
#include "apply.h"

#include "check.h"
#include "message.h"
#include "need.h"
#include "rig.h"
#include "store.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct rig r;

static int set_up(void **state)
{
	(void)state;
	rig_init(&r, "symlinks = true");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_done(&r);
	return 0;
}

/* Both ways through, from generation 1. */
static void check_there_and_back(void)
{
	assert_int_equal(rig_prepare(&r, APPLY_ALONE), 0);
	assert_true(rig_is(&r, &r.one));
	assert_int_equal(apply_rollback(&r.apply, "never mind", &r.err), 0);
	assert_true(rig_is(&r, &r.one));
	assert_true(rig_is_clean(&r));

	assert_int_equal(rig_prepare(&r, APPLY_ALONE), 0);
	assert_int_equal(apply_commit(&r.apply, &r.err), 0);
	assert_true(rig_is(&r, &r.two));
	assert_int_equal(apply_rollback(&r.apply, "reload failed", &r.err), 0);
	assert_true(rig_is(&r, &r.one));
	assert_true(rig_is_clean(&r));

	assert_int_equal(rig_prepare(&r, APPLY_ALONE), 0);
	assert_int_equal(apply_commit(&r.apply, &r.err), 0);
	assert_int_equal(apply_finish(&r.apply, &r.err), 0);
	assert_true(rig_is(&r, &r.two));
	assert_true(rig_is_clean(&r));
}

static const struct way {
	const char *first, *change;
} ways[] = {
	{"echo a >a; echo b >b", "echo new >a; echo c >c; rm b"},
	{"true", "echo a >a"},
	{"echo a >a", "rm a"},
	{"echo a >a", "chmod 600 a"},
	{"echo a >a", "chown 12345:54321 a"},
	{"echo a >a", "setfattr -n user.x -v 1 a"},
	{"echo a >a; setfattr -n user.x -v 1 a", "setfattr -x user.x a; setfattr -n user.y a"},
	{"ln -s a l", "ln -sfn b l"},
	{"ln -s a l", "chown -h 7 l"},
	{"echo a >a", "rm a; ln -s /etc/passwd a"},
	{"ln -s /etc/passwd a", "rm a; echo a >a"},
	{"echo a >a", "rm a; mkdir a; echo b >a/b"},
	{"mkdir a; echo b >a/b; mkdir a/c; echo d >a/c/d", "rm -r a; echo a >a"},
	{"mkdir a; echo b >a/b", "rm -r a; ln -s . a"},
	{"ln -s . a", "rm a; mkdir a; echo b >a/b"},
	{"true", "mkdir -p d/e/f; echo x >d/x; echo y >d/e/f/y; chmod 700 d; chmod 1777 d/e"},
	{"mkdir -p d/e/f; echo x >d/x; echo y >d/e/f/y; ln -s x d/l", "rm -r d"},
	{"mkdir -p d/e; echo x >d/x; echo y >d/e/y", "rm -r d/e; echo z >d/x"},
	{"mkdir d; echo x >d/x", "chmod 700 d; chown 1:2 d"},
	{"mkdir d; echo x >d/x", "chmod 711 d; echo y >d/y; rm d/x"},
	{"mkdir d; echo x >d/x", "setfattr -n user.x -v 1 d"},
	{"chmod 755 .", "chmod 700 ."},
	{"echo a >a; ln a b", "echo new >a"},
	{"echo a >a; ln a b", "rm a"},
	{"echo a >a; ln a b", "rm b; echo n >n; ln n b; rm n"},
	{"echo a >a; echo b >b", "mv a t; mv b a; mv t b"},
	{"echo a >a; mkdir d", "mv a d/a"},
	{"mkdir d; echo a >d/a; echo b >d.b; echo c >d-c", "rm -r d; echo b2 >d.b; rm ./d-c"},
	{"echo a >'a b%\n'; echo b >$(printf '\\377')", "rm 'a b%\n'; echo c >$(printf '\\377')"},
	{"mkdir d d/d; echo a >d/d/d", "rm -r d; mkdir e e/d; echo a >e/d/d"},
	{": >empty", "echo x >empty; : >other"},
};

static void test_there_and_back(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		rig_generations(&r, ways[i].first, ways[i].change);
		check_there_and_back();
		tear_down(state);
		set_up(state);
	}
}

/* A new owner takes the bits away: the mode comes last. */
static void test_setuid(void **state)
{
	tear_down(state);
	rig_init(&r, "mode = \"4755\"");
	rig_generations(&r, "echo a >a; chmod 4755 a", "chown 1 a; chmod 4755 a");
	check_there_and_back();
}

static void check_nothing_done(void)
{
	assert_true(rig_is_clean(&r));
	assert_int_equal(r.state.now.number, 1);
}

static void test_changed_before_commit(void **state)
{
	static const char *const edits[] = {"echo q >>a", "printf 'A\\n' >a", "rm a", "chmod 600 a",
		"cp a t; mv t a", "mkdir n", "echo x >n", "chown 1 a", "touch -d 2001-01-01 a",
		"rm -r d", "echo q >d/x", "rm a; mkdir a", "echo x >d/foreign"};

	for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
		rig_generations(
			&r, "echo a >a; mkdir d; echo x >d/x", "echo b >a; echo n >n; rm -r d");
		assert_int_equal(rig_prepare(&r, APPLY_ALONE), 0);
		assert_int_equal(apply_check(&r.apply, &r.err), 0);
		scans_shell(&r.scans, "%s", edits[i]);
		assert_true(apply_commit(&r.apply, &r.err) < 0);
		assert_true(r.err.code == ESTALE || r.err.code == ENOTEMPTY);
		assert_int_equal(r.apply.phase, APPLY_PREPARED);
		assert_int_equal(apply_rollback(&r.apply, "stale", &r.err), 0);
		check_nothing_done();
		assert_string_not_equal(rig_read(&r, "a"), "b\n");
		tear_down(state);
		set_up(state);
	}
}

/* Between the scan and the preparation. */
static void test_changed_after_scan(void **state)
{
	static const char *const edits[] = {
		"echo b >a", "rm a", "mkdir n", "chmod 640 a", "rm a; ln -s b a", "rm a; mkfifo a"};

	for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
		rig_generations(&r, "echo a >a", "echo c >a; echo n >n");
		CHECK(scans_run(&r.scans, SCAN_FULL) == 0);
		scans_shell(&r.scans, "%s", edits[i]);
		assert_int_equal(apply_prepare(&r.apply, &r.state, APPLY_ALONE, r.two.transaction,
					 &r.scans.scan.files, &r.two, &r.err),
			-ESTALE);
		assert_int_equal(r.apply.phase, APPLY_NONE);
		check_nothing_done();
		tear_down(state);
		set_up(state);
	}
}

/* An editor has the file open, and writes when it has lost its name. */
static void test_written_by_old_inode(void **state)
{
	int fd, in_folder;

	(void)state;
	rig_generations(&r, "echo a >a; mkdir d; echo x >d/x", "echo b >a; rm -r d");
	fd = open(scans_path(&r.scans, "a"), O_WRONLY | O_APPEND);
	in_folder = open(scans_path(&r.scans, "d/x"), O_WRONLY | O_APPEND);
	assert_int_equal(rig_prepare(&r, APPLY_ALONE), 0);
	assert_int_equal(apply_commit(&r.apply, &r.err), 0);
	assert_int_equal(write(fd, "late\n", 5), 5);
	assert_int_equal(write(in_folder, "too\n", 4), 4);
	assert_int_equal(apply_finish(&r.apply, &r.err), 0);
	close(fd);
	close(in_folder);
	assert_true(rig_is(&r, &r.two));
	assert_true(rig_kept(&r, "set aside", "a", "a\nlate\n"));
	assert_true(rig_kept(&r, "set aside", "d/x", "x\ntoo\n"));
	assert_true(rig_is_clean(&r));
}

/* More than the store takes: it is not kept, but the transaction ends. */
static void test_grown_old_inode(void **state)
{
	int fd;

	(void)state;
	rig_generations(&r, "echo a >a; echo c >c", "echo b >a; echo d >c");
	fd = open(scans_path(&r.scans, "a"), O_WRONLY);
	assert_int_equal(rig_prepare(&r, APPLY_ALONE), 0);
	assert_int_equal(apply_commit(&r.apply, &r.err), 0);
	assert_int_equal(ftruncate(fd, (off_t)STORE_SIZE_MAX + 1), 0);
	close(fd);
	assert_int_equal(apply_finish(&r.apply, &r.err), 0);
	assert_true(rig_is(&r, &r.two));
	assert_true(rig_is_clean(&r));
}

/* Edits of what was put in force, before it is undone. */
static void test_edited_before_rollback(void **state)
{
	(void)state;
	rig_generations(&r, "echo a >a; echo z >z; echo gone >g",
		"echo b >a; mkdir d; echo x >d/x; "
		"echo n >n; rm g; echo y >z");
	assert_int_equal(rig_prepare(&r, APPLY_ALONE), 0);
	assert_int_equal(apply_commit(&r.apply, &r.err), 0);
	scans_shell(&r.scans,
		"echo edit >a; echo more >d/more; rm n; echo repl >t; mv t z; echo "
		"back >g; echo '#' >d/x~");
	assert_int_equal(apply_rollback(&r.apply, "reload failed", &r.err), 0);
	assert_true(rig_is(&r, &r.one));
	assert_true(rig_is_clean(&r));
	assert_true(rig_kept(&r, "set aside", "a", "edit\n"));
	assert_true(rig_kept(&r, "set aside", "d/more", "more\n"));
	assert_true(rig_kept(&r, "set aside", "z", "repl\n"));
	assert_true(rig_kept(&r, "set aside", "g", "back\n"));
	assert_true(rig_kept(&r, "undone", "a", "b\n"));
}

/* Nothing but the mode was changed: it is no content, but somebody's change all the same. */
static void test_mode_before_rollback(void **state)
{
	(void)state;
	rig_generations(&r, "echo a >a", "echo b >a");
	assert_int_equal(rig_prepare(&r, APPLY_ALONE), 0);
	assert_int_equal(apply_commit(&r.apply, &r.err), 0);
	scans_shell(&r.scans, "chmod 600 a");
	assert_int_equal(apply_rollback(&r.apply, "x", &r.err), 0);
	assert_true(rig_is(&r, &r.one));
	assert_true(rig_kept(&r, "set aside", "a", "b\n"));
}

static void test_folder_vanishes(void **state)
{
	(void)state;
	rig_generations(&r, "mkdir d; echo a >d/a; echo b >b", "echo a2 >d/a; echo b2 >b");
	assert_int_equal(rig_prepare(&r, APPLY_ALONE), 0);
	scans_shell(&r.scans, "rm -r d");
	assert_true(apply_commit(&r.apply, &r.err) < 0);
	assert_int_equal(apply_rollback(&r.apply, "x", &r.err), 0);
	assert_true(rig_is_clean(&r));
	assert_string_equal(rig_read(&r, "b"), "b\n");

	scans_shell(&r.scans, "mkdir d; echo a >d/a");
	assert_int_equal(rig_prepare(&r, APPLY_ALONE), 0);
	assert_int_equal(apply_commit(&r.apply, &r.err), 0);
	scans_shell(&r.scans, "rm -r d");
	assert_int_equal(apply_rollback(&r.apply, "x", &r.err), 0);
	assert_true(rig_is_clean(&r));
	assert_string_equal(rig_read(&r, "b"), "b\n");
}

/* What is refused. */

static void check_refused(int code, const char *words)
{
	assert_int_equal(rig_prepare(&r, APPLY_ALONE), -code);
	assert_int_equal(r.err.code, code);
	if (!strstr(r.err.text, words))
		fail_msg("\"%s\" lacks \"%s\"", r.err.text, words);
	assert_null(strchr(r.err.text, '\n'));
	assert_int_equal(r.apply.phase, APPLY_NONE);
	check_nothing_done();
}

static void test_foreign_file_in_folder(void **state)
{
	(void)state;
	rig_generations(&r, "mkdir d; echo a >d/a; echo b >b", "rm -r d; echo c >b");
	scans_config(&r.scans, "paths = {\"@/\"} exclude = {\"*.mine\"}", "");
	rig_close(&r);
	rig_open(&r);
	scans_shell(&r.scans, "echo x >d/x.mine");
	check_refused(ENOTEMPTY, "d/x.mine: is no part of the set");
	scans_shell(&r.scans, "rm d/x.mine; echo x >d/.xnbd-confsync.0123456789abcdef.0");
	assert_int_equal(rig_prepare(&r, APPLY_ALONE), -ENOTEMPTY);
	assert_non_null(strstr(r.err.text, "another transaction"));
	scans_shell(&r.scans, "rm d/.x*; echo x >d/a~");
	check_there_and_back();
}

static void test_not_ours(void **state)
{
	(void)state;
	rig_generations(&r, "echo a >a", "echo b >a; echo c >c");
	scans_config(&r.scans, "paths = {\"@/a\"}", "");
	rig_close(&r);
	rig_open(&r);
	check_refused(EPERM, "is no part of set t");
	assert_string_equal(rig_read(&r, "a"), "a\n");
}

static void test_link_on_the_way(void **state)
{
	(void)state;
	rig_generations(&r, "mkdir d; echo a >d/a", "echo b >d/a; mkdir d/n; echo x >d/n/x");
	CHECK(scans_run(&r.scans, SCAN_FULL) == 0);
	scans_shell(&r.scans, "mv d ../outside; ln -s ../outside d");
	assert_true(apply_prepare(&r.apply, &r.state, APPLY_ALONE, r.two.transaction,
			    &r.scans.scan.files, &r.two, &r.err) < 0);
	assert_string_equal(rig_read(&r, "../outside/a"), "a\n");
	scans_shell(&r.scans, "test \"$(ls -A ../outside)\" = a");
	check_nothing_done();
}

static void test_unknown_owner(void **state)
{
	(void)state;
	rig_generations(&r, "echo a >a", "echo b >a");
	for (size_t i = 0; i < r.two.files.count; i++)
		snprintf(r.two.files.entries[i].owner, MANIFEST_NAME_MAX, "no-such-user");
	assert_true(rig_prepare(&r, APPLY_ALONE) < 0);
	assert_non_null(strstr(r.err.text, "no-such-user"));
	check_nothing_done();
}

static void test_content_missing(void **state)
{
	(void)state;
	rig_generations(&r, "echo a >a", "echo b >a");
	scans_shell(&r.scans, "rm -r ../state/t/objects/*");
	check_refused(ENOENT, "a: its content is not on this node");
}

static bool unshared(void)
{
	static int tried;

	if (tried == 0)
		tried = unshare(CLONE_NEWNS) == 0 &&
				mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
			? 1
			: -1;
	return tried > 0;
}

static void test_mount_point(void **state)
{
	(void)state;
	need(unshared(), "a mount namespace");
	rig_generations(&r, "echo a >a; echo m >m", "echo b >a; echo n >m");
	scans_shell(&r.scans, "mount --bind m m");
	check_refused(EBUSY, "m: something is mounted here");
	scans_shell(&r.scans, "umount m");
	check_there_and_back();
}

static void test_read_only(void **state)
{
	(void)state;
	need(unshared(), "a mount namespace");
	rig_generations(&r, "mkdir d; echo a >d/a; echo m >m", "rm d/a; echo n >m");
	scans_shell(&r.scans, "mount --bind d d && mount -o remount,bind,ro d");
	check_refused(EROFS, "d/: cannot be written to");
	scans_shell(&r.scans, "umount d");
	check_there_and_back();
}

static void test_full(void **state)
{
	(void)state;
	need(unshared(), "a mount namespace");
	rig_generations(&r, "mkdir d; echo a >d/a; echo m >m",
		"echo n >m; dd if=/dev/zero of=d/b bs=64k count=8 2>&-; echo x >d/a");
	scans_shell(&r.scans, "mount -t tmpfs -o size=64k,mode=755 t d && echo a >d/a");
	check_refused(ENOSPC, "d/b");
	scans_shell(&r.scans, "test \"$(ls -A d)\" = a && umount d");
	check_there_and_back();
}

static void test_immutable(void **state)
{
	(void)state;
	rig_generations(&r, "echo a >a; echo m >m", "rm a; echo n >m");
	scans_shell(&r.scans, "chattr +i a 2>&- || touch ../cannot");
	if (access(scans_path(&r.scans, "../cannot"), F_OK) == 0)
		skip();
	check_refused(EPERM, "a: cannot be changed, it has the attribute immutable");
	scans_shell(&r.scans, "chattr -i a");
	check_there_and_back();
}

/* The journal. */

static void reopen(void)
{
	rig_close(&r);
	rig_open(&r);
}

static void test_phases(void **state)
{
	char id[GENERATION_ID_MAX];

	(void)state;
	rig_generations(&r, "echo a >a", "echo b >a");
	assert_int_equal(apply_peek(&r.state, id), APPLY_NONE);
	assert_int_equal(apply_outcome(&r.state, r.two.transaction), MESSAGE_RESULT_ABORT);
	assert_int_equal(rig_prepare(&r, APPLY_RECEIVER), 0);
	assert_int_equal(apply_peek(&r.state, id), APPLY_PREPARED);
	assert_string_equal(id, r.two.transaction);
	assert_int_equal(apply_outcome(&r.state, id), MESSAGE_RESULT_UNKNOWN);
	assert_int_equal(apply_outcome(&r.state, r.one.transaction), MESSAGE_RESULT_COMMIT);
	assert_int_equal(state_clean(&r.state, NULL), -EBUSY);

	reopen();
	assert_int_equal(apply_recover(&r.apply, &r.state, &r.err), 0);
	assert_int_equal(r.apply.phase, APPLY_PREPARED);
	assert_int_equal(r.apply.role, APPLY_RECEIVER);
	assert_int_equal(apply_commit(&r.apply, &r.err), 0);
	assert_int_equal(apply_outcome(&r.state, id), MESSAGE_RESULT_COMMIT);

	reopen();
	assert_int_equal(apply_recover(&r.apply, &r.state, &r.err), 0);
	assert_int_equal(r.apply.phase, APPLY_COMMITTED);
	assert_int_equal(apply_finish(&r.apply, &r.err), 0);
	assert_int_equal(apply_outcome(&r.state, id), MESSAGE_RESULT_COMMIT);
	assert_int_equal(apply_outcome(&r.state, r.one.transaction), MESSAGE_RESULT_COMMIT);
	assert_int_equal(state_clean(&r.state, NULL), 0);
	assert_true(rig_is(&r, &r.two));
}

static void test_presumed_abort(void **state)
{
	(void)state;
	rig_generations(&r, "echo a >a", "echo b >a; mkdir d; echo x >d/x");
	assert_int_equal(rig_prepare(&r, APPLY_SENDER), 0);
	reopen();
	assert_int_equal(apply_recover(&r.apply, &r.state, &r.err), 0);
	assert_int_equal(r.apply.phase, APPLY_NONE);
	assert_int_equal(apply_outcome(&r.state, r.two.transaction), MESSAGE_RESULT_ABORT);
	assert_true(rig_is(&r, &r.one));
	assert_true(rig_is_clean(&r));
}

static void test_damaged_journal(void **state)
{
	char other[GENERATION_ID_MAX];

	(void)state;
	rig_generations(&r, "echo a >a", "echo b >a");
	assert_int_equal(rig_prepare(&r, APPLY_RECEIVER), 0);
	scans_shell(&r.scans, "sed -i s/next/nxet/ ../state/t/txn/plan");
	reopen();
	assert_int_equal(apply_recover(&r.apply, &r.state, &r.err), -EBADMSG);
	assert_non_null(strstr(r.err.text, "plan is damaged"));
	scans_shell(&r.scans,
		"sed -i s/nxet/next/ ../state/t/txn/plan; sed -i '$d' "
		"../state/t/txn/made");
	reopen();
	assert_int_equal(apply_recover(&r.apply, &r.state, &r.err), -EBADMSG);
	assert_non_null(strstr(r.err.text, "made is damaged"));
	/* Also from outside it is never "there is none", which the next one would replace. */
	scans_shell(&r.scans, "sed -i 1s/plan/nalp/ ../state/t/txn/plan");
	assert_int_not_equal(apply_peek(&r.state, other), APPLY_NONE);
	assert_string_equal(other, "");
	scans_shell(&r.scans, "rm ../state/t/txn/plan");
	assert_int_equal(apply_peek(&r.state, other), APPLY_NONE);
}

/* A line of the phase that a power cut has left half-written, and one of another transaction. */
static void test_torn_phase(void **state)
{
	(void)state;
	rig_generations(&r, "echo a >a", "echo b >a");
	assert_int_equal(rig_prepare(&r, APPLY_RECEIVER), 0);
	scans_shell(&r.scans,
		"printf '\\n0123456789abcdef committing\\n%s commit' >>"
		"../state/t/txn/phase",
		r.two.transaction);
	reopen();
	assert_int_equal(apply_recover(&r.apply, &r.state, &r.err), 0);
	assert_int_equal(r.apply.phase, APPLY_PREPARED);
	assert_int_equal(apply_rollback(&r.apply, "x", &r.err), 0);
	assert_true(rig_is(&r, &r.one));
	assert_true(rig_is_clean(&r));
}

/* Nothing changes but the generation: what a sender does. */
static void test_no_items(void **state)
{
	(void)state;
	rig_generations(&r, "echo a >a", "echo b >a");
	scans_shell(&r.scans, "echo b >a; rm -r ../state/t/objects/*");
	assert_int_equal(rig_prepare(&r, APPLY_SENDER), 0);
	assert_int_equal(apply_commit(&r.apply, &r.err), 0);
	assert_int_equal(apply_rollback(&r.apply, "peer's reload failed", &r.err), 0);
	assert_int_equal(r.state.now.number, 1);
	assert_string_equal(rig_read(&r, "a"), "b\n");
	assert_int_equal(rig_prepare(&r, APPLY_SENDER), 0);
	assert_int_equal(apply_commit(&r.apply, &r.err), 0);
	assert_int_equal(apply_finish(&r.apply, &r.err), 0);
	assert_true(rig_is(&r, &r.two));
}

static void test_many_files(void **state)
{
	(void)state;
	rig_generations(&r, "mkdir a b; for i in $(seq 300); do echo $i >a/$i; echo $i >b/$i; done",
		"for i in $(seq 300); do echo x$i >a/$i; done; rm b/1*; mkdir -p n/m; "
		"for i in $(seq 60); do echo n$i >n/m/$i; done");
	check_there_and_back();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(test_there_and_back),
		T(test_setuid),
		T(test_changed_before_commit),
		T(test_changed_after_scan),
		T(test_written_by_old_inode),
		T(test_grown_old_inode),
		T(test_edited_before_rollback),
		T(test_mode_before_rollback),
		T(test_folder_vanishes),
		T(test_foreign_file_in_folder),
		T(test_not_ours),
		T(test_link_on_the_way),
		T(test_unknown_owner),
		T(test_content_missing),
		T(test_mount_point),
		T(test_read_only),
		T(test_full),
		T(test_immutable),
		T(test_phases),
		T(test_presumed_abort),
		T(test_damaged_journal),
		T(test_torn_phase),
		T(test_no_items),
		T(test_many_files),
	};

	/* As in test_apply_crash.c: a slow disk would be all that is measured. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	if (geteuid() != 0)
		return need_all("root, who alone can give owners away");
	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
