/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries of the user database, and changes of identity, verified after the call; see user.h. */
#include "user.h"

#include "util.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

/* A group of an entry's size is possible; one beyond this is none of ours. */
enum { ROOM_MIN = 4096, ROOM_MAX = 4 * 1024 * 1024 };

bool user_find(const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
	struct passwd entry, *found = NULL;
	int r = ERANGE;

	for (size_t room = ROOM_MIN; r == ERANGE && room <= ROOM_MAX; room *= 4) {
		char *text = malloc(room);

		r = text ? getpwnam_r(name, &entry, text, room, &found) : ENOMEM;
		free(text);
	}
	if (r || !found)
		return false;
	*ret_uid = entry.pw_uid;
	*ret_gid = entry.pw_gid;
	return true;
}

bool user_find_group(const char *name, gid_t *ret)
{
	struct group entry, *found = NULL;
	int r = ERANGE;

	for (size_t room = ROOM_MIN; r == ERANGE && room <= ROOM_MAX; room *= 4) {
		char *text = malloc(room);

		r = text ? getgrnam_r(name, &entry, text, room, &found) : ENOMEM;
		free(text);
	}
	if (r || !found)
		return false;
	*ret = entry.gr_gid;
	return true;
}

int user_resolve(const char *name, const char *group, struct user *ret, struct err *err)
{
	struct user u = {.name = name};

	if (!user_find(name, &u.uid, &u.gid))
		return err_set(err, EINVAL, "user \"%.100s\": there is no such user", name);
	if (group && !user_find_group(group, &u.gid))
		return err_set(err, EINVAL, "group \"%.100s\": there is no such group", group);
	*ret = u;
	return 0;
}

static bool is_user(const struct user *u)
{
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;

	return getresuid(&real, &effective, &saved) == 0 &&
		getresgid(&real_group, &effective_group, &saved_group) == 0 && real == u->uid &&
		effective == u->uid && saved == u->uid && real_group == u->gid &&
		effective_group == u->gid && saved_group == u->gid;
}

int user_become(const struct user *u, struct err *err)
{
	if (is_user(u))
		return 0;
	if (geteuid() != 0)
		return err_set(
			err, EPERM, "user \"%.100s\": only root can become another user", u->name);
	if (initgroups(u->name, u->gid) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
		setresuid(u->uid, u->uid, u->uid) < 0)
		return err_sys(err, errno, "become user \"%.100s\"", u->name);
	if (!is_user(u) || (u->uid != 0 && setuid(0) == 0))
		return err_set(err, EPERM, "user \"%.100s\": could not give up root", u->name);
	return 0;
}
