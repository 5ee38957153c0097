/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dropping identities, verified after the call; see sandbox.h. */
#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { NOBODY = 65534 };

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
	return sandbox_filter_network(err);
}
