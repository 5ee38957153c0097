/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Handing over and becoming; see rights.h. Only what was made here, or is ours alone, changes its
 * owner: a folder that is there may be shared with others, so it stays theirs.
 */
#include "rights.h"

#include "str.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Who is not root can only stay who it is. */
static int check_change(struct rights *r, bool group, struct err *err)
{
	if (geteuid() == 0)
		return 0;
	if (r->user.uid != geteuid() || (group && r->user.gid != getegid()))
		return err_set(err, EPERM, "user \"%.100s\": only root can become another user",
			r->user.name);
	r->change = false;
	return 0;
}

int rights_find(const struct wrapper_options *o, struct rights *ret, struct err *err)
{
	struct rights r = {.change = o->user, .shared = o->control_group};

	if (r.shared && !user_find_group(o->control_group, &r.group))
		return err_set(err, EINVAL, "control-group \"%.100s\": there is no such group",
			o->control_group);
	if (r.change &&
		(user_resolve(o->user, o->group, &r.user, err) < 0 ||
			check_change(&r, o->group, err) < 0))
		return -EINVAL;
	*ret = r;
	return 0;
}

int rights_make_folder(const struct rights *r, const char *folder, mode_t mode, struct err *err)
{
	if (mkdir(folder, mode) < 0)
		return errno == EEXIST ? 0 : err_sys(err, errno, "folder %s", folder);
	if (r->change && chown(folder, r->user.uid, r->user.gid) < 0)
		return err_sys(err, errno, "folder %s: give it to %s", folder, r->user.name);
	return 0;
}

static void folder_of(const char *path, char out[PATH_MAX])
{
	int len = (int)(str_base_name(path) - path);

	if (len == 0)
		snprintf(out, PATH_MAX, ".");
	else
		snprintf(out, PATH_MAX, "%.*s", len > 1 ? len - 1 : 1, path);
}

int rights_make_folder_of(const struct rights *r, const char *path, mode_t mode, struct err *err)
{
	char folder[PATH_MAX];

	folder_of(path, folder);
	return rights_make_folder(r, folder, mode, err);
}

int rights_share(const struct rights *r, const char *control, struct err *err)
{
	uid_t owner = r->change ? r->user.uid : (uid_t)-1;
	gid_t group = r->shared ? r->group : r->change ? r->user.gid : (gid_t)-1;

	if (!r->shared && !r->change)
		return 0;
	if (lchown(control, owner, group) < 0 || (r->shared && chmod(control, 0660) < 0))
		return err_sys(err, errno, "%s: change its owner", control);
	return 0;
}

/* A file of ours that may be there from before. */
static int hand_over(const struct rights *r, const char *path, struct err *err)
{
	struct stat st;

	if (!path || lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid == r->user.uid)
		return 0;
	if (lchown(path, r->user.uid, r->user.gid) < 0)
		return err_sys(err, errno, "%s: give it to %s", path, r->user.name);
	return 0;
}

static int check_state(const struct rights *r, const char *path, struct err *err)
{
	char folder[PATH_MAX];

	folder_of(path, folder);
	if (access(folder, W_OK | X_OK) == 0)
		return 0;
	return err_set(err, errno,
		"state file %.200s: user %.100s cannot write to its folder; give it to this user, or "
		"choose another",
		path, r->user.name);
}

int rights_become(const struct rights *r, const struct wrapper_options *o, struct err *err)
{
	int ret;

	if (!r->change)
		return 0;
	ret = rights_make_folder_of(r, o->dbpath, 0755, err);
	if (ret == 0)
		ret = hand_over(r, o->dbpath, err);
	if (ret == 0)
		ret = hand_over(r, o->logpath, err);
	if (ret == 0)
		ret = user_become(&r->user, err);
	return ret < 0 ? ret : check_state(r, o->dbpath, err);
}
