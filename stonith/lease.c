/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks and leases of victims; see lease.h. The lock's file has who took it last, for the message
 * to who comes second. It is never removed: between two processes that would be two files.
 */
#include "lease.h"

#include "note.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

enum { POLL_MS = 10, HOLDER_ROOM = LEASE_ACTOR_MAX + 32 };

uint64_t lease_clock_ms(void)
{
	return note_clock_ms();
}

int lease_prepare(const char *dir, struct err *err)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "run directory %s", dir);
	if (lstat(dir, &st) < 0)
		return err_sys(err, errno, "run directory %s", dir);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "run directory %s: is no folder", dir);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(err, EPERM, "run directory %s: belongs to user %u: must be root's",
			dir, st.st_uid);
	if (st.st_mode & 077)
		return err_set(err, EPERM, "run directory %s: mode %04o: must be 0700", dir,
			st.st_mode & 07777);
	return 0;
}

/* The lock. */

static void write_holder(int fd, const char *actor)
{
	char text[HOLDER_ROOM];
	int n = snprintf(
		text, sizeof(text), "%.*s (pid %d)\n", LEASE_ACTOR_MAX, actor, (int)getpid());

	/* Only for people: the lock holds without it. */
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0)
		return;
}

static int refuse(int fd, const char *node, struct err *err)
{
	char text[HOLDER_ROOM] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = 0;
	for (char *c = text; *c; c++) {
		if (*c == '\n')
			*c = 0;
		else if (*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	return err_set(
		err, EBUSY, "%s: is being handled by %s", node, *text ? text : "another process");
}

static int wait_for(int fd, uint64_t wait_ms)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	uint64_t until = note_clock_ms() + wait_ms;

	for (;;) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (note_clock_ms() >= until)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
}

int lease_lock(
	const char *dir, const char *node, const char *actor, uint64_t wait_ms, struct err *err)
{
	char path[PATH_MAX];
	int fd, r;

	if (!note_path(dir, node, "lock", path, sizeof(path)))
		return err_sys(err, ENAMETOOLONG, "%s", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	r = wait_for(fd, wait_ms);
	if (r == 0) {
		write_holder(fd, actor);
		return fd;
	}
	r = r == -EBUSY ? refuse(fd, node, err) : err_sys(err, -r, "%s", path);
	close(fd);
	return r;
}

/* A shared lock for an instant; a shot that comes in it tries again POLL_MS later. */
bool lease_is_locked(const char *dir, const char *node)
{
	char path[PATH_MAX];
	bool locked;
	int fd;

	if (!note_path(dir, node, "lock", path, sizeof(path)))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	locked = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	close(fd);
	return locked;
}

/* Off is wanted. */

int lease_want_off(
	const char *dir, const char *node, const char *actor, uint64_t ms, struct err *err)
{
	struct note n;

	if (note_read(dir, node, "off", &n) && n.left_ms > ms)
		ms = n.left_ms;
	return note_write(dir, node, "off", actor, ms, err);
}

int lease_may_on(const char *dir, const char *node, const char *actor, struct err *err)
{
	struct note n;

	if (!note_read(dir, node, "off", &n) || note_is_of(&n, actor))
		return 0;
	return err_set(err, EBUSY, "%s: %s wants it off for another %llu s", node, n.who,
		(unsigned long long)(n.left_ms + 999) / 1000);
}

void lease_drop(const char *dir, const char *node)
{
	note_drop(dir, node, "off");
}
