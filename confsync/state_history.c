/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Generations that are not in force; see state.h. The names of their files tell number, digest and
 * kind, so old ones are dropped without being read; a file whose name tells none of this is left
 * alone. Those that were in force and the others are counted apart: attempts that fail again and
 * again push no good generation out.
 */
#include "fsutil.h"
#include "state.h"
#include "state_inner.h"
#include "str.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { DIGITS = 8 };

static const char *const kind_ends[] = {
	[STATE_WAS] = "", [STATE_UNDONE] = ".undone", [STATE_ASIDE] = ".aside"};

struct past_name {
	uint64_t number;
	char digits[DIGITS + 1];
	enum state_kind kind;
	struct timespec written; /* orders those of one number */
	char file[NAME_MAX + 1];
};
struct past_names {
	struct past_name *items;
	size_t count;
};

/* Names. */

char *state_past_file(const struct state *s, const struct generation *g, enum state_kind kind)
{
	char hex[MANIFEST_HEX], *path;

	hash_to_hex(g->digest, hex);
	return asprintf(&path, "%s/history/%llu-%.*s%s", s->folder, (unsigned long long)g->number,
		       DIGITS, hex, kind_ends[kind]) < 0
		? NULL
		: path;
}

static bool parse_kind(const char *end, enum state_kind *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(kind_ends); i++) {
		if (strcmp(end, kind_ends[i]) == 0) {
			*ret = (enum state_kind)i;
			return true;
		}
	}
	return false;
}

static bool parse_name(const char *file, struct past_name *ret)
{
	size_t digits = strspn(file, "0123456789");
	char number[24];

	if (digits == 0 || digits >= sizeof(number) || file[digits] != '-' ||
		strlen(file) >= sizeof(ret->file))
		return false;
	memcpy(number, file, digits);
	number[digits] = 0;
	if (str_number(number, 0, VECTOR_COUNT_MAX, &ret->number) < 0 ||
		strspn(file + digits + 1, "0123456789abcdef") != DIGITS ||
		!parse_kind(file + digits + 1 + DIGITS, &ret->kind))
		return false;
	memcpy(ret->digits, file + digits + 1, DIGITS);
	ret->digits[DIGITS] = 0;
	memcpy(ret->file, file, strlen(file) + 1);
	return true;
}

static int newer_first(const void *a, const void *b)
{
	const struct past_name *x = a, *y = b;

	if (x->number != y->number)
		return x->number > y->number ? -1 : 1;
	if (x->written.tv_sec != y->written.tv_sec)
		return x->written.tv_sec > y->written.tv_sec ? -1 : 1;
	if (x->written.tv_nsec != y->written.tv_nsec)
		return x->written.tv_nsec > y->written.tv_nsec ? -1 : 1;
	return strcmp(x->file, y->file);
}

static int add_name(struct past_names *n, const struct past_name *name)
{
	struct past_name *more = reallocarray(n->items, n->count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	n->items = more;
	n->items[n->count++] = *name;
	return 0;
}

static int read_names(DIR *d, struct past_names *ret)
{
	struct past_name name;
	struct dirent *e;
	struct stat st;
	int r = 0;

	while (r == 0 && (errno = 0, e = readdir(d))) {
		if (!parse_name(e->d_name, &name) ||
			fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		name.written = st.st_mtim;
		r = add_name(ret, &name);
	}
	return r < 0 ? r : -errno;
}

/* Newest first. *ret is to be freed in any case. */
static int list(const struct state *s, struct past_names *ret)
{
	CLEANUP_FREE char *folder = state_file(s, "history");
	DIR *d = folder ? opendir(folder) : NULL;
	int r;

	*ret = (struct past_names){0};
	if (!d)
		return folder ? -errno : -ENOMEM;
	r = read_names(d, ret);
	closedir(d);
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), newer_first);
	return r;
}

static char *path_of(const struct state *s, const struct past_name *n)
{
	char *path;

	return asprintf(&path, "%s/history/%s", s->folder, n->file) < 0 ? NULL : path;
}

/* Writing. */

static void set_reason(struct generation *g, enum state_kind kind, const char *reason)
{
	char text[GENERATION_REASON_MAX * 2];

	if (!reason)
		return;
	snprintf(text, sizeof(text), "%s: %s", kind == STATE_UNDONE ? "undone" : "set aside",
		reason);
	str_printable(g->reason, sizeof(g->reason), text, strlen(text));
}

int state_remember(const struct state *s, const struct generation *g, enum state_kind kind,
	const char *reason, struct err *err)
{
	CLEANUP_FREE char *path = state_past_file(s, g, kind);
	struct generation head = *g; /* its files stay those of G */

	if (!path)
		return err_sys(err, ENOMEM, "%s", s->folder);
	set_reason(&head, kind, reason);
	return state_write_generation(path, &head, err);
}

static void drop(const struct state *s, const struct past_name *n)
{
	CLEANUP_FREE char *path = path_of(s, n);

	if (path)
		unlink(path);
}

void state_prune(const struct state *s)
{
	uint64_t were = 0, others = 0;
	struct past_names n;

	if (list(s, &n) == 0) {
		for (size_t i = 0; i < n.count; i++) {
			uint64_t *seen = n.items[i].kind == STATE_WAS ? &were : &others;

			if (++*seen > s->set->keep)
				drop(s, &n.items[i]);
		}
	}
	free(n.items);
}

