/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening and closing the files of a block map; see blockmap.h for what is believed when.
 *
 * The order makes every crash on the way harmless: bits are forgotten before anything else changes;
 * PATH.live is emptied before PATH.info says that it is of this boot; PATH.info says "not clean"
 * before a bit changes, and "clean" when all else is durable.
 */
#include "blockmap_disk.h"

#include "log.h"
#include "util.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* What is there, and so what is believed. */
enum state {
	STATE_NEW,   /* nothing */
	STATE_RAW,   /* PATH, without anything that says what it belongs to */
	STATE_CLEAN, /* PATH and PATH.written */
	STATE_LIVE,  /* PATH and PATH.live */
	STATE_PROVEN /* PATH */
};

/* An opening under way. */
struct opening {
	struct blockmap *m;
	const struct blockmap_wish *wish;
	struct err *err;
	enum state state;
	uint64_t length; /* of PATH as found */
	int written_fd;  /* -1: nobody knows what was written */
};

/* Opens a regular file, no link and nothing that waits. The fd or -errno. */
static int open_regular(const char *path, int flags, struct err *err)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	struct stat st = {0};
	int ret;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	if (fd < 0 && errno != ELOOP)
		return err_sys(err, errno, "%.200s", path);
	ret = err_set(err, EINVAL, "%.200s is %s, not a regular file", path,
		fd < 0 ? "a symbolic link" : "something else");
	fd_close(&fd);
	return ret;
}

static int open_sibling(const struct blockmap *m, const char *suffix, int flags, struct err *err)
{
	char name[PATH_MAX];
	int ret = blockmap_sibling(m->path, suffix, name);

	return ret < 0 ? err_sys(err, -ret, "%.200s", m->path) : open_regular(name, flags, err);
}

static int allocate(struct blockmap *m, const struct blockmap_wish *wish)
{
	uint64_t pages = blockmap_pages(m->blocks);
	int ret = bitmap_init(&m->staged, m->blocks);

	if (ret == 0)
		ret = bitmap_init(&m->dirty, pages);
	if (ret == 0)
		ret = bitmap_init(&m->taken, pages);
	m->anew = wish->anew ? wish->anew : "--clear-bitmap";
	m->identity = json_deep_copy(wish->identity);
	m->path = strdup(wish->path);
	m->round = malloc((MIN_OF(pages, (uint64_t)BLOCKMAP_ROUND) + 1) * BLOCKMAP_PAGE);
	return m->identity && m->path && m->round ? ret : -ENOMEM;
}

