/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal of a transaction, writing; see apply.h. Reading is in apply_journal_read.c.
 *
 * `plan` is there exactly while a transaction is: it is made first and removed first. A line of
 * `phase` has newlines on both sides, so one that a power cut has left half-written is no word and
 * spoils no other; it takes no more space than its first block, so a full disk does not keep us
 * from rolling back. `made` and `phase` name the transaction, as they may be of the one before.
 *
 *	plan:   xnbd-confsync-plan 1; transaction, role; LENGTH and text of the generation before
 *	        (0 = none), of the next one, of the live files; KIND PATH of each item; end
 *	made:   xnbd-confsync-made 1; transaction; of each item OLD NEW inode; of each entry that
 *	        was looked at its place and looks; end
 *	phase:  TRANSACTION WORD [WHY]
 */
#include "apply_inner.h"
#include "fsutil.h"
#include "line.h"
#include "state_inner.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PLAN_MAX = 3 * MANIFEST_TEXT_MAX, LINE_ROOM = 512 };

static const char *const phase_words[] = {
	[APPLY_NONE] = "none",
	[APPLY_PREPARING] = "preparing",
	[APPLY_PREPARED] = "prepared",
	[APPLY_COMMITTING] = "committing",
	[APPLY_COMMITTED] = "committed",
	[APPLY_ROLLING_BACK] = "rolling-back",
	[APPLY_FINISHING] = "finishing",
	[APPLY_DROPPING] = "dropping",
};

const char *apply_phase_text(enum apply_phase p)
{
	return (size_t)p < ARRAY_LEN(phase_words) ? phase_words[p] : "?";
}

bool apply_phase_parse(const char *word, size_t len, enum apply_phase *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(phase_words); i++) {
		if (strlen(phase_words[i]) == len && memcmp(phase_words[i], word, len) == 0) {
			*ret = (enum apply_phase)i;
			return true;
		}
	}
	return false;
}

char *apply_file(const struct state *s, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", s->txn, name) < 0 ? NULL : path;
}

static void put(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct buf *b, const char *fmt, ...)
{
	char text[LINE_ROOM];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	buf_put(b, text, MIN_OF((size_t)MAX_OF(n, 0), sizeof(text) - 1));
}

static int save(const struct apply *a, const char *name, struct buf *b, struct err *err)
{
	CLEANUP_FREE char *path = apply_file(a->state, name);
	int r;

	if (!path || buf_failed(b))
		r = err_set(err, ENOMEM, "%s/%s: too long, or no memory", a->state->txn, name);
	else
		r = fs_replace(path, buf_bytes(b), buf_len(b), 0600, err);
	buf_done(b);
	return r;
}

/* The plan. */

static void put_part(struct buf *b, const char *name, struct buf *part)
{
	put(b, "%s %zu\n", name, buf_len(part));
	buf_put(b, buf_bytes(part), buf_len(part));
	if (buf_failed(part))
		b->failed = true;
	buf_done(part);
}

static void put_generation(struct buf *b, const char *name, const struct generation *g)
{
	struct buf part;

	buf_init(&part, STATE_TEXT_MAX);
	if (g->number > 0)
		generation_print(g, &part);
	put_part(b, name, &part);
}

static void put_manifest(struct buf *b, const char *name, const struct manifest *m)
{
	struct buf part;

	buf_init(&part, MANIFEST_TEXT_MAX);
	manifest_print(m, &part);
	put_part(b, name, &part);
}

static int write_plan(const struct apply *a, struct err *err)
{
	struct buf b;

	buf_init(&b, PLAN_MAX);
	put(&b, "xnbd-confsync-plan 1\n");
	put(&b, "transaction %s %u\n", a->transaction, (unsigned)a->role);
	put_generation(&b, "before", &a->before);
	put_generation(&b, "next", &a->next);
	put_manifest(&b, "live", &a->live);
	put(&b, "items %zu\n", a->item_count);
	for (size_t i = 0; i < a->item_count; i++) {
		put(&b, "%u ", (unsigned)a->items[i].kind);
		line_put_text(&b, a->items[i].path);
		put(&b, "\n");
	}
	put(&b, "end\n");
	return save(a, "plan", &b, err);
}

static int remove_one(const struct apply *a, const char *name)
{
	CLEANUP_FREE char *path = apply_file(a->state, name);

	if (!path)
		return -ENOMEM;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_others(const struct apply *a)
{
	int r = remove_one(a, "phase"), made = remove_one(a, "made");

	return r < 0 ? r : made;
}

int apply_journal_begin(struct apply *a, struct err *err)
{
	int r = remove_others(a);

	if (r < 0)
		return err_sys(err, -r, "%s", a->state->txn);
	r = write_plan(a, err);
	if (r == 0)
		a->phase = APPLY_PREPARING;
	return r;
}

/* What was made. */

static void put_seen(struct buf *b, char side, const struct apply_seen *s, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!s[i].inode)
			continue;
		put(b, "%c %zu %llu %llu %lld %ld %lld %ld %u %u %u\n", side, i,
			(unsigned long long)s[i].inode, (unsigned long long)s[i].size,
			(long long)s[i].modified.tv_sec, s[i].modified.tv_nsec,
			(long long)s[i].changed.tv_sec, s[i].changed.tv_nsec, s[i].mode, s[i].uid,
			s[i].gid);
	}
}

int apply_journal_made(struct apply *a, struct err *err)
{
	struct buf b;

	buf_init(&b, PLAN_MAX);
	put(&b, "xnbd-confsync-made 1\n");
	put(&b, "transaction %s\n", a->transaction);
	for (size_t i = 0; i < a->item_count; i++)
		put(&b, "i %zu %llu %llu\n", i, (unsigned long long)a->items[i].old_inode,
			(unsigned long long)a->items[i].new_inode);
	put_seen(&b, 'o', a->seen_live, a->live.count);
	put_seen(&b, 'n', a->seen_next, a->next.files.count);
	put(&b, "end\n");
	return save(a, "made", &b, err);
}

/* The phase. */

static int append(const char *path, const char *text, size_t len)
{
	CLEANUP_FD int fd = open(
		path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
	int r = fd < 0 ? -errno : fs_write_all(fd, text, len);

	return r == 0 && fsync(fd) < 0 ? -errno : r;
}

int apply_journal_phase(struct apply *a, enum apply_phase p, struct err *err)
{
	CLEANUP_FREE char *path = apply_file(a->state, "phase");
	char text[LINE_ROOM];
	int n = snprintf(text, sizeof(text), "\n%s %s %s\n", a->transaction, apply_phase_text(p),
		p == APPLY_ROLLING_BACK ? a->why : "");
	int r = path ? append(path, text, (size_t)n) : -ENOMEM;

	/* its name is made with the first line */
	if (r == 0 && p == APPLY_PREPARED)
		r = state_sync_folder(a->state->txn);
	if (r < 0)
		return err_sys(err, -r, "%s/phase", a->state->txn);
	a->phase = p;
	return 0;
}

int apply_journal_end(struct apply *a, struct err *err)
{
	int r = remove_one(a, "plan");

	if (r == 0)
		r = state_sync_folder(a->state->txn);
	if (r < 0)
		return err_sys(err, -r, "%s", a->state->txn);
	remove_others(a);
	a->phase = APPLY_NONE;
	return 0;
}
