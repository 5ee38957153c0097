/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state folder of a set, its lock and the generation in force; see state.h. The history is in
 * state_history.c, what is known of the peer and of troubles in state_peer.c.
 *
 * A change of the generation in force first puts the one before into the history, then replaces the
 * file: after a crash between, doing it again changes nothing more. Nothing here looks at the set's
 * files.
 */
#include "state.h"

#include "clock.h"
#include "fsutil.h"
#include "state_inner.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

enum { FOLDER_MODE = 0700, FILE_MODE = 0600, LOCK_PAUSE_MS = 50 };

char *state_file(const struct state *s, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", s->folder, name) < 0 ? NULL : path;
}

int state_sync_folder(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Folders. */

static int make_folder(const char *path, mode_t mode, struct err *err)
{
	struct stat st;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_sys(err, errno, "folder %s", path);
	if (mode != FOLDER_MODE)
		return 0;
	if (lstat(path, &st) < 0)
		return err_sys(err, errno, "folder %s", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return err_set(err, EPERM,
			"%s: is to be a folder that only its owner, we, can write to", path);
	return 0;
}

/* All folders above PATH, for everybody to pass through. */
static int make_above(const char *path, struct err *err)
{
	CLEANUP_FREE char *part = strdup(path);
	int r = part ? 0 : err_sys(err, ENOMEM, "%s", path);

	for (char *at = part ? strchr(part + 1, '/') : NULL; at && r == 0;
		at = strchr(at + 1, '/')) {
		*at = 0;
		r = make_folder(part, 0755, err);
		*at = '/';
	}
	return r;
}

static int make_folders(const struct state *s, const char *above, struct err *err)
{
	CLEANUP_FREE char *history = state_file(s, "history");
	const char *const inner[] = {s->folder, s->objects, s->txn, history};
	int r = history ? make_above(above, err) : err_sys(err, ENOMEM, "%s", above);

	if (r == 0)
		r = make_folder(above, FOLDER_MODE, err);
	for (size_t i = 0; i < ARRAY_LEN(inner) && r == 0; i++)
		r = make_folder(inner[i], FOLDER_MODE, err);
	return r;
}

/* Generations. */

int state_read_generation(const char *path, struct generation *ret, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	struct err inner;
	size_t len;
	int r;

	generation_init(ret);
	r = fs_read(path, STATE_TEXT_MAX, &text, &len, err);
	if (r < 0)
		return r;
	r = generation_parse(text, len, ret, &inner);
	return r < 0 ? err_set(err, -r, "%s is damaged: %s", path, inner.text) : 0;
}

int state_write_generation(const char *path, const struct generation *g, struct err *err)
{
	struct buf text;
	int r;

	buf_init(&text, STATE_TEXT_MAX);
	generation_print(g, &text);
	r = buf_failed(&text) ? err_set(err, ENOMEM, "%s: too long, or no memory", path)
			      : fs_replace(path, buf_bytes(&text), buf_len(&text), FILE_MODE, err);
	buf_done(&text);
	return r;
}

bool state_same(const struct generation *a, const struct generation *b)
{
	return a->number == b->number && memcmp(a->digest, b->digest, sizeof(a->digest)) == 0 &&
		strcmp(a->transaction, b->transaction) == 0 &&
		vector_compare(&a->vector, &b->vector) == VECTOR_EQUAL;
}

/* None is no fault. */
static int read_now(struct state *s, struct err *err)
{
	CLEANUP_FREE char *path = state_file(s, "generation");
	struct generation found;
	struct err inner; /* that there is none is not the caller's */
	int r = path ? state_read_generation(path, &found, &inner) : -ENOMEM;

	if (r < 0 && r != -ENOENT)
		return err_set(err, -r, "%s", path ? inner.text : "no memory");
	generation_done(&s->now);
	s->now = found;
	if (r == -ENOENT)
		snprintf(s->now.set, sizeof(s->now.set), "%s", s->set->name);
	else if (strcmp(s->now.set, s->set->name) != 0)
		return err_set(err, EBADMSG, "%s is of the set %s, not of %s", path, s->now.set,
			s->set->name);
	return 0;
}

/* Opening and locking. */

static int name_files(struct state *s)
{
	if (asprintf(&s->folder, "%s/%s", s->config->general.state_directory, s->set->name) < 0) {
		s->folder = NULL;
		return -ENOMEM;
	}
	s->objects = state_file(s, "objects");
	s->index = state_file(s, "index");
	s->stage = state_file(s, "stage");
	s->txn = state_file(s, "txn");
	return s->objects && s->index && s->stage && s->txn ? 0 : -ENOMEM;
}

int state_open(
	struct state *s, const struct config *c, const struct config_set *set, struct err *err)
{
	int r;

	*s = (struct state){.config = c, .set = set, .lock = -1};
	generation_init(&s->now);
	r = name_files(s);
	if (r < 0)
		err_sys(err, -r, "%s", set->name);
	if (r == 0)
		r = make_folders(s, c->general.state_directory, err);
	if (r == 0)
		r = read_now(s, err);
	if (r < 0)
		state_close(s);
	return r;
}

void state_close(struct state *s)
{
	state_unlock(s);
	generation_done(&s->now);
	free(s->folder);
	free(s->objects);
	free(s->index);
	free(s->stage);
	free(s->txn);
	*s = (struct state){.lock = -1};
}

static int wait_for_lock(int fd, uint64_t ms)
{
	uint64_t until = clock_ms() + ms;
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (clock_ms() >= until)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return 0;
}

int state_lock(struct state *s, uint64_t ms, struct err *err)
{
	CLEANUP_FREE char *path = state_file(s, "lock");
	int fd, r;

	if (!path)
		return err_sys(err, ENOMEM, "%s", s->folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	r = wait_for_lock(fd, ms);
	if (r == -EBUSY)
		err_set(err, EBUSY, "set %s: another xnbd-confsync is at work on it", s->set->name);
	else if (r < 0)
		err_sys(err, -r, "%s", path);
	else
		r = read_now(s, err);
	if (r < 0)
		close(fd);
	else
		s->lock = fd;
	return r;
}

void state_unlock(struct state *s)
{
	fd_close(&s->lock);
}

/* Another generation in force. */

static int replace_now(struct state *s, const struct generation *next, struct err *err)
{
	CLEANUP_FREE char *path = state_file(s, "generation");
	struct generation copy;
	int r;

	if (!path || generation_copy(&copy, next) < 0)
		return err_sys(err, ENOMEM, "%s", s->folder);
	r = state_write_generation(path, next, err);
	if (r < 0) {
		generation_done(&copy);
		return r;
	}
	generation_done(&s->now);
	s->now = copy;
	return 0;
}

int state_set_generation(struct state *s, const struct generation *next, struct err *err)
{
	int r = 0;

	if (state_same(&s->now, next))
		return 0;
	if (s->now.number > 0)
		r = state_remember(s, &s->now, STATE_WAS, NULL, err);
	if (r == 0)
		r = replace_now(s, next, err);
	if (r == 0)
		state_prune(s);
	return r;
}

/* There was none before. */
static int forget_now(struct state *s, struct err *err)
{
	CLEANUP_FREE char *path = state_file(s, "generation");
	int r = path ? 0 : -ENOMEM;

	if (r == 0 && unlink(path) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0)
		r = state_sync_folder(s->folder);
	return r < 0 ? err_sys(err, -r, "%s/generation", s->folder) : read_now(s, err);
}

/* Moved back out of the history, which needs no space. False: it is to be written. */
static bool take_from_history(struct state *s, const struct generation *before)
{
	CLEANUP_FREE char *path = state_file(s, "generation");
	CLEANUP_FREE char *past = state_past_file(s, before, STATE_WAS);
	struct generation found;
	bool same;

	if (!path || !past || state_read_generation(past, &found, NULL) < 0)
		return false;
	same = state_same(&found, before);
	generation_done(&found);
	return same && rename(past, path) == 0 && state_sync_folder(s->folder) == 0 &&
		read_now(s, NULL) == 0;
}

/* A change that was cut off has remembered it already. */
static void forget_past(const struct state *s, const struct generation *g)
{
	CLEANUP_FREE char *past = state_past_file(s, g, STATE_WAS);

	if (past)
		unlink(past);
}

int state_back_to(
	struct state *s, const struct generation *before, const char *why, struct err *err)
{
	/* The file says what a failure in the middle of replacing it has left. */
	read_now(s, NULL);
	if (state_same(&s->now, before)) {
		forget_past(s, before);
		return 0;
	}
	/* Best effort: a full disk does not keep us from going back. */
	if (s->now.number > 0)
		state_remember(s, &s->now, STATE_UNDONE, why, NULL);
	if (before->number == 0)
		return forget_now(s, err);
	return take_from_history(s, before) ? 0 : replace_now(s, before, err);
}

int state_set_aside(struct state *s, const struct generation *g, const char *why, struct err *err)
{
	int r = state_remember(s, g, STATE_ASIDE, why, err);

	if (r == 0)
		state_prune(s);
	return r;
}
