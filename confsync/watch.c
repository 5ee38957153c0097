/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which folders are watched, and what their events mean. A folder has one entry here as it has one
 * watch descriptor; its path is the one it was last found at. The kernel gives descriptors in
 * ascending order, so the list stays sorted by appending. An entry goes when the kernel says that
 * its watch is gone, or when its folder was moved away.
 */
#include "watch.h"

#include "beneath.h"
#include "path.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

enum { READ_ROOM = 65536, NO_SET = -1 };

#define FILES_MASK                                                                                 \
	(IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |        \
		IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK)
#define STATE_MASK (IN_ATTRIB | IN_DELETE | IN_ONLYDIR | IN_DONT_FOLLOW)

static uint64_t bit(size_t set)
{
	return 1ULL << set;
}

/* What concerns whom. */

static bool may_hold(const struct config_set *s, const char *folder)
{
	if (path_is_temporary(folder))
		return false;
	for (size_t i = 0; i < s->exclude.count; i++) {
		if (path_excluded(s->exclude.items[i], folder))
			return false;
	}
	for (size_t i = 0; i < s->paths.count; i++) {
		if (path_may_hold(s->paths.items[i], folder))
			return true;
	}
	return false;
}

uint64_t watch_concerns(const struct config *c, const char *path, bool folder)
{
	uint64_t sets = 0;

	for (size_t i = 0; i < c->set_count; i++) {
		const struct config_set *s = &c->sets[i];

		if (s->kind != CONFIG_LOCAL &&
			(config_allows(c, s, path) || (folder && may_hold(s, path))))
			sets |= bit(i);
	}
	return sets;
}

/* The list. */

static struct watch_folder *find(const struct watch *w, int wd)
{
	size_t low = 0, high = w->count;

	while (low < high) {
		size_t at = low + (high - low) / 2;

		if (w->folders[at].wd < wd)
			low = at + 1;
		else
			high = at;
	}
	return low < w->count && w->folders[low].wd == wd ? &w->folders[low] : NULL;
}

static int make_room(struct watch *w)
{
	struct watch_folder *more;
	size_t room = w->room ? 2 * w->room : 64;

	if (w->count < w->room)
		return 0;
	if (w->count >= WATCH_FOLDERS_MAX)
		return -E2BIG;
	more = realloc(w->folders, room * sizeof(*more));
	if (!more)
		return -ENOMEM;
	w->folders = more;
	w->room = room;
	return 0;
}

static int remember(struct watch *w, int wd, const char *path, int set)
{
	struct watch_folder *f = find(w, wd);
	char *copy = NULL;
	size_t at;

	if (f && strcmp(f->path, path) == 0)
		return 0;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	if (f) { /* it was renamed */
		free(f->path);
		f->path = copy;
		return 0;
	}
	for (at = w->count; at > 0 && w->folders[at - 1].wd > wd; at--)
		w->folders[at] = w->folders[at - 1];
	w->folders[at] = (struct watch_folder){.wd = wd, .set = set, .path = copy};
	w->count++;
	return 0;
}

static void forget(struct watch *w, struct watch_folder *f)
{
	size_t at = (size_t)(f - w->folders);

	free(f->path);
	memmove(f, f + 1, (w->count - at - 1) * sizeof(*f));
	w->count--;
}

/* FOLDER and all beneath it are no more there. */
static void forget_tree(struct watch *w, const char *folder)
{
	size_t len = strlen(folder);

	for (size_t i = w->count; i-- > 0;) {
		struct watch_folder *f = &w->folders[i];

		if (f->set != NO_SET || strncmp(f->path, folder, len) != 0 ||
			(f->path[len] && f->path[len] != '/'))
			continue;
		inotify_rm_watch(w->in.fd, f->wd);
		forget(w, f);
	}
}

/* Watching. */

/* What is not there, or no folder, needs no watch. */
static bool is_harmless(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP;
}

