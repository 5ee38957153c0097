/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A transaction that is killed before each system call that changes something, and its recovery,
 * killed the same way: afterwards all files are of one of the two generations, which is the one in
 * force, and nothing is left over. A filter (seccomp) stops the process at these calls, its parent
 * counts them and kills it at the one it wants (ptrace); the call is not made then.
 */
#include "apply.h"

#include "check.h"
#include "need.h"
#include "rig.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct rig r;

/* A fork of a process with a sanitizer takes so long that only some places are tried. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STEP = 7 };
#else
enum { STEP = 1 };
#endif

/* The calls. A write to the log changes nothing, but does no harm either. */

#define STOP_AT(nr)                                                                                \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1),                                           \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE)

static struct sock_filter filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	STOP_AT(SYS_renameat2),
	STOP_AT(SYS_renameat),
	STOP_AT(SYS_unlinkat),
	STOP_AT(SYS_mkdirat),
	STOP_AT(SYS_symlinkat),
	STOP_AT(SYS_linkat),
	STOP_AT(SYS_write),
	STOP_AT(SYS_pwrite64),
	STOP_AT(SYS_ftruncate),
	STOP_AT(SYS_fsync),
	STOP_AT(SYS_fdatasync),
	STOP_AT(SYS_syncfs),
	STOP_AT(SYS_fchmod),
	STOP_AT(SYS_fchmodat),
	STOP_AT(SYS_fchown),
	STOP_AT(SYS_fchownat),
	STOP_AT(SYS_fsetxattr),
	STOP_AT(SYS_fremovexattr),
	STOP_AT(SYS_utimensat),
	STOP_AT(SYS_copy_file_range),
#ifdef SYS_rename
	STOP_AT(SYS_rename),
	STOP_AT(SYS_unlink),
	STOP_AT(SYS_rmdir),
	STOP_AT(SYS_mkdir),
	STOP_AT(SYS_symlink),
	STOP_AT(SYS_chmod),
	STOP_AT(SYS_chown),
	STOP_AT(SYS_lchown),
#endif
	/* openat() only if it may make a file */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static void be_watched(void)
{
	struct sock_fprog program = {.len = ARRAY_LEN(filter), .filter = filter};

	CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	raise(SIGSTOP);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* Lets PID go on to its call number AT (from 1), which is not made. 0: it ended before, well. */
static unsigned watch(pid_t pid, unsigned at)
{
	unsigned calls = 0;
	int status;

	CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	CHECK(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL) == 0);
	for (;;) {
		CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
		CHECK(waitpid(pid, &status, 0) == pid);
		if (WIFEXITED(status)) {
			CHECK(WEXITSTATUS(status) == 0);
			return 0;
		}
		CHECK(WIFSTOPPED(status));
		if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_SECCOMP << 8)) && ++calls == at)
			break;
	}
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	return at;
}

/* FN in a process of its own, killed at call AT: true. */
static bool run_killed(void (*fn)(void), unsigned at)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		be_watched();
		fn();
		_exit(0);
	}
	return watch(pid, at) != 0;
}

/* What is run: all kinds of changes, in all ways. */

static const char first[] =
	"echo a >edit; echo b >delete; echo c >mode; ln -s x link; mkdir stays goes type; "
	"echo d >stays/f; mkdir goes/deep; echo e >goes/deep/f; echo f >goes/g; echo g >type/f; "
	"echo h >file; echo i >stays/owner";
static const char change[] =
	"echo A >edit; rm delete; chmod 600 mode; ln -sfn y link; chmod 750 stays; "
	"echo D >stays/f; rm -r goes type; echo t >type; rm file; mkdir -p file/in new/deep; "
	"echo H >file/in/f; echo n >new/deep/n; echo m >new/m; echo added >added; "
	"chown 1:2 stays/owner";

static void open_again(void)
{
	r.state = (struct state){.lock = -1};
	rig_open(&r);
}

static void run_finish(void)
{
	open_again();
	CHECK(rig_prepare(&r, APPLY_ALONE) == 0);
	CHECK(apply_commit(&r.apply, &r.err) == 0);
	CHECK(apply_finish(&r.apply, &r.err) == 0);
}

static void run_rollback(void)
{
	open_again();
	CHECK(rig_prepare(&r, APPLY_RECEIVER) == 0);
	CHECK(apply_commit(&r.apply, &r.err) == 0);
	CHECK(apply_rollback(&r.apply, "reload failed", &r.err) == 0);
}

static void run_give_up(void)
{
	open_again();
	CHECK(rig_prepare(&r, APPLY_RECEIVER) == 0);
	CHECK(apply_rollback(&r.apply, "refused", &r.err) == 0);
}

static void run_recovery(void)
{
	open_again();
	CHECK(apply_recover(&r.apply, &r.state, &r.err) == 0);
}

/* The folder as it was before each run. */

static void shell(const char *text)
{
	scans_shell(&r.scans, "%s", text);
}

static void save(void)
{
	shell("rm -rf ../saved && mkdir ../saved && cp -a . ../saved/files && "
	      "cp -a ../state ../saved/state");
}

static void restore(void)
{
	shell("find . -mindepth 1 -delete && cp -a ../saved/files/. . && rm -rf ../state && "
	      "cp -a ../saved/state ../state");
}

