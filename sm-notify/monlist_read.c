/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the folders into a list. A peer's records lie side by side, sorted, each once; peers are
 * sorted when all are there. What can't be a record is counted and left where it is: a file without
 * one good line goes aside, the bad lines of others stay in their file.
 */
#include "monlist_inner.h"

#include "lines.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_ROOM = 64 };

/* What one file, or all files of a peer, gave. */
struct reading {
	bool found;
	int64_t mtime; /* of the newest */
	uint32_t good, bad;
	const char *why; /* the first bad line is one */
	int error;       /* -errno: not all of it was read */
};

static int grow(void **array, uint32_t *room, uint32_t count, size_t size)
{
	uint32_t more = *room ? *room + *room / 2 : FIRST_ROOM;
	void *p;

	if (count < *room)
		return 0;
	p = realloc(*array, more * size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*room = more;
	return 0;
}

static int add_record(struct monlist *l, const struct record *line)
{
	uint32_t mon, my;
	int r = grow((void **)&l->records, &l->record_room, l->record_count, sizeof(*l->records));

	if (r == 0 && l->record_count >= MONLIST_RECORDS_MAX)
		r = -ENOSPC;
	if (r == 0)
		r = strtab_put(&l->texts, line->mon, line->mon_len, &mon);
	if (r == 0)
		r = strtab_put(&l->texts, line->my, line->my_len, &my);
	if (r < 0)
		return r;
	l->records[l->record_count++] =
		(struct monlist_record){.mon = mon, .my = my & INT32_MAX, .done = 0};
	return 0;
}

static int take_line(struct monlist *l, const struct lines_piece *piece, struct reading *reading)
{
	const char *why = "longer than any record";
	struct record line;

	if (piece->whole && record_is_blank(piece->text, piece->len))
		return 0;
	if (!piece->whole || record_parse(piece->text, piece->len, &line, &why) < 0) {
		reading->bad += piece->last;
		reading->why = reading->why ? reading->why : why;
		return 0;
	}
	reading->good++;
	return add_record(l, &line);
}

static int read_lines(struct monlist *l, int fd, struct reading *reading)
{
	struct lines lines;
	struct lines_piece piece;
	int r;

	lines_init(&lines, fd, MONLIST_FILE_MAX);
	while ((r = lines_next(&lines, &piece)) > 0) {
		r = take_line(l, &piece, reading);
		if (r < 0)
			return r;
	}
	return r;
}

static int64_t mtime_of(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* Adds what NAME in FOLDER has. What stands in the way was said. */
static void read_file(struct monlist *l, int folder, const char *name, struct reading *reading)
{
	struct stat st;
	CLEANUP_FD int fd = monlist_open_file(l, folder, name, &st);
	uint32_t bad = reading->bad;
	int r;

	if (fd < 0)
		return;
	reading->mtime = reading->found ? MAX_OF(reading->mtime, mtime_of(&st)) : mtime_of(&st);
	reading->found = true;
	r = read_lines(l, fd, reading);
	if (r < 0) {
		reading->error = r;
		monlist_say(l, folder, name, "not read to its end: %s", strerror(-r));
	} else if (reading->bad > bad && reading->good > 0) {
		monlist_say(l, folder, name, "lines that are no records, left out: %u (%s)",
			reading->bad - bad, reading->why);
	}
}

static int by_names(const void *a, const void *b)
{
	const struct monlist_record *x = a, *y = b;

	if (x->mon != y->mon)
		return x->mon < y->mon ? -1 : 1;
	return x->my < y->my ? -1 : x->my > y->my;
}

/* Sorts the records from FIRST on and drops all that come twice. */
static void make_distinct(struct monlist *l, uint32_t first)
{
	uint32_t kept = first;

	if (l->record_count - first > 1)
		qsort(l->records + first, l->record_count - first, sizeof(*l->records), by_names);
	for (uint32_t i = first; i < l->record_count; i++) {
		if (i == first || by_names(&l->records[i], &l->records[kept - 1]) != 0)
			l->records[kept++] = l->records[i];
	}
	l->record_count = kept;
}

/* Everything since FIRST is NAME's. */
static int add_peer(struct monlist *l, const char *name, uint32_t first, int64_t mtime)
{
	struct monlist_peer *p;
	uint32_t offset;
	int r = grow((void **)&l->peers, &l->peer_room, l->peer_count, sizeof(*l->peers));

	if (r == 0)
		r = strtab_put(&l->texts, name, strlen(name), &offset);
	if (r < 0)
		return r;
	make_distinct(l, first);
	p = &l->peers[l->peer_count++];
	*p = (struct monlist_peer){.mtime = mtime, .name = offset, .first = first};
	p->count = l->record_count - first;
	p->left = p->count & ((1U << 30) - 1); /* MONLIST_RECORDS_MAX is less */
	return 0;
}

static void conclude(struct monlist *l, int folder, const char *name, uint32_t first,
	const struct reading *reading)
{
	int r = 0;

	if (l->record_count > first)
		r = add_peer(l, name, first, reading->mtime);
	if (r == 0)
		return;
	l->record_count = first;
	monlist_say(l, folder, name, "%s", strerror(-r));
}

/* A plain name needs no look at what it is before it is opened; others may have to be moved. */
static bool is_plain(const char *name)
{
	char base[RECORD_NAME_MAX + 1];

	return record_name_is_valid(name) && !record_temporary_of(name, base);
}

/* What was read of a file that is not readable to its end counts: better some told than none. */
static int load_one(struct monlist *l, int folder, const char *name, void *ctx)
{
	uint32_t first = l->record_count;
	struct reading reading = {0};
	struct stat st;

	(void)ctx;
	if (*name == '.')
		return 0;
	if (!is_plain(name) &&
		(monlist_look(l, folder, name, &st) < 0 || monlist_check_name(l, folder, name) < 0))
		return 0;
	read_file(l, folder, name, &reading);
	if (reading.found && reading.error == 0 && reading.good == 0)
		monlist_set_aside(l, folder, name, reading.why ? reading.why : "empty");
	conclude(l, folder, name, first, &reading);
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct monlist_peer *x = a, *y = b;

	if (x->mtime != y->mtime)
		return x->mtime > y->mtime ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

static void finish(struct monlist *l)
{
	if (l->peer_count > 1)
		qsort(l->peers, l->peer_count, sizeof(*l->peers), newest_first);
	strtab_seal(&l->texts);
}

int monlist_load(struct monlist *l, struct err *err)
{
	int r = monlist_each(l, l->bak, load_one, NULL, err);

	if (r < 0)
		l->complete = false;
	finish(l);
	return r;
}

/*
 * Where records of a peer may be, in the order in which they are looked for: in sm.bak, out of sm
 * but not yet joined, left by a crash (whole), and the same in sm.
 */
static const struct source {
	bool in_sm, leftover;
	const char *before, *behind; /* the peer's name */
} sources[] = {
	{false, false, "", ""},
	{false, false, MONLIST_SECOND, ""},
	{false, true, "", ".new"},
	{false, true, ".", ".new"},
	{true, false, "", ""},
	{true, true, "", ".new"},
	{true, true, ".", ".new"},
};

enum { SOURCE_ROOM = NAME_MAX + 8 };

/* The name of this source of BASE, and its folder; -1: there is none that counts. */
static int find_source(struct monlist *l, const struct source *s, const char *base, char *ret)
{
	char other[RECORD_NAME_MAX + 1];
	int folder = s->in_sm ? l->sm : l->bak;

	snprintf(ret, SOURCE_ROOM, "%s%s%s", s->before, base, s->behind);
	if (faccessat(folder, ret, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (s->leftover &&
		(!monlist_leftover_of(l, ret, other) || !monlist_is_whole(l, folder, ret)))
		return -1;
	return folder;
}

static int load_all_of(struct monlist *l, int folder, const char *name)
{
	char source[SOURCE_ROOM];
	uint32_t first = l->record_count;
	struct reading reading = {0};

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		int in = find_source(l, &sources[i], name, source);

		if (in >= 0)
			read_file(l, in, source, &reading);
	}
	if (reading.found && reading.error == 0 && reading.good == 0)
		monlist_say(l, folder, name, "%s; left out", reading.why ? reading.why : "empty");
	conclude(l, folder, name, first, &reading);
	return 0;
}

/* Whose records are in NAME? NULL: nobody's. BASE is room for that. */
static const char *peer_of(struct monlist *l, int folder, const char *name, char *base)
{
	const char *plain = monlist_second_of(name);

	if (plain)
		return folder == l->bak ? plain : NULL;
	if (monlist_leftover_of(l, name, base) && monlist_is_whole(l, folder, name))
		return base;
	return *name != '.' && monlist_check_name(l, folder, name) == 0 ? name : NULL;
}

/* All records of a peer are read at the first of its sources. */
static int load_place(struct monlist *l, int folder, const char *name, void *ctx)
{
	char room[RECORD_NAME_MAX + 1], source[SOURCE_ROOM];
	const char *base = peer_of(l, folder, name, room);

	(void)ctx;
	for (size_t i = 0; base && i < ARRAY_LEN(sources); i++) {
		int in = find_source(l, &sources[i], base, source);

		if (in >= 0)
			return in == folder && strcmp(source, name) == 0
				? load_all_of(l, folder, base)
				: 0;
	}
	return 0;
}

int monlist_load_in_place(struct monlist *l, struct err *err)
{
	int r;

	l->in_place = true;
	r = monlist_each(l, l->bak, load_place, NULL, err);
	if (r == 0)
		r = monlist_each(l, l->sm, load_place, NULL, err);
	if (r < 0)
		l->complete = false;
	finish(l);
	return r;
}
