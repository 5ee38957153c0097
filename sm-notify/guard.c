/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The run-once file; see guard.h. Its last line is the outcome, and what has no last line says
 * nothing. All outcomes have the same length, so that one write(2) puts one in the place of
 * another.
 */
#include "guard.h"

#include "log.h"
#include "settings.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { TEXT_ROOM = PATH_MAX + 256 };

static const char *const outcome_names[] = {
	[GUARD_RUNNING] = "running", [GUARD_DONE] = "done", [GUARD_FAILED] = "failed"};

/* FNV-1a: a file name for a path; the path itself is in the file too. */
static uint64_t hash_of(const char *text)
{
	uint64_t h = 14695981039346656037u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 1099511628211u;
	return h;
}

static bool is_default(const char *directory)
{
	char real[PATH_MAX];

	return realpath(SETTINGS_DIRECTORY, real) && strcmp(real, directory) == 0;
}

/* A folder copied anew has the path of the old one, but is another. */
static void describe_folder(struct guard *g, int sm)
{
	struct statx st = {0};

	statx(sm, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st);
	snprintf(g->folder, sizeof(g->folder), "%x:%x:%llx:%llx.%x", st.stx_dev_major,
		st.stx_dev_minor, (unsigned long long)st.stx_ino,
		(unsigned long long)st.stx_btime.tv_sec, st.stx_btime.tv_nsec);
}

void guard_init(
	struct guard *g, const char *run_dir, const char *proc_root, const char *directory, int sm)
{
	char name[32] = "sm-notify.pid";

	*g = (struct guard){.fd = -1, .directory = directory};
	if (!is_default(directory))
		snprintf(name, sizeof(name), "sm-notify-%08x.pid",
			(unsigned)(hash_of(directory) ^ hash_of(directory) >> 32));
	if (snprintf(g->path, sizeof(g->path), "%s/%s", run_dir, name) >= (int)sizeof(g->path))
		*g->path = 0;
	kernel_boot_id(proc_root, g->boot);
	describe_folder(g, sm);
}

int guard_lock(int sm)
{
	if (flock(sm, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return -EWOULDBLOCK;
	log_warn("folder sm cannot be locked: %s; nothing keeps another run from notifying too",
		strerror(errno));
	return 0;
}

static size_t build(const struct guard *g, char text[TEXT_ROOM], pid_t pid, const char *outcome)
{
	return (size_t)snprintf(text, TEXT_ROOM, "%d\nboot %s\ndirectory %s\nfolder %s\n%-7s\n",
		pid, g->boot, g->directory, g->folder, outcome);
}

/* Does a boot empty its file system? A time cannot tell: the clock may have been set since. */
static bool is_of_this_boot(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static enum guard_outcome outcome_of(const struct guard *g, const char *text, pid_t pid)
{
	char expected[TEXT_ROOM];

	for (int i = GUARD_RUNNING; i <= GUARD_FAILED; i++) {
		build(g, expected, pid, outcome_names[i]);
		if (strcmp(text, expected) == 0)
			return (enum guard_outcome)i;
	}
	return GUARD_NONE;
}

/* A number and a newline (or none): the reference was here. */
static bool is_foreign(const char *text, size_t digits)
{
	return digits > 0 && text[digits + (text[digits] == '\n')] == 0;
}

enum guard_outcome guard_look(const struct guard *g, pid_t *ret_pid)
{
	char text[TEXT_ROOM];
	CLEANUP_FD int fd = open(g->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	size_t digits;
	ssize_t n;

	*ret_pid = 0;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return GUARD_NONE;
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	digits = strspn(text, "0123456789");
	if (digits > 0 && digits < 10)
		*ret_pid = atoi(text);
	if (is_foreign(text, digits))
		return is_of_this_boot(fd) ? GUARD_DONE : GUARD_NONE;
	return *g->boot ? outcome_of(g, text, *ret_pid) : GUARD_NONE;
}

void guard_forget(const struct guard *g)
{
	CLEANUP_FD int fd = open(g->path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return;
	if (ftruncate(fd, 0) < 0)
		log_warn("%s: %s", g->path, strerror(errno));
}

void guard_prepare(struct guard *g)
{
	int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	struct stat st;

	if (g->fd >= 0)
		return;
	g->fd = open(g->path, flags);
	if (g->fd < 0 && errno == ENOENT) {
		g->fd = open(g->path, flags | O_CREAT | O_EXCL, 0644);
		g->made = g->fd >= 0;
	}
	if (g->fd < 0)
		log_warn("%s: %s; a second run would notify again", g->path, strerror(errno));
	else if (fstat(g->fd, &st) < 0 || !S_ISREG(st.st_mode))
		fd_close(&g->fd);
	if (g->fd >= 0 && !*g->boot)
		log_warn("the id of this boot is unknown: a second run would notify again");
}

void guard_set(const struct guard *g, enum guard_outcome outcome)
{
	char text[TEXT_ROOM];
	size_t len = build(g, text, getpid(), outcome_names[outcome]);
	struct stat st;

	if (g->fd < 0 || len >= sizeof(text))
		return;
	/* One of another process may be longer: until it is cut it says nothing. */
	if (pwrite(g->fd, text, len, 0) != (ssize_t)len || fstat(g->fd, &st) < 0 ||
		(st.st_size != (off_t)len && ftruncate(g->fd, (off_t)len) < 0))
		log_warn("%s: %s; a second run would notify again", g->path, strerror(errno));
}

void guard_abandon(struct guard *g)
{
	struct stat st;

	if (g->made && g->fd >= 0 && fstat(g->fd, &st) == 0 && st.st_size == 0)
		unlink(g->path);
	fd_close(&g->fd);
}