/* Reading. */

static int read_past(
	const struct state *s, const struct past_name *n, struct generation *ret, struct err *err)
{
	CLEANUP_FREE char *path = path_of(s, n);

	generation_init(ret);
	return path ? state_read_generation(path, ret, err) : err_sys(err, ENOMEM, "%s", s->folder);
}

/* Its head, or of a damaged one what its name tells. */
static void read_head(const struct state *s, const struct past_name *n, struct generation *ret)
{
	struct err why;

	if (read_past(s, n, ret, &why) == 0) {
		manifest_done(&ret->files);
		manifest_init(&ret->files);
		return;
	}
	generation_init(ret);
	snprintf(ret->set, sizeof(ret->set), "%s", s->set->name);
	ret->number = n->number;
	snprintf(ret->reason, sizeof(ret->reason), "damaged: %.200s", why.text);
}

int state_history(const struct state *s, struct state_past *ret, struct err *err)
{
	struct past_names n;
	int r = list(s, &n);

	*ret = (struct state_past){0};
	if (r == 0 && n.count) {
		ret->items = calloc(n.count, sizeof(*ret->items));
		r = ret->items ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < n.count && r == 0; i++)
		read_head(s, &n.items[i], &ret->items[ret->count++]);
	free(n.items);
	return r < 0 ? err_sys(err, -r, "%s/history", s->folder) : 0;
}

void state_past_done(struct state_past *p)
{
	for (size_t i = 0; i < p->count; i++)
		generation_done(&p->items[i]);
	free(p->items);
	*p = (struct state_past){0};
}

struct wanted {
	uint64_t number;
	bool by_number, by_digest;
	const char *text;
};

static struct wanted parse_wanted(const char *which)
{
	struct wanted w = {.text = which};
	size_t digits = strspn(which, "0123456789abcdef");

	w.by_number = str_number(which, 1, VECTOR_COUNT_MAX, &w.number) == 0;
	w.by_digest = digits >= DIGITS && digits < MANIFEST_HEX && !which[digits];
	return w;
}

static bool has_digest(const struct generation *g, const char *digits)
{
	char hex[MANIFEST_HEX];

	hash_to_hex(g->digest, hex);
	return strncmp(hex, digits, strlen(digits)) == 0;
}

/* 1: found, 0: not. */
static int find_by_number(const struct state *s, const struct past_names *n, uint64_t number,
	struct generation *ret, struct err *err)
{
	int r;

	if (s->now.number == number)
		return generation_copy(ret, &s->now) < 0 ? err_sys(err, ENOMEM, "%s", s->folder)
							 : 1;
	for (size_t i = 0; i < n->count; i++) {
		if (n->items[i].number != number)
			continue;
		r = read_past(s, &n->items[i], ret, err);
		return r < 0 ? r : 1;
	}
	return 0;
}

static int find_by_digest(const struct state *s, const struct past_names *n, const char *digits,
	struct generation *ret, struct err *err)
{
	int r;

	if (s->now.number > 0 && has_digest(&s->now, digits))
		return generation_copy(ret, &s->now) < 0 ? err_sys(err, ENOMEM, "%s", s->folder)
							 : 1;
	for (size_t i = 0; i < n->count; i++) {
		if (strncmp(n->items[i].digits, digits, DIGITS) != 0)
			continue;
		r = read_past(s, &n->items[i], ret, err);
		if (r < 0 || has_digest(ret, digits))
			return r < 0 ? r : 1;
		generation_done(ret);
	}
	return 0;
}

int state_past(const struct state *s, const char *which, struct generation *ret, struct err *err)
{
	struct wanted w = parse_wanted(which);
	struct past_names n;
	int r = list(s, &n);

	generation_init(ret);
	if (r < 0)
		err_sys(err, -r, "%s/history", s->folder);
	if (r == 0 && w.by_number)
		r = find_by_number(s, &n, w.number, ret, err);
	if (r == 0 && w.by_digest)
		r = find_by_digest(s, &n, w.text, ret, err);
	free(n.items);
	if (r == 0)
		return err_set(err, ENOENT,
			"set %s: there is no generation %.80s in its history: say a number, or 8 or more "
			"digits of a digest",
			s->set->name, which);
	return r < 0 ? r : 0;
}

bool state_was_in_force(const struct state *s, const char *transaction)
{
	struct past_names n;
	bool found = false;

	if (list(s, &n) < 0)
		n.count = 0;
	for (size_t i = 0; i < n.count && !found; i++) {
		struct generation g;

		if (n.items[i].kind != STATE_WAS || read_past(s, &n.items[i], &g, NULL) < 0)
			continue;
		found = strcmp(g.transaction, transaction) == 0;
		generation_done(&g);
	}
	free(n.items);
	return found;
}

int state_each_past(
	const struct state *s, int (*fn)(void *arg, const struct generation *g), void *arg)
{
	struct past_names n;
	int r = list(s, &n);

	for (size_t i = 0; i < n.count && r == 0; i++) {
		struct generation g;

		r = read_past(s, &n.items[i], &g, NULL);
		if (r < 0)
			break;
		r = fn(arg, &g);
		generation_done(&g);
	}
	free(n.items);
	return r;
}
