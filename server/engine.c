/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine's common part: what is done inline, and how partial results are accounted for. */
#include "engine.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = 4096, PROBE_PAGES = 256, CROWD = 32 };

/* One call for what is left; FLAGS are those of preadv2(2). */
static ssize_t move_rest(const struct io *io, int flags)
{
	struct iovec iov = {.iov_base = io->buf + io->moved, .iov_len = io->len - io->moved};
	off_t at = (off_t)(io->offset + io->moved);
	ssize_t n;

	if (io->op == IO_READ)
		n = preadv2(io->fd, &iov, 1, at, flags);
	else if (io->op == IO_WRITE)
		n = pwritev2(io->fd, &iov, 1, at, flags);
	else
		n = splice(io->fd, &at, io->pipe, NULL, iov.iov_len, 0);
	return n < 0 ? -errno : n;
}

ssize_t engine_move(const struct io *io)
{
	return move_rest(io, io->op == IO_WRITE && (io->flags & IO_DSYNC) ? RWF_DSYNC : 0);
}

static bool is_waiting(const struct io *io)
{
	return io->engine->waiting[io->fd % ENGINE_FDS / 64] >> io->fd % 64 & 1;
}

static void mark_waiting(const struct io *io)
{
	io->engine->waiting[io->fd % ENGINE_FDS / 64] |= 1ULL << io->fd % 64;
}

/*
 * One attempt without waiting. Whatever it did not move is left to the backend: "would wait",
 * short counts at the edge of the page cache, and file systems that know no RWF_NOWAIT.
 */
static bool try_inline(struct io *io)
{
	ssize_t n = move_rest(io, io->flags & IO_MEMORY ? 0 : RWF_NOWAIT);

	if (n == -EOPNOTSUPP && io->op == IO_WRITE)
		mark_waiting(io); /* ext4: not worth another try */
	return n != -EOPNOTSUPP && engine_account(io, n);
}

/*
 * All pages there and filled? Pages of which a read is under way, or failed, would be waited for;
 * cachestat(2) counts these too, mincore(2) does not.
 */
static bool is_cached(const struct io *io)
{
	uintptr_t at = (uintptr_t)io->probe, end = at + io->len;
	unsigned char there[PROBE_PAGES];

	if (io->flags & IO_MEMORY)
		return true;
	if (!io->probe)
		return false;
	for (at &= ~(uintptr_t)(PAGE - 1); at < end; at += PROBE_PAGES * PAGE) {
		size_t pages = MIN_OF((end - at + PAGE - 1) / PAGE, (size_t)PROBE_PAGES);

		if (mincore((void *)at, pages * PAGE, there) < 0)
			return false;
		for (size_t i = 0; i < pages; i++) {
			if (!(there[i] & 1))
				return false;
		}
	}
	return true;
}

/* By reference, so even a megabyte costs little time. */
static bool try_splice(struct io *io)
{
	if (!is_cached(io))
		return false;
	while (!engine_account(io, engine_move(io)))
		;
	return true;
}

bool engine_account(struct io *io, ssize_t returned)
{
	if (returned == -EINTR || returned == -EAGAIN)
		return false;
	if (returned <= 0) {
		io->result =
			returned < 0 ? (int)returned : -EIO; /* end of file: the image shrank */
		return true;
	}
	io->moved += (size_t)returned;
	io->result = 0;
	return io->moved == io->len;
}

/*
 * A read "without waiting" of pages that are not there starts reading them, and waits for room in
 * the queue of the device if that is full. So in a crowd of cold reads it is asked first whether a
 * read is another one.
 */
static bool joins_crowd(const struct io *io)
{
	return io->engine->in_flight >= CROWD && !is_cached(io);
}

static bool may_copy_inline(const struct io *io)
{
	if (!(io->flags & (IO_INLINE | IO_MEMORY)) || (io->flags & (IO_DSYNC | IO_BLOCKED)) ||
		io->len > IO_INLINE_MAX)
		return false;
	return io->op == IO_READ ? !joins_crowd(io) : io->op == IO_WRITE && !is_waiting(io);
}

/* Does what can be done at once; true if that was all of it. */
static bool try_now(struct io *io)
{
	io->moved = 0;
	io->result = 0;
	if (may_copy_inline(io))
		return try_inline(io);
	return io->op == IO_SPLICE && try_splice(io);
}

bool engine_submit(struct engine *e, struct io *io)
{
	io->engine = e;
	if (try_now(io))
		return true;
	if (io->op == IO_CALL || io->op == IO_SPLICE || (io->flags & IO_BLOCKED))
		io_threads_queue(e->threads, e, io);
	else
		e->ops->queue(e, io);
	e->in_flight++;
	return false;
}

void engine_finish(struct io *io)
{
	io->engine->in_flight--;
	io->done(io);
}

static void threads_queue(struct engine *e, struct io *io)
{
	io_threads_queue(e->threads, e, io);
}

static void threads_close(struct engine *e)
{
	(void)e; /* the pool belongs to the worker */
}

static const struct engine_ops threads_ops = {"threads", threads_queue, threads_close};

int engine_open(struct engine *e, enum engine_kind kind, struct reactor *r, struct io_threads *t)
{
	int ret = -ENOSYS;

	*e = (struct engine){.ops = &threads_ops, .reactor = r, .threads = t};
	if (kind != ENGINE_THREADS)
		ret = engine_uring_open(e);
	return kind == ENGINE_URING ? ret : 0;
}

void engine_close(struct engine *e)
{
	if (e->ops)
		e->ops->close(e);
	e->ops = NULL;
}
