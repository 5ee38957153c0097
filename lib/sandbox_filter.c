/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filters of system calls (libseccomp); see sandbox.h. */
#include "sandbox.h"

#include <errno.h>
#include <seccomp.h>

int sandbox_allow_only(const int *calls, size_t count, bool kill, struct err *err)
{
	scmp_filter_ctx ctx = seccomp_init(kill ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM));
	int ret = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; ret == 0 && i < count; i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	if (ret == 0)
		ret = seccomp_load(ctx);
	if (ctx)
		seccomp_release(ctx);
	return ret < 0 ? err_sys(err, -ret, "system call filter") : 0;
}
