/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the audit log: does each line follow the one before? See audit.h. What is no line is kept
 * count of, until a line says that it was torn; the file may be longer than memory.
 */
#include "audit_inner.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct check {
	struct audit_check *ret;
	const struct audit_head *after;
	const char *known;
	struct audit_head head; /* of PATH.head; seq 0 = none */
	struct audit_hash line_hash, piece_hash;
	uint64_t line;       /* of the file, now */
	uint64_t piece_line; /* where pieces began; 0 = none */
	uint64_t piece_bytes;
	bool piece_ended; /* by a newline: what a crash cuts off is not */
};

__attribute__((format(printf, 3, 4))) static bool bad(
	struct check *c, uint64_t line, const char *fmt, ...)
{
	struct audit_check *ret = c->ret;
	va_list ap;

	if (!*ret->why) {
		va_start(ap, fmt);
		vsnprintf(ret->why, sizeof(ret->why), fmt, ap);
		va_end(ap);
		ret->bad_line = line;
	}
	return false;
}

static void keep_piece(struct check *c, const struct audit_piece *p)
{
	if (!c->piece_line) {
		c->piece_line = c->line;
		c->piece_bytes = 0;
		audit_hash_begin(&c->piece_hash);
	}
	audit_hash_add(&c->piece_hash, p->text, p->len);
	if (p->newline)
		audit_hash_add(&c->piece_hash, "\n", 1);
	c->piece_bytes += p->len + p->newline;
	c->piece_ended = p->newline;
}

/* Is what lies before this line what it says? */
static bool check_torn(struct check *c, const struct audit_fields *f)
{
	char hash[AUDIT_HASH_ROOM];

	if (!c->piece_line && !f->torn)
		return true;
	if (!c->piece_line)
		return bad(c, c->line, "line %llu: a torn piece before it is gone",
			(unsigned long long)c->line);
	audit_hash_end(&c->piece_hash, hash);
	if (f->torn != c->piece_bytes || strcmp(hash, f->torn_sha256) != 0)
		return bad(c, c->piece_line, "line %llu: is no line of the log",
			(unsigned long long)c->piece_line);
	c->piece_line = 0;
	c->ret->torn++;
	return true;
}

static bool check_first(struct check *c, const struct audit_fields *f)
{
	unsigned long long seq = f->seq;

	c->ret->first.seq = seq;
	memcpy(c->ret->first.hash, f->prev, AUDIT_HASH_ROOM);
	c->ret->known_found = c->known && strcmp(c->known, f->prev) == 0;
	if (f->lost)
		return bad(c, c->line, "line %llu: speaks of lines before it that are gone",
			(unsigned long long)c->line);
	if (seq == 1 && (f->continues || strcmp(f->prev, audit_no_hash) != 0))
		return bad(c, c->line, "the first line is not what a log begins with");
	if (seq > 1 && !f->continues)
		return bad(c, c->line, "the beginning is gone: the first line is number %llu", seq);
	if (c->after &&
		(seq != c->after->seq + 1 ||
			strcmp(f->prev, c->after->seq ? c->after->hash : audit_no_hash) != 0))
		return bad(c, c->line, "does not go on where the file before ended, at number %llu",
			(unsigned long long)c->after->seq);
	return true;
}

static bool check_next(struct check *c, const struct audit_fields *f)
{
	const struct audit_head *last = &c->ret->last;
	unsigned long long line = c->line, seq = f->seq;

	if (f->continues)
		return bad(c, c->line, "line %llu: begins a file, but is inside one", line);
	if (f->lost && seq == last->seq + f->lost + 1) {
		c->ret->lost += f->lost;
		bad(c, c->line, "line %llu: %llu lines before it are gone; it says so itself", line,
			(unsigned long long)f->lost);
		return true;
	}
	if (seq != last->seq + 1)
		return bad(c, c->line, "line %llu: number %llu follows number %llu", line, seq,
			(unsigned long long)last->seq);
	if (strcmp(f->prev, last->hash) != 0)
		return bad(c, c->line,
			"line %llu: does not follow the line before, which was changed", line);
	return true;
}

