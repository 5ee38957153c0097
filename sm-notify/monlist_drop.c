/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Acknowledged records leave their files. A file is always read anew and only lines go that are
 * known to be done, so whatever else is in it by now stays: lines that are no records are kept
 * aside with the file when the last record has gone. Until the folder is synced a power cut may
 * bring records back; that costs a superfluous notification, so it can wait for monlist_flush().
 */
#include "monlist_inner.h"

#include "draft.h"
#include "lines.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct rewriting {
	struct monlist *list;
	struct strtab done; /* "mon_name my_name" */
	struct draft draft; /* begun with the first piece that stays */
	uint64_t kept, removed;
};

static int put_done(struct rewriting *w, const struct monlist_peer *p)
{
	char pair[2 * RECORD_TEXT_MAX + 2];
	uint32_t ignored;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < p->count; i++) {
		const struct monlist_record *record = monlist_record_at(w->list, p, i);
		int n = snprintf(pair, sizeof(pair), "%s %s", monlist_record_mon(w->list, record),
			monlist_record_my(w->list, record));

		if (record->done)
			r = strtab_put(&w->done, pair, (size_t)n, &ignored);
	}
	return r;
}

static bool is_done(const struct rewriting *w, const struct lines_piece *piece)
{
	char pair[2 * RECORD_TEXT_MAX + 2];
	struct record line;
	int n;

	if (!piece->whole || record_parse(piece->text, piece->len, &line, NULL) < 0)
		return piece->whole && record_is_blank(piece->text, piece->len);
	n = snprintf(pair, sizeof(pair), "%.*s %.*s", (int)line.mon_len, line.mon, (int)line.my_len,
		line.my);
	return strtab_find(&w->done, pair, (size_t)n) != 0;
}

static int keep(struct rewriting *w, const struct lines_piece *piece)
{
	int r;

	if (w->draft.fd < 0) {
		r = draft_begin(&w->draft, w->list->bak, MONLIST_TEMP);
		if (r < 0)
			return r;
	}
	w->kept++;
	draft_put(&w->draft, piece->text, piece->len);
	if (piece->newline)
		draft_put(&w->draft, "\n", 1);
	return 0;
}

static int filter(struct rewriting *w, int fd)
{
	struct lines lines;
	struct lines_piece piece;
	int r;

	lines_init(&lines, fd, MONLIST_FILE_MAX);
	while ((r = lines_next(&lines, &piece)) > 0) {
		if (is_done(w, &piece))
			w->removed++;
		else
			r = keep(w, &piece);
		if (r < 0)
			return r;
	}
	return r;
}

/* What is left becomes NAME, or NAME goes. */
static int replace(struct rewriting *w, const char *name, const struct stat *st)
{
	struct monlist *l = w->list;

	if (w->removed == 0 && w->kept > 0)
		return 0;
	l->unsynced = true;
	if (w->kept == 0)
		return unlinkat(l->bak, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	draft_like(&w->draft, st);
	draft_mtime(&w->draft, st->st_mtim);
	return draft_commit(&w->draft, l->bak, name);
}

static int rewrite_opened(
	struct monlist *l, const struct monlist_peer *p, int fd, const struct stat *st)
{
	const char *name = monlist_peer_name(l, p);
	struct rewriting w = {.list = l, .draft.fd = -1};
	int r;

	strtab_init(&w.done, MONLIST_TEXT_MAX);
	r = put_done(&w, p);
	if (r == 0)
		r = filter(&w, fd);
	if (r == 0)
		r = replace(&w, name, st);
	draft_abandon(&w.draft);
	strtab_done(&w.done);
	if (r == 0 && w.kept > 0 && p->left == 0)
		monlist_set_aside(l, l->bak, name, "what is left of it is no record");
	return r;
}

/* What is in the way is said the first time. */
static int open_again(struct monlist *l, struct monlist_peer *p, struct stat *st)
{
	bool quiet = l->quiet;
	int fd;

	l->quiet = quiet || p->said;
	fd = monlist_open_file(l, l->bak, monlist_peer_name(l, p), st);
	l->quiet = quiet;
	p->said = fd < 0;
	return fd;
}

static int rewrite(struct monlist *l, struct monlist_peer *p, struct err *err)
{
	const char *name = monlist_peer_name(l, p);
	struct stat st;
	CLEANUP_FD int fd = open_again(l, p, &st);
	int r = fd < 0 ? fd : rewrite_opened(l, p, fd, &st);

	if (r < 0 && r != -ENOENT)
		return err_sys(err, -r, "%.200s/sm.bak/%.255s: not rewritten, kept as it was",
			l->path, name);
	p->dirty = 0;
	l->partial--;
	return 0;
}

int monlist_drop(
	struct monlist *l, struct monlist_peer *p, struct monlist_record *r, struct err *err)
{
	if (r->done)
		return 0;
	r->done = 1;
	p->left--;
	if (l->in_place)
		return 0;
	l->partial += !p->dirty;
	p->dirty = 1;
	return p->left == 0 ? rewrite(l, p, err) : 0;
}

static int flush_partial(struct monlist *l, struct err *err)
{
	int r = 0;

	for (uint32_t i = 0; l->partial > 0 && i < l->peer_count; i++) {
		struct err *where = r == 0 ? err : NULL; /* the first failure is told */

		if (l->peers[i].dirty && rewrite(l, &l->peers[i], where) < 0)
			r = -EIO;
	}
	return r;
}

int monlist_flush(struct monlist *l, struct err *err)
{
	int r = flush_partial(l, err), sync;

	if (!l->unsynced)
		return r;
	sync = draft_sync_folder(l->bak);
	l->unsynced = sync < 0;
	if (sync < 0 && r == 0)
		r = err_sys(err, -sync, "%.300s/sm.bak: sync", l->path);
	return r;
}
