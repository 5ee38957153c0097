/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Notes that expire; see note.h. What cannot be read or understood is no note: for "off is wanted"
 * and "it is confirmed" alike the careful side is decided by the caller, not by a torn file.
 */
#include "note.h"

#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { BOOT_ROOM = 64, LINE_ROOM = BOOT_ROOM + 48 + NOTE_WHO_MAX };

uint64_t note_clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool note_path(const char *dir, const char *node, const char *kind, char *out, size_t room)
{
	int n = snprintf(out, room, "%s/", dir);
	size_t at = (size_t)n;

	if (n < 0 || at + strlen(node) + strlen(kind) + 2 > room)
		return false;
	for (; *node; node++)
		out[at++] = (char)tolower((unsigned char)*node);
	snprintf(out + at, room - at, ".%s", kind);
	return true;
}

/* At most ROOM - 1 bytes; the length, or -errno. */
static ssize_t read_some(int fd, char *out, size_t room)
{
	ssize_t n;

	do
		n = read(fd, out, room - 1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	out[n] = 0;
	return n;
}

/* Without one there are no notes of this boot. */
static bool boot_id(char out[BOOT_ROOM])
{
	CLEANUP_FD int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read_some(fd, out, BOOT_ROOM) <= 0)
		return false;
	out[strcspn(out, "\n ")] = 0;
	return *out;
}

/* Writing. */

static void clean(char out[NOTE_WHO_MAX], const char *who)
{
	size_t len = 0;

	for (; *who && len < NOTE_WHO_MAX - 1; who++)
		out[len++] = *who >= ' ' && *who < 0x7f ? *who : '?';
	out[len] = 0;
}

static int write_file(const char *path, const char *line, size_t len)
{
	CLEANUP_FD int fd = open(
		path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, line, len);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOSPC;
}

static int put(const char *path, const char *line, size_t len)
{
	char temp[PATH_MAX];
	int r;

	if (snprintf(temp, sizeof(temp), "%s.%d", path, (int)getpid()) >= (int)sizeof(temp))
		return -ENAMETOOLONG;
	r = write_file(temp, line, len);
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temp);
	return r;
}

int note_write(const char *dir, const char *node, const char *kind, const char *who, uint64_t ms,
	struct err *err)
{
	char path[PATH_MAX], boot[BOOT_ROOM], name[NOTE_WHO_MAX], line[LINE_ROOM];
	uint64_t now = note_clock_ms();
	int r, n;

	clean(name, who);
	if (!note_path(dir, node, kind, path, sizeof(path)))
		return err_sys(err, ENAMETOOLONG, "%s", dir);
	if (!boot_id(boot))
		return err_set(
			err, ENODATA, "%s: this boot has no number (/proc is missing)", path);
	n = snprintf(line, sizeof(line), "%s %llu %llu %s\n", boot, (unsigned long long)now,
		(unsigned long long)(now + MIN_OF(ms, (uint64_t)NOTE_MS_MAX)), name);
	r = put(path, line, (size_t)n);
	return r < 0 ? err_sys(err, -r, "%s", path) : 0;
}

/* Reading. */

static bool is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & 022) &&
		(st.st_uid == 0 || st.st_uid == geteuid());
}

static bool parse(char *line, struct note *ret)
{
	char boot[BOOT_ROOM], *end = strchr(line, '\n');
	unsigned long long from, until;
	uint64_t now = note_clock_ms();
	int who = 0;

	if (!end || !boot_id(boot))
		return false;
	*end = 0;
	if (strncmp(line, boot, strlen(boot)) != 0 || line[strlen(boot)] != ' ')
		return false;
	line += strlen(boot) + 1;
	if (sscanf(line, "%20llu %20llu %n", &from, &until, &who) < 2 || !who)
		return false;
	if (from > now || until <= now || until - from > NOTE_MS_MAX)
		return false;
	ret->age_ms = now - from;
	ret->left_ms = until - now;
	clean(ret->who, line + who);
	return true;
}

static bool read_path(const char *path, struct note *ret)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char line[LINE_ROOM];

	return fd >= 0 && is_ours(fd) && read_some(fd, line, sizeof(line)) > 0 && parse(line, ret);
}

bool note_read(const char *dir, const char *node, const char *kind, struct note *ret)
{
	char path[PATH_MAX];

	return note_path(dir, node, kind, path, sizeof(path)) && read_path(path, ret);
}

bool note_is_of(const struct note *n, const char *who)
{
	char name[NOTE_WHO_MAX];

	clean(name, who);
	return strcmp(n->who, name) == 0;
}

/* Renaming to a name of our own succeeds for one process only; what it then has is the note. */
bool note_take(const char *dir, const char *node, const char *kind, struct note *ret)
{
	char path[PATH_MAX], mine[PATH_MAX];
	bool good;

	if (!note_path(dir, node, kind, path, sizeof(path)) || !read_path(path, ret) ||
		snprintf(mine, sizeof(mine), "%s.%d", path, (int)getpid()) >= (int)sizeof(mine) ||
		rename(path, mine) < 0)
		return false;
	good = read_path(mine, ret);
	unlink(mine);
	return good;
}

void note_drop(const char *dir, const char *node, const char *kind)
{
	char path[PATH_MAX];

	if (note_path(dir, node, kind, path, sizeof(path)))
		unlink(path);
}