static void say(const char *what, unsigned at, unsigned again)
{
	fprintf(stderr, "%s killed at call %u, recovery at %u: phase %s: %s\n", what, at, again,
		apply_phase_text(r.apply.phase), r.err.text);
}

static bool is_one_of_both(void)
{
	const struct generation *g = r.state.now.number == 1 ? &r.one : &r.two;

	return rig_is(&r, g);
}

/* As whoever recovers does it: the one or the other end of what is not ended. */
static bool end_well(unsigned at)
{
	if (r.apply.phase == APPLY_NONE)
		return true;
	if (r.apply.phase == APPLY_PREPARED && at % 2)
		CHECK(apply_commit(&r.apply, &r.err) == 0);
	if (r.apply.phase == APPLY_COMMITTED && at % 3)
		return apply_finish(&r.apply, &r.err) == 0;
	return apply_rollback(&r.apply, "after a crash", &r.err) == 0;
}

static void check_after(const char *what, unsigned at, unsigned again)
{
	bool good;

	open_again();
	good = apply_recover(&r.apply, &r.state, &r.err) == 0 && is_one_of_both() && end_well(at) &&
		is_one_of_both() && rig_is_clean(&r);
	if (!good)
		say(what, at, again);
	assert_true(good);
	rig_close(&r);
}

/* Each recovery begins where the one before was killed, and gets further. */
static unsigned kill_recoveries(void)
{
	unsigned at = 1;

	while (run_killed(run_recovery, at))
		at += 1 + at / 4;
	return at;
}

static unsigned check_killed(const char *what, void (*fn)(void))
{
	unsigned at = 1;

	for (;; at += STEP) {
		unsigned again = 0;

		restore();
		if (!run_killed(fn, at))
			break;
		if (at / STEP % 3 == 0)
			again = kill_recoveries();
		check_after(what, at, again);
	}
	return at;
}

static void check_all(const char *what, void (*fn)(void))
{
	unsigned calls = check_killed(what, fn);

	assert_true(calls > 50);
	check_after(what, 0, 0); /* ran to its end */
	fprintf(stderr, "%s: killed at %u calls\n", what, (calls - 1) / STEP);
}

static void test_finish(void **state)
{
	(void)state;
	check_all("finish", run_finish);
}

static void test_rollback(void **state)
{
	(void)state;
	check_all("rollback", run_rollback);
}

static void test_give_up(void **state)
{
	(void)state;
	check_all("giving up", run_give_up);
}

/* Recovery from the same crash, killed at each of its calls. */
static void check_recovery(const char *what, void (*fn)(void), unsigned at)
{
	for (unsigned again = 1;; again += STEP) {
		bool killed;

		restore();
		if (!run_killed(fn, at))
			return;
		killed = run_killed(run_recovery, again);
		check_after(what, at, again);
		if (!killed)
			return;
	}
}

/* Of crashes in each phase. */
static void test_recovery(void **state)
{
	(void)state;
	for (unsigned at = 11; at < 230; at += 43 * STEP) {
		check_recovery("finish", run_finish, at);
		check_recovery("rollback", run_rollback, at + 17);
	}
}

/* Somebody edits what is in force, then it is undone: the edits are kept, and nothing takes them
 * for what was there before. */

static void run_undoing(void)
{
	open_again();
	CHECK(apply_recover(&r.apply, &r.state, &r.err) == 0);
	CHECK(apply_rollback(&r.apply, "edited", &r.err) == 0);
}

static void check_edits_kept(unsigned at)
{
	bool good;

	open_again();
	good = apply_recover(&r.apply, &r.state, &r.err) == 0 &&
		apply_rollback(&r.apply, "edited", &r.err) == 0 && rig_is(&r, &r.one) &&
		rig_is_clean(&r) && rig_kept(&r, "set aside", "edit", "mine\n") &&
		rig_kept(&r, "set aside", "added", "mine too\n") &&
		rig_kept(&r, "set aside", "delete", "again\n");
	if (!good)
		say("undoing of edits", at, 0);
	assert_true(good);
	rig_close(&r);
}

/* Each time anew: copies of a transaction's files would have other inodes. */
static void commit_and_edit(void)
{
	restore();
	open_again();
	assert_int_equal(rig_prepare(&r, APPLY_ALONE), 0);
	assert_int_equal(apply_commit(&r.apply, &r.err), 0);
	rig_close(&r);
	shell("echo mine >t && mv t edit && echo 'mine too' >t && mv t added && echo again >delete");
}

static void test_edited(void **state)
{
	unsigned at = 1;
	bool killed;

	(void)state;
	do {
		commit_and_edit();
		killed = run_killed(run_undoing, at);
		if (killed && at / STEP % 3 == 0)
			kill_recoveries();
		check_edits_kept(at);
		at += STEP;
	} while (killed);
	assert_true(at > 50);
}

static int set_up(void **state)
{
	(void)state;
	rig_init(&r, "symlinks = true");
	rig_generations(&r, first, change);
	rig_close(&r);
	save();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_done(&r);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_give_up),
		cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_edited),
	};

	/* Thousands of syncs: of a disk they would take minutes, and nothing here cuts its power.
	 */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	if (geteuid() != 0)
		return need_all("root, who alone can give owners away");
	return need_status(cmocka_run_group_tests(tests, set_up, tear_down));
}
