/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process that talks to strangers: identities are dropped, which is verified after the call, and
 * so are all system calls that its event loop does not need, grouped here by purpose.
 */
#include "sandbox.h"

#include "util.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static const int allowed[] = {
	/* sockets it has, accepts or receives */
	SCMP_SYS(accept4),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(shutdown),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(fcntl),
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(close),
	/* the loop */
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(futex),
	SCMP_SYS(restart_syscall),
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	/* log lines and the end */
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(tgkill),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(lseek),
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstat),
};

static int become_nobody(struct err *err)
{
	uid_t real, effective, saved;

	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return err_sys(err, errno, "become user %d", NOBODY);
	if (getresuid(&real, &effective, &saved) < 0 || real != NOBODY || effective != NOBODY ||
		saved != NOBODY || setuid(0) == 0)
		return err_set(err, EPERM, "could not give up root");
	return 0;
}

int sandbox_network_only(struct err *err)
{
	int ret = become_nobody(err);

	if (ret < 0)
		return ret;
	prctl(PR_SET_DUMPABLE, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, errno, "no_new_privs");
	return sandbox_allow_only(allowed, ARRAY_LEN(allowed), true, err);
}
