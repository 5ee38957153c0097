/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Appending to the audit log; see audit.h. The lock is on PATH.head, which is never moved away, so
 * who writes into a file that logrotate is just renaming and who makes the new one take turns. The
 * order is: line, fdatasync, head; so after a crash the head is that of an earlier line or of the
 * last one, never of one that is not there.
 */
#include "audit_inner.h"

#include "fsutil.h"
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

enum { TAIL_MAX = 3 * AUDIT_LINE_MAX, RESERVE = 2 * AUDIT_LINE_MAX, POLL_MS = 5, HOST_ROOM = 256 };

struct audit {
	char path[PATH_MAX], head_path[PATH_MAX], folder[PATH_MAX];
	char host[HOST_ROOM];
	struct audit_hash hash;
	char tail[TAIL_MAX + 1];
	char line[AUDIT_LINE_MAX];
};

/* What the file has at hand. */
struct state {
	int fd, head_fd;
	off_t size;
	struct audit_head head;   /* of PATH.head; seq 0 = none */
	struct audit_head last;   /* the last line; seq 0 = none */
	size_t torn;              /* bytes of pieces behind it */
	bool newline;             /* the file does not end in one */
	struct audit_fields next; /* of the line to be written */
};

struct audit *audit_new(const char *path)
{
	struct audit *a = malloc(sizeof(*a));
	const time_t epoch = 0;
	const char *slash = strrchr(path, '/');
	struct tm tm;

	if (!a)
		return NULL;
	/* Each page is touched now. */
	memset(a, 1, sizeof(*a));
	snprintf(a->path, sizeof(a->path), "%s", path);
	snprintf(a->folder, sizeof(a->folder), "%.*s", slash ? (int)(slash - path) + 1 : 1,
		slash ? path : ".");
	memset(a->host, 0, sizeof(a->host));
	if (gethostname(a->host, sizeof(a->host) - 1) < 0)
		strcpy(a->host, "?");
	gmtime_r(&epoch, &tm); /* reads the time zone, once */
	a->hash = (struct audit_hash){0};
	if (snprintf(a->head_path, sizeof(a->head_path), "%s.head", path) <
			(int)sizeof(a->head_path) &&
		audit_hash_init(&a->hash))
		return a;
	audit_free(a);
	return NULL;
}

void audit_free(struct audit *a)
{
	if (!a)
		return;
	audit_hash_done(&a->hash);
	free(a);
}

/* Opening. */

static int lock(int fd)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};

	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += POLL_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (waited >= AUDIT_WAIT_MS)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int open_log(const struct audit *a, struct state *s, struct err *err)
{
	const int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	struct stat st;

	s->fd = open(a->path, flags, 0600);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return err_sys(err, errno, "audit log %s", a->path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EUCLEAN, "audit log %s: is no regular file", a->path);
	s->size = st.st_size;
	return 0;
}

/* Where there is no room for a head, the log itself is the lock. */
static int open_all(const struct audit *a, struct state *s, struct err *err)
{
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int r;

	/* Others have files there, too. */
	fs_make_folder_of(a->path, 0755, NULL);
	s->head_fd = open(a->head_path, flags, 0600);
	r = s->head_fd < 0 ? 0 : lock(s->head_fd);
	if (r == 0)
		r = open_log(a, s, err);
	else
		err_set(err, -r, "audit log %s: %s", a->path,
			r == -EBUSY ? "another process has its lock" : strerror(-r));
	if (r == 0 && s->head_fd < 0 && lock(s->fd) < 0)
		r = err_set(err, EBUSY, "audit log %s: another process has its lock", a->path);
	return r;
}

/* The end of the file. */

