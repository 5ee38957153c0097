/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal of a transaction, reading; formats are in apply_journal.c. It is our own file in a
 * folder that only we can write to, and whole or not there; still every line is checked, as nobody
 * is helped by a recovery from half a plan.
 */
#include "apply_inner.h"
#include "fsutil.h"
#include "line.h"
#include "state_inner.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { PLAN_MAX = 3 * MANIFEST_TEXT_MAX, PHASE_MAX = 64 * 1024, HEAD_MAX = 128 };

static int damaged(const struct apply *a, const char *name, struct err *err)
{
	return err_set(err, EBADMSG,
		"%s/%s is damaged: nothing is done about set %s before people have looked at it",
		a->state->txn, name, a->state->set->name);
}

/* The plan. */

static bool take_word(struct line_reader *r, const char *word)
{
	return line_next(r) == 1 && line_is(r, word);
}

static bool take_head(
	struct line_reader *r, char transaction[GENERATION_ID_MAX], enum apply_role *role)
{
	uint64_t n;

	if (!take_word(r, "xnbd-confsync-plan") || !line_is(r, "1") || !line_ended(r) ||
		!take_word(r, "transaction") || !line_text(r, transaction, GENERATION_ID_MAX) ||
		!generation_id_ok(transaction) || !line_number(r, APPLY_ALONE, &n) ||
		!line_ended(r))
		return false;
	*role = (enum apply_role)n;
	return true;
}

/* "NAME LENGTH" and so many bytes, which R passes over. */
static bool take_part(struct line_reader *r, const char *name, const char **text, size_t *len)
{
	uint64_t n;

	if (!take_word(r, name) || !line_number(r, STATE_TEXT_MAX, &n) || !line_ended(r) ||
		n > (uint64_t)(r->end - r->next))
		return false;
	*text = r->next;
	*len = (size_t)n;
	r->next += n;
	return true;
}

static bool take_generation(struct line_reader *r, const char *name, struct generation *ret)
{
	const char *text;
	size_t len;

	if (!take_part(r, name, &text, &len))
		return false;
	return len == 0 || generation_parse(text, len, ret, NULL) == 0;
}

static bool take_manifest(struct line_reader *r, const char *name, struct manifest *ret)
{
	const char *text;
	size_t len;

	return take_part(r, name, &text, &len) && manifest_parse(text, len, ret, NULL) == 0;
}

/* A kind needs the entries that it works with. */
static bool is_sound(const struct apply_item *i)
{
	switch (i->kind) {
	case APPLY_ADD:
		return !i->old;
	case APPLY_REMOVE:
		return i->old && !i->new;
	default:
		return i->old && i->new;
	}
}

static int take_item(struct apply *a, struct line_reader *r)
{
	char path[PATH_BYTES_MAX + 1];
	uint64_t kind;
	int n;

	if (line_next(r) != 1 || !line_number(r, APPLY_FOLDER, &kind) ||
		!line_text(r, path, sizeof(path)) || !line_ended(r) || !path_is_clean(path))
		return -EBADMSG;
	n = apply_items_add(a, (enum apply_kind)kind, path, NULL);
	return n < 0 ? n : is_sound(&a->items[a->item_count - 1]) ? 0 : -EBADMSG;
}

static int parse_plan(struct apply *a, const char *text, size_t len)
{
	struct line_reader r;
	uint64_t count;
	int n = 0;

	line_start(&r, text, len);
	if (!take_head(&r, a->transaction, &a->role) ||
		!take_generation(&r, "before", &a->before) ||
		!take_generation(&r, "next", &a->next) || !take_manifest(&r, "live", &a->live) ||
		!take_word(&r, "items") || !line_number(&r, 2ULL * MANIFEST_ENTRIES_MAX, &count) ||
		!line_ended(&r))
		return -EBADMSG;
	for (uint64_t i = 0; i < count && n == 0; i++)
		n = take_item(a, &r);
	if (n == 0 && (!take_word(&r, "end") || r.next != r.end))
		n = -EBADMSG;
	a->seen_live = calloc(a->live.count + 1, sizeof(*a->seen_live));
	a->seen_next = calloc(a->next.files.count + 1, sizeof(*a->seen_next));
	return n == 0 && (!a->seen_live || !a->seen_next) ? -ENOMEM : n;
}

static int read_file(const struct apply *a, const char *name, size_t max, char **text, size_t *len,
	struct err *err)
{
	CLEANUP_FREE char *path = apply_file(a->state, name);

	return path ? fs_read(path, max, text, len, err)
		    : err_sys(err, ENOMEM, "%s", a->state->txn);
}

static int read_plan(struct apply *a, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len;
	int r = read_file(a, "plan", PLAN_MAX, &text, &len, err);

	if (r < 0)
		return r;
	r = parse_plan(a, text, len);
	return r < 0 ? damaged(a, "plan", err) : 0;
}

/* What was made. */

static bool take_seconds(struct line_reader *r, struct timespec *ret)
{
	const char *word;
	char text[32], *end;
	uint64_t ns;
	size_t len;

	if (!line_word(r, &word, &len) || len == 0 || len >= sizeof(text))
		return false;
	memcpy(text, word, len);
	text[len] = 0;
	errno = 0;
	ret->tv_sec = strtoll(text, &end, 10); /* may be negative */
	if (errno || *end || !line_number(r, 999999999, &ns))
		return false;
	ret->tv_nsec = (long)ns;
	return true;
}

