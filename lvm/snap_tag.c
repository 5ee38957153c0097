/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tags of snapshots; see snap_tag.h. A process is known by number and start, as numbers come again;
 * a host's jobs all end with its boot.
 */
#include "snap_tag.h"

#include "str.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

/* Copies what a tag may hold of TEXT, other characters as '_'. */
static void clean(char *out, size_t room, const char *text)
{
	size_t used = 0;

	for (; *text && used + 1 < room; text++) {
		unsigned char c = (unsigned char)*text;

		out[used++] = (char)(c < 0x80 && (isalnum(c) || strchr("_+.-", c)) ? c : '_');
	}
	out[used] = 0;
}

/* Processes. */

static ssize_t read_small(const char *path, char *out, size_t room)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, room - 1);

	if (n < 0)
		return -errno;
	out[n] = 0;
	return n;
}

/* When PID started, in the kernel's ticks; 0: there is no such process. */
static uint64_t start_of(uint64_t pid)
{
	char path[64], text[1024], *p;
	unsigned long long start;

	snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)pid);
	if (read_small(path, text, sizeof(text)) <= 0)
		return 0;
	p = strrchr(text, ')'); /* a program's name may have anything in it */
	if (!p ||
		sscanf(p + 1,
			" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
			"%*d %20llu",
			&start) != 1)
		return 0;
	return start;
}

int snap_owner_self(struct snap_owner *ret, struct err *err)
{
	struct snap_owner o = {.pid = (uint64_t)getpid()};
	struct utsname host;

	if (uname(&host) < 0)
		return err_sys(err, errno, "this host's name");
	clean(o.host, sizeof(o.host), host.nodename);
	o.start = start_of(o.pid);
	if (o.start == 0 ||
		read_small("/proc/sys/kernel/random/boot_id", o.boot, sizeof(o.boot)) <= 0)
		return err_set(err, ENODATA, "/proc: does not tell about this boot and process");
	o.boot[strcspn(o.boot, "\n")] = 0;
	*ret = o;
	return 0;
}

bool snap_owner_lives(const struct snap_owner *o)
{
	return start_of(o->pid) == o->start;
}

/* Takes what is before the next '/', or all that is left. */
static bool take_part(const char **text, char *out, size_t room)
{
	size_t len = strcspn(*text, "/");

	if (len == 0 || len >= room)
		return false;
	memcpy(out, *text, len);
	out[len] = 0;
	*text += len + ((*text)[len] == '/');
	return true;
}

bool snap_owner_parse(const char *text, struct snap_owner *ret)
{
	struct snap_owner o;
	char pid[24], start[24];
	size_t len = strlen(text);

	if (len == 0 || text[len - 1] == '/' || !take_part(&text, o.host, sizeof(o.host)) ||
		!take_part(&text, o.boot, sizeof(o.boot)) || !take_part(&text, pid, sizeof(pid)) ||
		!take_part(&text, start, sizeof(start)) || *text ||
		str_number(pid, 1, INT32_MAX, &o.pid) < 0 ||
		str_number(start, 1, UINT64_MAX, &o.start) < 0)
		return false;
	*ret = o;
	return true;
}

/* Tags. */

static void make_job(char *out, size_t room, uint64_t pid)
{
	time_t now = time(NULL);
	char when[32] = "";
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(out, room, "%s-%llu", when, (unsigned long long)pid);
}

int snap_tags_make(struct snap_tags *t, const struct snap_owner *o, bool is_temporary,
	const char *job, const char *why, struct err *err)
{
	char name[SNAP_JOB_MAX + 1], reason[SNAP_WHY_MAX + 1];
	size_t used = 0;

	if (job && (!*job || strlen(job) > SNAP_JOB_MAX))
		return err_set(err, EINVAL, "--job: must have 1 to %d characters", SNAP_JOB_MAX);
	if (job)
		clean(name, sizeof(name), job);
	else
		make_job(name, sizeof(name), o->pid);
	*t = (struct snap_tags){0};
	snprintf(t->job, sizeof(t->job), SNAP_TAG_JOB "%s", name);
	snprintf(t->owner, sizeof(t->owner), SNAP_TAG_OWNER "%s/%s/%llu/%llu", o->host, o->boot,
		(unsigned long long)o->pid, (unsigned long long)o->start);
	t->list[used++] = SNAP_TAG;
	if (is_temporary)
		t->list[used++] = SNAP_TAG_TEMPORARY;
	t->list[used++] = t->job;
	t->list[used++] = t->owner;
	if (why && *why) {
		clean(reason, sizeof(reason), why);
		snprintf(t->why, sizeof(t->why), SNAP_TAG_WHY "%s", reason);
		t->list[used++] = t->why;
	}
	return 0;
}

const char *snap_tags_job(const struct snap_tags *t)
{
	return t->job + strlen(SNAP_TAG_JOB);
}

enum snap_fate snap_tag_judge(const struct vg_lv *lv, const struct snap_owner *self,
	bool taken_over, bool (*lives)(const struct snap_owner *o))
{
	struct snap_owner owner;
	char text[256];

	if (!vg_lv_is_snapshot(lv) || !vg_lv_has_tag(lv, SNAP_TAG))
		return SNAP_FOREIGN;
	if (!vg_lv_has_tag(lv, SNAP_TAG_TEMPORARY))
		return SNAP_KEPT;
	if (!vg_lv_tag_value(lv, SNAP_TAG_OWNER, text, sizeof(text)) ||
		!snap_owner_parse(text, &owner))
		return SNAP_LEFTOVER; /* nobody will come for it */
	if (strcmp(owner.host, self->host) != 0)
		return taken_over || lv->is_active ? SNAP_LEFTOVER : SNAP_RUNNING;
	if (strcmp(owner.boot, self->boot) != 0)
		return SNAP_LEFTOVER;
	return lives(&owner) ? SNAP_RUNNING : SNAP_LEFTOVER;
}