static int add(struct watch *w, const char *path, int set)
{
	int r = make_room(w), wd;

	if (r == 0) {
		wd = inotify_add_watch(w->in.fd, path, set == NO_SET ? FILES_MASK : STATE_MASK);
		r = wd < 0 ? -errno : remember(w, wd, path, set);
	}
	if (r < 0 && !is_harmless(r))
		w->lost = -r;
	return r;
}

/* PATH has room for PATH_MAX. False: it does not fit. */
static bool append(char *path, size_t len, const char *name)
{
	size_t name_len = strlen(name);

	if (len == 1)
		len = 0;
	if (len + 1 + name_len > PATH_BYTES_MAX)
		return false;
	path[len] = '/';
	memcpy(path + len + 1, name, name_len + 1);
	return true;
}

static void on_input(struct reactor_watch *in, uint32_t events);
static void add_tree(struct watch *w, char *path, unsigned depth);

static void add_child(struct watch *w, char *path, const struct dirent *e, unsigned depth)
{
	size_t len = strlen(path);

	if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		(e->d_type != DT_DIR && e->d_type != DT_UNKNOWN) || depth >= PATH_DEPTH_MAX)
		return;
	if (append(path, len, e->d_name))
		add_tree(w, path, depth + 1);
	path[len] = 0;
}

/* The folder PATH and those in it that matter. Watched first, listed then: what appears between is
 * told by an event. */
static void add_tree(struct watch *w, char *path, unsigned depth)
{
	struct dirent *e;
	DIR *d;
	int fd;

	if (!watch_concerns(w->config, path, true) || add(w, path, NO_SET) < 0)
		return;
	fd = beneath_open(path, O_RDONLY | O_DIRECTORY);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)))
		add_child(w, path, e, depth);
	closedir(d);
}

static unsigned depth_of(const char *path)
{
	unsigned depth = 0;

	for (; *path; path++)
		depth += *path == '/';
	return depth;
}

/* All folders above PATH from the root on, as far as they are there. */
static bool add_above(struct watch *w, const char *path)
{
	char above[PATH_MAX];

	if (add(w, "/", NO_SET) < 0)
		return false;
	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(above, sizeof(above), "%.*s", (int)(slash - path), path);
		if (add(w, above, NO_SET) < 0)
			return false;
	}
	return true;
}

/* DONE: its folders above were dealt with for the pattern before; lists have many of one folder. */
static void add_pattern(struct watch *w, const char *pattern, char *done)
{
	char path[PATH_MAX];
	const char *slash;
	size_t len;

	if (!path_fixed_part(pattern, path, sizeof(path)))
		return;
	slash = strrchr(path, '/');
	len = slash ? (size_t)(slash - path) : 0;
	if (strncmp(done, path, len + 1) != 0 || strchr(done + len + 1, '/')) {
		if (!add_above(w, path))
			return;
		snprintf(done, PATH_MAX, "%s", path);
	}
	add_tree(w, path, depth_of(path));
}

static void add_state(struct watch *w, size_t set)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", w->config->general.state_directory,
		w->config->sets[set].name);

	if (n > 0 && (size_t)n < sizeof(path))
		add(w, path, (int)set);
}

/* Too many instances: a reason to look more often, not to give up. */
static int open_queue(struct watch *w)
{
	int fd, r;

	if (w->in.fd >= 0)
		return 0;
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = reactor_add(w->reactor, &w->in, fd, EPOLLIN, on_input);
	if (r < 0) {
		close(fd);
		w->in.fd = -1;
	}
	return r;
}

void watch_refresh(struct watch *w)
{
	w->overflow = false;
	w->lost = -open_queue(w);
	if (w->lost)
		return;
	for (size_t i = 0; i < w->config->set_count; i++) {
		const struct config_set *s = &w->config->sets[i];
		char done[PATH_MAX] = "";

		if (s->kind == CONFIG_LOCAL)
			continue;
		add_state(w, i);
		for (size_t j = 0; j < s->paths.count; j++)
			add_pattern(w, s->paths.items[j], done);
	}
}