static bool take_seen(struct line_reader *r, struct apply_seen *all, size_t count)
{
	uint64_t at, mode, uid, gid;
	struct apply_seen s = {0};

	if (!line_number(r, UINT64_MAX, &at) || at >= count ||
		!line_number(r, UINT64_MAX, &s.inode) || !line_number(r, UINT64_MAX, &s.size) ||
		!take_seconds(r, &s.modified) || !take_seconds(r, &s.changed) ||
		!line_number(r, UINT32_MAX, &mode) || !line_number(r, UINT32_MAX, &uid) ||
		!line_number(r, UINT32_MAX, &gid))
		return false;
	s.mode = (uint32_t)mode;
	s.uid = (uint32_t)uid;
	s.gid = (uint32_t)gid;
	all[at] = s;
	return true;
}

static bool take_inodes(struct line_reader *r, struct apply *a)
{
	uint64_t at;

	return line_number(r, UINT64_MAX, &at) && at < a->item_count &&
		line_number(r, UINT64_MAX, &a->items[at].old_inode) &&
		line_number(r, UINT64_MAX, &a->items[at].new_inode);
}

static bool take_made(struct line_reader *r, struct apply *a)
{
	bool good = line_is(r, "i") ? take_inodes(r, a)
		: line_is(r, "o")   ? take_seen(r, a->seen_live, a->live.count)
		: line_is(r, "n")   ? take_seen(r, a->seen_next, a->next.files.count)
				    : false;

	return good && line_ended(r);
}

static bool parse_made(struct apply *a, const char *text, size_t len)
{
	struct line_reader r;

	line_start(&r, text, len);
	if (!take_word(&r, "xnbd-confsync-made") || !line_is(&r, "1") || !line_ended(&r) ||
		!take_word(&r, "transaction") || !line_is(&r, a->transaction) || !line_ended(&r))
		return false;
	while (line_next(&r) == 1) {
		if (line_is(&r, "end"))
			return line_ended(&r) && r.next == r.end;
		if (!take_made(&r, a))
			return false;
	}
	return false;
}

static int read_made(struct apply *a, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len;
	int r = read_file(a, "made", PLAN_MAX, &text, &len, err);

	if (r < 0)
		return r;
	return parse_made(a, text, len) ? 0 : damaged(a, "made", err);
}

/* The phase: the last good line of this transaction. */

static void parse_phase(const char *line, size_t len, const char *transaction,
	enum apply_phase *phase, char why[APPLY_WHY_MAX])
{
	size_t id = GENERATION_ID_MAX - 1, word;
	const char *space;

	if (len <= id + 1 || memcmp(line, transaction, id) != 0 || line[id] != ' ')
		return;
	line += id + 1;
	len -= id + 1;
	space = memchr(line, ' ', len);
	word = space ? (size_t)(space - line) : len;
	if (apply_phase_parse(line, word, phase) && *phase == APPLY_ROLLING_BACK && space)
		str_printable(why, APPLY_WHY_MAX, space + 1, len - word - 1);
}

static void parse_phases(const char *text, size_t len, const char *transaction,
	enum apply_phase *phase, char why[APPLY_WHY_MAX])
{
	const char *end = text + len, *eol;

	*phase = APPLY_PREPARING;
	for (; (eol = memchr(text, '\n', (size_t)(end - text))); text = eol + 1)
		parse_phase(text, (size_t)(eol - text), transaction, phase, why);
}

static int read_phase(struct apply *a, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len;
	int r = read_file(a, "phase", PHASE_MAX, &text, &len, err);

	if (r == -ENOENT) {
		a->phase = APPLY_PREPARING;
		return 0;
	}
	if (r == 0)
		parse_phases(text, len, a->transaction, &a->phase, a->why);
	return r;
}

int apply_journal_read(struct apply *a, struct err *err)
{
	int r = read_plan(a, err);

	if (r == 0)
		r = read_phase(a, err);
	if (r == 0 && a->phase != APPLY_PREPARING)
		r = read_made(a, err);
	return r;
}

/* A look from outside. */

/* -ENOENT: there is none; -EBADMSG: there is one that cannot be read. */
static int read_head(const char *path, char transaction[GENERATION_ID_MAX], enum apply_role *role)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char text[HEAD_MAX];
	struct line_reader r;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -EBADMSG;
	n = fs_read_at(fd, text, sizeof(text), 0);
	if (n <= 0)
		return -EBADMSG;
	line_start(&r, text, (size_t)n);
	return take_head(&r, transaction, role) ? 0 : -EBADMSG;
}

enum apply_phase apply_journal_peek(
	const char *txn, char transaction[GENERATION_ID_MAX], enum apply_role *role)
{
	enum apply_phase phase = APPLY_PREPARING;
	char path[PATH_MAX], why[APPLY_WHY_MAX];
	CLEANUP_FREE char *text = NULL;
	size_t len;
	int r;

	*transaction = 0;
	*role = APPLY_RECEIVER;
	if (snprintf(path, sizeof(path), "%s/plan", txn) >= (int)sizeof(path))
		return APPLY_NONE;
	r = read_head(path, transaction, role);
	if (r < 0) {
		/* A damaged plan is one all the same: whoever goes on with it tells people. */
		*transaction = 0;
		return r == -ENOENT ? APPLY_NONE : APPLY_PREPARING;
	}
	snprintf(path, sizeof(path), "%s/phase", txn);
	if (fs_read(path, PHASE_MAX, &text, &len, NULL) == 0)
		parse_phases(text, len, transaction, &phase, why);
	return phase;
}
