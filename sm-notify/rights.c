/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Identities; see rights.h. The saved user id stays root between borrow and return, and what is
 * given up for good is verified, not believed.
 */
#include "rights.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CAPABILITIES_MAX = 64, CAPABILITY_WORDS = 2 };

int rights_init(struct rights *r, uid_t uid, gid_t gid, struct err *err)
{
	*r = (struct rights){.uid = uid, .gid = gid, .root = geteuid() == 0};
	if (!r->root && geteuid() != uid)
		return err_set(
			err, EPERM, "only root and the owner of sm, user %u, can do this", uid);
	if (r->root && setgroups(0, NULL) < 0)
		return err_sys(err, errno, "give up groups");
	return 0;
}

int rights_borrow(struct rights *r, struct err *err)
{
	if (!r->root || r->borrowed)
		return 0;
	if (setegid(r->gid) < 0 || seteuid(r->uid) < 0)
		return err_sys(err, errno, "work as user %u, the owner of sm", r->uid);
	r->borrowed = true;
	return 0;
}

int rights_return(struct rights *r, struct err *err)
{
	if (!r->borrowed)
		return 0;
	if (seteuid(0) < 0 || setegid(0) < 0)
		return err_sys(err, errno, "work as root again");
	r->borrowed = false;
	return 0;
}

static int become_owner(const struct rights *r, struct err *err)
{
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;

	if (r->root &&
		(setresgid(r->gid, r->gid, r->gid) < 0 || setresuid(r->uid, r->uid, r->uid) < 0))
		return err_sys(err, errno, "become user %u, the owner of sm", r->uid);
	if (getresuid(&real, &effective, &saved) < 0 ||
		getresgid(&real_group, &effective_group, &saved_group) < 0)
		return err_sys(err, errno, "who are we");
	if (r->root && (real_group != r->gid || effective_group != r->gid || saved_group != r->gid))
		return err_set(err, EPERM, "could not give up the group of root");
	if (real != r->uid || effective != r->uid || saved != r->uid ||
		(r->uid != 0 && setuid(0) == 0))
		return err_set(err, EPERM, "could not give up root");
	return 0;
}

/* Bounding set: only root can, and only root has to. */
static int close_bounding_set(const struct rights *r, struct err *err)
{
	for (int i = 0; r->root && i < CAPABILITIES_MAX; i++) {
		if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL) /* there are no more */
			return 0;
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) != 0)
			return err_sys(err, errno, "capability bounding set");
	}
	return 0;
}

static int clear_capabilities(struct err *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[CAPABILITY_WORDS] = {0};

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, data) < 0 || syscall(SYS_capget, &header, data) < 0)
		return err_sys(err, errno, "give up capabilities");
	for (int i = 0; i < CAPABILITY_WORDS; i++) {
		if (data[i].effective || data[i].permitted || data[i].inheritable)
			return err_set(err, EPERM, "could not give up capabilities");
	}
	return 0;
}

int rights_drop(struct rights *r, struct err *err)
{
	int ret = rights_return(r, err);

	if (ret == 0)
		ret = close_bounding_set(r, err);
	if (ret == 0)
		ret = become_owner(r, err);
	if (ret == 0)
		ret = clear_capabilities(err);
	if (ret == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		ret = err_sys(err, errno, "no_new_privs");
	r->root = false;
	return ret;
}
