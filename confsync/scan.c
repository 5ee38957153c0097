/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scan as a whole; see scan.h. Each pattern has a fixed part where walking begins; those that lie
 * beneath another one are left out, so nothing is met twice. Sorted, they are mostly neighbours in
 * one folder, which is then opened once.
 */
#include "scan.h"

#include "beneath.h"
#include "scan_walk.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Where to begin. */

struct starts {
	char **items;
	size_t count;
};

static void starts_done(struct starts *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i]);
	free(s->items);
}

/* So that what lies beneath a path follows it at once: '/' comes before all other bytes. */
static int compare(const void *x, const void *y)
{
	const unsigned char *a = *(unsigned char *const *)x, *b = *(unsigned char *const *)y;

	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (*a == *b)
		return 0;
	if (!*a || !*b)
		return *a ? 1 : -1;
	if (*a == '/' || *b == '/')
		return *a == '/' ? -1 : 1;
	return *a < *b ? -1 : 1;
}

static bool is_beneath(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	if (len == 1) /* "/" */
		return true;
	return strncmp(path, folder, len) == 0 && (path[len] == 0 || path[len] == '/');
}

static void drop_inner(struct starts *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->count; i++) {
		if (kept > 0 && is_beneath(s->items[i], s->items[kept - 1]))
			free(s->items[i]);
		else
			s->items[kept++] = s->items[i];
	}
	s->count = kept;
}

static int find_starts(const struct config_set *set, struct starts *ret)
{
	char part[PATH_BYTES_MAX + 2];

	*ret = (struct starts){.items = calloc(set->paths.count + 1, sizeof(char *))};
	for (size_t i = 0; ret->items && i < set->paths.count; i++) {
		if (!path_fixed_part(set->paths.items[i], part, sizeof(part)))
			continue; /* matches nothing, config.c says so */
		ret->items[ret->count] = strdup(part);
		if (!ret->items[ret->count])
			return -ENOMEM;
		ret->count++;
	}
	if (!ret->items)
		return -ENOMEM;
	qsort(ret->items, ret->count, sizeof(*ret->items), compare);
	drop_inner(ret);
	return 0;
}

/* Both are sorted so that a folder comes right before what it holds. */
static bool overlap(const struct starts *a, const struct starts *b)
{
	size_t i = 0, k = 0;

	while (i < a->count && k < b->count) {
		if (is_beneath(a->items[i], b->items[k]) || is_beneath(b->items[k], a->items[i]))
			return true;
		if (compare(&a->items[i], &b->items[k]) < 0)
			i++;
		else
			k++;
	}
	return false;
}

/* Other sets that may have files where ours are. */
static int find_others(struct scan_walk *w, const struct starts *ours)
{
	for (size_t i = 0; i < w->config->set_count && w->other_count < CONFIG_SETS_MAX; i++) {
		const struct config_set *set = &w->config->sets[i];
		struct starts theirs;
		int r;

		if (set == w->set || set->kind == CONFIG_LOCAL)
			continue;
		r = find_starts(set, &theirs);
		if (r == 0 && overlap(ours, &theirs))
			w->others[w->other_count++] = set;
		starts_done(&theirs);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Walking. */

struct at {
	int fd; /* folder of the start before, or -errno of opening it */
	size_t len;
	char folder[PATH_BYTES_MAX + 2];
};

static void enter_folder_of(struct at *at, const char *path)
{
	size_t len = (size_t)(strrchr(path, '/') - path);
	const char *name;

	if (at->len == len && memcmp(at->folder, path, len) == 0)
		return;
	if (at->fd >= 0)
		close(at->fd);
	at->fd = beneath_parent(path, &name);
	memcpy(at->folder, path, len);
	at->len = len;
}

static int walk_from(struct scan_walk *w, struct at *at, const char *start)
{
	snprintf(w->path, sizeof(w->path), "%s", start);
	if (strcmp(start, "/") == 0)
		return scan_walk_root(w);
	enter_folder_of(at, start);
	if (at->fd >= 0)
		return scan_walk(w, at->fd, strrchr(start, '/') + 1);
	if (at->fd == -ELOOP)
		scan_fault(w, "a symbolic link is on the way; name the file by its real path");
	else if (at->fd != -ENOENT && at->fd != -ENOTDIR)
		scan_fault(w, "cannot be read: %s", strerror(-at->fd));
	return 0;
}

static int walk_all(struct scan_walk *w, const struct starts *s)
{
	struct at at = {.fd = -1, .len = SIZE_MAX};
	int r = 0;

	for (size_t i = 0; r == 0 && !w->full && i < s->count; i++)
		r = walk_from(w, &at, s->items[i]);
	if (at.fd >= 0)
		close(at.fd);
	return r;
}

static int scan_all(struct scan_walk *w)
{
	struct starts starts;
	int r = find_starts(w->set, &starts);

	if (r == 0)
		r = find_others(w, &starts);
	if (r < 0)
		err_sys(w->err, -r, "set %s", w->set->name);
	else
		r = walk_all(w, &starts);
	starts_done(&starts);
	return r;
}

static int finish(struct scan_walk *w)
{
	int r = manifest_sort(&w->out->files);

	if (r == 0)
		r = manifest_digest(&w->out->files, w->out->digest);
	return r < 0 ? err_sys(w->err, -r, "set %s", w->set->name) : 0;
}

/* With names, index and writer. */
static int scan_with(struct scan_walk *w, const char *path, bool believed)
{
	struct index *known = path && believed ? index_open(path) : NULL;
	struct timespec now;
	int r;

	w->known = known;
	w->names = meta_names_new();
	w->writer = path ? index_writer_new() : NULL;
	clock_gettime(CLOCK_REALTIME, &now);
	if (!w->names || (path && (!w->writer || (believed && !known))))
		r = err_sys(w->err, ENOMEM, "set %s", w->set->name);
	else
		r = scan_all(w);
	if (r == 0)
		r = finish(w);
	if (r == 0 && w->writer && w->out->hashed > 0)
		index_writer_save(w->writer, path, &now); /* else it is read again next time */
	index_writer_free(w->writer);
	meta_names_free(w->names);
	index_close(known);
	return r;
}

int scan_set(const struct config *c, const struct config_set *s, const char *index,
	enum scan_depth depth, struct scan *ret, struct err *err)
{
	struct scan_walk *w = calloc(1, sizeof(*w));
	int r;

	*ret = (struct scan){0};
	if (!w)
		return err_sys(err, ENOMEM, "set %s", s->name);
	w->config = c;
	w->set = s;
	w->out = ret;
	w->err = err;
	r = scan_with(w, index, depth == SCAN_QUICK);
	if (r < 0)
		scan_done(ret);
	free(w);
	return r;
}

void scan_done(struct scan *s)
{
	manifest_done(&s->files);
	for (size_t i = 0; i < SCAN_FAULTS_MAX; i++)
		free(s->faults[i]);
	*s = (struct scan){0};
}
