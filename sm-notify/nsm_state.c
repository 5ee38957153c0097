/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state number and its file; see nsm_state.h. The file is replaced as a whole, synced with its
 * folder before the number is given to anybody, so that no crash makes us tell one number twice.
 */
#include "nsm_state.h"

#include "draft.h"
#include "fsutil.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ".state.new" is what newer versions of the reference use as well: never somebody's record. */
#define STATE_FILE "state"
#define STATE_TEMP ".state.new"

enum { STATE_FIRST = 1 };

int32_t nsm_state_next(int32_t state)
{
	int32_t up = state | 1, next;

	return __builtin_add_overflow(up, 2, &next) ? STATE_FIRST : next;
}

int nsm_state_read(int folder, int32_t *ret, struct err *err)
{
	CLEANUP_FD int fd = openat(
		folder, STATE_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	int32_t state = 0;
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, STATE_FILE);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, STATE_FILE ": not a regular file");
	n = fs_read_at(fd, &state, sizeof(state), 0);
	if (n < 0)
		return err_sys(err, (int)-n, STATE_FILE);
	if (n > 0 && n < (ssize_t)sizeof(state))
		log_warn(STATE_FILE ": %zd bytes instead of 4; it begins anew", n);
	if (n < (ssize_t)sizeof(state))
		return 0;
	*ret = state;
	return 1;
}

int nsm_state_write(int folder, int32_t state, struct err *err)
{
	struct stat like = {.st_mode = 0644, .st_uid = geteuid(), .st_gid = getegid()}, st;
	struct draft d;
	int r = draft_begin(&d, folder, STATE_TEMP);

	if (r == 0) {
		if (fstatat(folder, STATE_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			like.st_uid = st.st_uid; /* rpc.statd's, usually */
			like.st_gid = st.st_gid;
		}
		draft_put(&d, &state, sizeof(state));
		draft_like(&d, &like);
		r = draft_commit(&d, folder, STATE_FILE);
	}
	if (r < 0)
		return err_sys(err, -r, STATE_FILE ": not written");
	r = draft_sync_folder(folder);
	return r < 0 ? err_sys(err, -r, STATE_FILE ": folder not synced") : 0;
}

int nsm_state_take(int folder, bool update, int32_t *ret, struct err *err)
{
	int32_t before = 0, state;
	int found = nsm_state_read(folder, &before, err), r;

	if (found < 0)
		return found;
	state = update || !found ? nsm_state_next(before) : before | 1;
	if (found && update && state == STATE_FIRST && before != -1)
		log_warn(STATE_FILE ": %d is the last number there is; it begins again with %d",
			before, state);
	if (update || !found) {
		r = nsm_state_write(folder, state, err);
		if (r < 0)
			return r;
	}
	*ret = state;
	return 0;
}