static bool check_line(struct check *c, const struct audit_piece *p, const struct audit_fields *f)
{
	struct audit_check *ret = c->ret;

	if (!(ret->lines ? check_next(c, f) : check_first(c, f)) || !check_torn(c, f))
		return false;
	ret->lines++;
	ret->last.seq = f->seq;
	audit_hash(&c->line_hash, p->text, p->len, ret->last.hash);
	if (c->known && strcmp(c->known, ret->last.hash) == 0)
		ret->known_found = true;
	if (f->seq == c->head.seq && strcmp(ret->last.hash, c->head.hash) != 0)
		return bad(c, c->line, "line %llu: was changed: its hash was noted as another",
			(unsigned long long)c->line);
	return true;
}

static int check_lines(struct check *c, struct audit_reader *r)
{
	struct audit_piece p;
	struct audit_fields f;
	bool inside = false;
	int n;

	while ((n = audit_reader_next(r, &p)) > 0) {
		c->line += !inside;
		inside = !p.newline;
		if (!p.whole || !audit_line_parse(p.text, p.len, &f))
			keep_piece(c, &p);
		else if (!check_line(c, &p, &f))
			return 0;
	}
	return n;
}

/* What no line speaks of is the last line's piece, or was put there. */
static void check_end(struct check *c)
{
	struct audit_check *ret = c->ret;

	if (c->piece_line && c->piece_ended)
		bad(c, c->piece_line, "line %llu: is no line of the log",
			(unsigned long long)c->piece_line);
	ret->torn_tail = c->piece_line && !ret->bad_line;
	if (c->head.seq <= ret->last.seq || *ret->why)
		return;
	if (!ret->lines && !c->after)
		bad(c, 0,
			"has no line, and the last one was number %llu: that is in the file before "
			"(name both), or gone",
			(unsigned long long)c->head.seq);
	else
		bad(c, 0, "%llu lines at the end are gone: the last one was number %llu",
			(unsigned long long)(c->head.seq - ret->last.seq),
			(unsigned long long)c->head.seq);
}

static void read_head(const char *path, struct audit_head *ret)
{
	char head[PATH_MAX];
	CLEANUP_FD int fd = -1;

	snprintf(head, sizeof(head), "%s.head", path);
	fd = open(head, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	audit_head_read(fd, ret);
}

static int open_log(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return err_sys(err, errno, "audit log %s", path);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return err_set(err, EUCLEAN, "audit log %s: is no regular file", path);
}

int audit_verify(const char *path, const struct audit_head *after, const char *known, bool head,
	struct audit_check *ret, struct err *err)
{
	CLEANUP_FREE struct audit_reader *r = malloc(sizeof(*r));
	CLEANUP_FD int fd = -1;
	struct check c = {.ret = ret, .after = after, .known = known};
	int n = -ENOMEM;

	*ret = (struct audit_check){0};
	if (after)
		ret->last = *after;
	/* Before the log, which may grow meanwhile. */
	if (head)
		read_head(path, &c.head);
	fd = open_log(path, err);
	if (fd < 0)
		return fd;
	if (r && audit_hash_init(&c.line_hash) && audit_hash_init(&c.piece_hash)) {
		audit_reader_init(r, fd);
		n = check_lines(&c, r);
		check_end(&c);
	}
	audit_hash_done(&c.line_hash);
	audit_hash_done(&c.piece_hash);
	return n < 0 ? err_sys(err, -n, "audit log %s", path) : 0;
}

int audit_each(const char *path, bool (*fn)(void *arg, const char *line, size_t len), void *arg,
	struct err *err)
{
	CLEANUP_FREE struct audit_reader *r = malloc(sizeof(*r));
	CLEANUP_FD int fd = open_log(path, err);
	struct audit_fields f;
	struct audit_piece p;
	int n = -ENOMEM;

	if (fd < 0)
		return fd;
	if (r)
		audit_reader_init(r, fd);
	while (r && (n = audit_reader_next(r, &p)) > 0) {
		if (p.whole && audit_line_parse(p.text, p.len, &f) && !fn(arg, p.text, p.len))
			return 0;
	}
	return n < 0 ? err_sys(err, -n, "audit log %s", path) : 0;
}