static int read_tail(struct audit *a, struct state *s, size_t *ret_len)
{
	off_t from = s->size > TAIL_MAX ? s->size - TAIL_MAX : 0;
	size_t len = 0;

	while ((off_t)len < s->size - from) {
		ssize_t n = pread(
			s->fd, a->tail + len, (size_t)(s->size - from) - len, from + (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ESTALE; /* it became shorter: somebody else is at it */
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

/* The last line among LEN bytes; where the bytes behind it begin. */
static size_t find_last(struct audit *a, struct state *s, size_t len)
{
	struct audit_fields f;
	size_t behind = 0;

	for (size_t at = 0, next; at < len; at = next) {
		char *newline = memchr(a->tail + at, '\n', len - at);
		size_t end = newline ? (size_t)(newline - a->tail) : len;

		next = newline ? end + 1 : end;
		if (!audit_line_parse(a->tail + at, end - at, &f))
			continue;
		s->last.seq = f.seq;
		audit_hash(&a->hash, a->tail + at, end - at, s->last.hash);
		behind = next;
	}
	return behind;
}

/* A log begins with a line, or with a piece of one: '{', or what a crash of the host leaves. */
static bool is_log(const struct state *s)
{
	char first = 0;

	return pread(s->fd, &first, 1, 0) <= 0 || first == '{' || !first;
}

static int look(struct audit *a, struct state *s, struct err *err)
{
	size_t len = 0, behind;
	int r = read_tail(a, s, &len);

	if (r < 0)
		return err_sys(err, -r, "audit log %s", a->path);
	behind = find_last(a, s, len);
	if (!is_log(s) || (!s->last.seq && s->size > TAIL_MAX))
		return err_set(
			err, EUCLEAN, "audit log %s: is no audit log; move it away", a->path);
	s->newline = len && a->tail[len - 1] != '\n';
	s->torn = len - behind;
	if (s->torn) {
		/* With the newline that is put behind it. */
		if (s->newline)
			a->tail[len++] = '\n';
		s->next.torn = len - behind;
		audit_hash(&a->hash, a->tail + behind, len - behind, s->next.torn_sha256);
	}
	return 0;
}

/* What the next line follows. */
static void choose(struct state *s)
{
	struct audit_head before = s->last;

	if (!s->last.seq) {
		before = s->head;
		s->next.continues = s->head.seq > 0;
	} else if (s->head.seq > s->last.seq) {
		before = s->head;
		s->next.lost = s->head.seq - s->last.seq;
	} else if (s->head.seq == s->last.seq) {
		before = s->head; /* if they differ, the line was changed: that must be seen */
	}
	s->next.seq = before.seq + 1;
	memcpy(s->next.prev, before.seq ? before.hash : audit_no_hash, AUDIT_HASH_ROOM);
}

/* Writing. */

static size_t make_line(struct audit *a, const struct state *s, const json_t *entry)
{
	struct audit_stamp stamp = {.boot_ms = note_clock_ms(), .host = a->host};
	size_t at = 0, len;
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	stamp.time_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
	if (s->newline)
		a->line[at++] = '\n';
	len = audit_line_put(a->line + at, sizeof(a->line) - at - 1, &s->next, &stamp, entry);
	if (!len)
		return 0;
	a->line[at + len] = '\n';
	return at + len + 1;
}

static void sync_folder(const struct audit *a)
{
	CLEANUP_FD int fd = open(a->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && fsync(fd) < 0)
		return;
}

static int write_line(const struct audit *a, const struct state *s, size_t len, struct err *err)
{
	int r = fs_write_all(s->fd, a->line, len);

	if (r == 0 && fdatasync(s->fd) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	if (ftruncate(s->fd, s->size) < 0)
		return err_sys(
			err, -r, "audit log %s (the next line will say that it is torn)", a->path);
	return err_sys(err, -r, "audit log %s", a->path);
}

static int append(struct audit *a, struct state *s, const json_t *entry, struct audit_head *ret,
	struct err *err)
{
	int r = look(a, s, err);
	size_t len;

	if (r < 0)
		return r;
	choose(s);
	len = make_line(a, s, entry);
	if (!len)
		return err_set(err, EMSGSIZE, "audit log %s: a line of more than %d bytes", a->path,
			AUDIT_LINE_MAX);
	r = write_line(a, s, len, err);
	if (r < 0)
		return r;
	if (s->size == 0)
		sync_folder(a);
	ret->seq = s->next.seq;
	audit_hash(&a->hash, a->line + s->newline, len - s->newline - 1, ret->hash);
	audit_head_write(s->head_fd, ret);
	/* Room for the next lines, so that they can still be written when the disk is full. */
	(void)fallocate(s->fd, FALLOC_FL_KEEP_SIZE, s->size + (off_t)len, RESERVE);
	return 0;
}

int audit_append(struct audit *a, const json_t *entry, struct audit_head *ret_head, struct err *err)
{
	struct state s = {.fd = -1, .head_fd = -1};
	const char *reserved = audit_line_reserved(entry);
	struct audit_head head;
	int r;

	if (!json_is_object(entry) || *reserved)
		return err_set(err, EINVAL, "audit log: \"%s\" is not an entry's to say", reserved);
	r = open_all(a, &s, err);
	if (r == 0) {
		audit_head_read(s.head_fd, &s.head);
		r = append(a, &s, entry, &head, err);
	}
	fd_close(&s.fd);
	fd_close(&s.head_fd); /* the lock goes last */
	if (r == 0 && ret_head)
		*ret_head = head;
	return r;
}