/* Events. */

static void on_folder(struct watch *w, char *path, uint32_t mask)
{
	if (mask & (IN_MOVED_FROM | IN_DELETE))
		forget_tree(w, path);
	if (mask & (IN_MOVED_TO | IN_CREATE))
		add_tree(w, path, depth_of(path));
}

static void on_file_event(
	struct watch *w, const struct watch_folder *f, const char *name, uint32_t mask)
{
	bool folder = mask & IN_ISDIR;
	char path[PATH_MAX];
	uint64_t sets;
	size_t len = strlen(f->path);

	memcpy(path, f->path, len + 1);
	if (!append(path, len, name))
		return;
	/* A new mode of a folder on the way is not ours. */
	sets = watch_concerns(w->config, path, folder && !(mask & IN_ATTRIB));
	w->changed |= sets;
	if (folder && sets)
		on_folder(w, path, mask);
}

static void on_state_event(
	struct watch *w, const struct watch_folder *f, const char *name, uint32_t mask)
{
	if ((mask & IN_ATTRIB && strcmp(name, "peer") == 0) ||
		(mask & IN_DELETE && strcmp(name, "frozen") == 0))
		w->called |= bit((size_t)f->set);
}

static uint64_t all_sets(const struct watch *w)
{
	uint64_t sets = 0;

	for (size_t i = 0; i < w->config->set_count; i++)
		sets |= w->config->sets[i].kind == CONFIG_LOCAL ? 0 : bit(i);
	return sets;
}

static void on_event(struct watch *w, const struct inotify_event *e, const char *name)
{
	struct watch_folder *f;

	if (e->mask & IN_Q_OVERFLOW) {
		w->overflow = true;
		w->overflows++;
		w->changed |= all_sets(w);
		return;
	}
	f = find(w, e->wd);
	if (!f) /* forgotten meanwhile */
		return;
	if (e->mask & IN_IGNORED) {
		if (f->set == NO_SET)
			w->changed |= watch_concerns(w->config, f->path, true);
		forget(w, f);
	} else if (e->len && f->set == NO_SET) {
		on_file_event(w, f, name, e->mask);
	} else if (e->len) {
		on_state_event(w, f, name, e->mask);
	}
}

void watch_take(struct watch *w, const char *bytes, size_t len)
{
	struct inotify_event e;

	while (len >= sizeof(e)) {
		memcpy(&e, bytes, sizeof(e));
		if (e.len > len - sizeof(e))
			break;
		on_event(w, &e, bytes + sizeof(e));
		bytes += sizeof(e) + e.len;
		len -= sizeof(e) + e.len;
	}
}

static void tell(struct watch *w)
{
	uint64_t changed = w->changed, called = w->called;

	w->changed = w->called = 0;
	if (changed)
		w->ops->changed(w->arg, changed);
	if (called)
		w->ops->called(w->arg, called);
}

static void on_input(struct reactor_watch *in, uint32_t events)
{
	struct watch *w = container_of(in, struct watch, in);
	char bytes[READ_ROOM];
	ssize_t n = read(in->fd, bytes, sizeof(bytes));

	(void)events;
	if (n > 0)
		watch_take(w, bytes, (size_t)n);
	if (w->overflow)
		watch_refresh(w);
	tell(w);
}

/* Start and end. */

void watch_init(struct watch *w, struct reactor *r, const struct config *c,
	const struct watch_ops *ops, void *arg)
{
	*w = (struct watch){.reactor = r, .config = c, .ops = ops, .arg = arg, .in.fd = -1};
	watch_refresh(w);
}

void watch_done(struct watch *w)
{
	if (w->in.fd >= 0 && w->in.fn)
		reactor_remove(w->reactor, &w->in);
	fd_close(&w->in.fd);
	while (w->count > 0)
		free(w->folders[--w->count].path);
	free(w->folders);
	w->folders = NULL;
	w->room = 0;
}

int watch_lost(const struct watch *w)
{
	return w->lost;
}