/* PATH, ours alone. */
static int open_path(struct opening *o)
{
	struct blockmap *m = o->m;
	struct stat st;

	m->fd = open_regular(m->path, O_RDWR | O_CREAT, o->err);
	if (m->fd < 0)
		return m->fd;
	if (flock(m->fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			? err_set(o->err, EBUSY, "%.200s is in use by another process", m->path)
			: err_sys(o->err, errno, "%.200s", m->path);
	if (fstat(m->fd, &st) < 0)
		return err_sys(o->err, errno, "%.200s", m->path);
	o->length = (uint64_t)st.st_size;
	return 0;
}

/* An empty PATH means "new" to everybody, whatever lies beside it. */
static int forget(struct opening *o)
{
	if (ftruncate(o->m->fd, 0) < 0 || fsync(o->m->fd) < 0)
		return err_sys(o->err, errno, "%.200s", o->m->path);
	o->length = 0;
	return 0;
}

/* Hosts of 32 bits wrote words of 32 bits; in the order of bytes that is the same. */
static int check_length(struct opening *o)
{
	uint64_t want = o->m->present.bytes;
	uint64_t small = (o->m->blocks / 32 + (o->m->blocks % 32 != 0)) * 4;

	if (o->length == want || o->length == small)
		return 0;
	return err_set(o->err, EINVAL,
		"%.200s has %llu bytes, a bitmap for %llu bytes in blocks of %u has %llu; "
		"%s to begin anew",
		o->m->path, (unsigned long long)o->length, (unsigned long long)o->m->size,
		o->m->block, (unsigned long long)want, o->m->anew);
}

static int judge(struct opening *o, json_t *info)
{
	int ret = blockmap_info_check(o->m, o->wish, info, o->err);

	if (blockmap_info_clean(info))
		o->state = STATE_CLEAN;
	else
		o->state = blockmap_info_same_boot(o->m, info) ? STATE_LIVE : STATE_PROVEN;
	return ret;
}

static int find_state(struct opening *o)
{
	json_t *info = NULL;
	int ret;

	o->state = STATE_NEW;
	if (o->length == 0)
		return 0;
	ret = blockmap_info_read(o->m->path, &info, o->err);
	if (ret == 0 && info)
		ret = judge(o, info);
	else
		o->state = STATE_RAW;
	json_decref(info);
	return ret < 0 ? ret : check_length(o);
}

static void tell(const struct opening *o)
{
	const char *path = o->m->path, *what = o->wish->what;
	char name[PATH_MAX];

	if (o->state == STATE_RAW)
		log_warn("%s: no .info file says what it belongs to; its bits are taken on trust",
			path);
	if (o->state == STATE_PROVEN)
		log_warn("%s: the %s was not closed before the host stopped or its disk failed; "
			 "what was not flushed is gone",
			path, what);
	if (o->state == STATE_LIVE)
		log_info("%s: the %s was not closed, nothing is lost", path, what);
	if (o->state == STATE_NEW && !o->wish->clear &&
		blockmap_sibling(path, ".info", name) == 0 && access(name, F_OK) == 0)
		log_warn("%s is empty or was removed: the %s begins anew", path, what);
}

static int load_written(struct opening *o)
{
	struct blockmap_load to = {.written = true};

	return o->written_fd < 0 ? 0 : blockmap_load(o->m, o->written_fd, to);
}

static void open_written(struct opening *o)
{
	struct stat st;

	o->written_fd =
		o->state == STATE_CLEAN ? open_sibling(o->m, ".written", O_RDONLY, NULL) : -1;
	if (o->written_fd >= 0 &&
		(fstat(o->written_fd, &st) < 0 || (uint64_t)st.st_size != o->m->written.bytes))
		fd_close(&o->written_fd);
}

static int load_all(struct opening *o)
{
	struct blockmap_load to = {.present = true};
	int ret = 0;

	open_written(o);
	to.written = o->written_fd < 0;
	if (o->state != STATE_NEW)
		ret = blockmap_load(o->m, o->m->fd, to);
	to.unproven = true;
	if (ret == 0 && o->state == STATE_LIVE)
		ret = blockmap_load(o->m, o->m->live_fd, to);
	if (ret == 0)
		ret = load_written(o);
	fd_close(&o->written_fd);
	return ret < 0 ? err_sys(o->err, -ret, "%.200s", o->m->path) : 0;
}

static int open_live(struct opening *o)
{
	o->m->live_fd = open_sibling(o->m, ".live", O_RDWR | O_CREAT, o->err);
	return MIN_OF(o->m->live_fd, 0);
}

/* The files as a running map has them. */
static int begin(struct opening *o)
{
	struct blockmap *m = o->m;
	off_t length = (off_t)m->present.bytes;
	int ret;

	if ((o->state != STATE_LIVE && ftruncate(m->live_fd, 0) < 0) ||
		ftruncate(m->live_fd, length) < 0)
		return err_sys(o->err, errno, "%.200s.live", m->path);
	ret = blockmap_info_write(m, false, o->err);
	if (ret < 0)
		return ret;
	/* Synced in any case: whoever was killed may have written bits that nobody syncs again. */
	if (ftruncate(m->fd, length) < 0 || fdatasync(m->fd) < 0)
		return err_sys(o->err, errno, "%.200s", m->path);
	m->persistent = true;
	return 0;
}

static int open_all(struct opening *o)
{
	int ret = allocate(o->m, o->wish);

	if (ret < 0)
		return err_sys(o->err, -ret, "%.200s: a bitmap of %llu bits", o->wish->path,
			(unsigned long long)o->m->blocks);
	ret = open_path(o);
	if (ret == 0 && o->wish->clear)
		ret = forget(o);
	if (ret == 0)
		ret = find_state(o);
	if (ret == 0)
		ret = open_live(o);
	if (ret == 0)
		ret = load_all(o);
	if (ret == 0)
		tell(o);
	return ret < 0 ? ret : begin(o);
}

int blockmap_open(struct blockmap *m, const struct blockmap_wish *wish, struct err *err)
{
	struct opening o = {.m = m, .wish = wish, .err = err, .written_fd = -1};
	int ret = blockmap_init(m, wish->size, wish->block);

	assert(json_is_object(wish->identity));
	if (ret < 0)
		return err_sys(err, -ret, "%.200s", wish->path);
	m->data_fd = wish->data_fd;
	blockmap_info_boot(m->boot);
	ret = open_all(&o);
	if (ret < 0)
		blockmap_done(m);
	return ret;
}

/* PATH.written anew, with holes. Nobody believes it before PATH.info says "clean". */
static int write_written(const struct bitmap *b, int fd)
{
	uint8_t bytes[BLOCKMAP_PAGE];
	uint64_t page;
	int ret = ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)b->bytes) < 0 ? -errno : 0;

	for (uint64_t bit = 0; ret == 0; bit = (page + 1) * BLOCKMAP_PAGE_BITS) {
		size_t length;

		bit = bitmap_find(b, bit, true);
		if (bit >= b->bits)
			break;
		page = bit / BLOCKMAP_PAGE_BITS;
		length = blockmap_page_length(b, page);
		bitmap_save(b, (size_t)page * BLOCKMAP_PAGE, bytes, length);
		ret = blockmap_write(fd, bytes, length, page * BLOCKMAP_PAGE);
	}
	return ret == 0 && fsync(fd) < 0 ? -errno : ret;
}

static int save_written(const struct blockmap *m)
{
	CLEANUP_FD int fd = open_sibling(m, ".written", O_WRONLY | O_CREAT, NULL);

	return fd < 0 ? fd : write_written(&m->written, fd);
}

int blockmap_close(struct blockmap *m)
{
	char live[PATH_MAX];
	int ret;

	if (!m->persistent)
		return 0;
	ret = blockmap_flush(m);
	if (ret == 0)
		ret = save_written(m);
	if (ret == 0)
		ret = blockmap_info_write(m, true, NULL);
	if (ret == 0 && blockmap_sibling(m->path, ".live", live) == 0)
		unlink(live);
	return ret;
}
