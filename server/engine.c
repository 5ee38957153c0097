/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine's common part: what is done inline, and how partial results are accounted for. */
#include "engine.h"

#include <errno.h>
#include <sys/uio.h>

/*
 * One attempt without waiting. Whatever it did not move is left to the backend: "would wait",
 * short counts at the edge of the page cache, and file systems that know no RWF_NOWAIT.
 */
static bool try_inline(struct io *io)
{
	struct iovec iov = {.iov_base = io->buf, .iov_len = io->len};
	int flags = io->flags & IO_MEMORY ? 0 : RWF_NOWAIT;
	ssize_t n;

	if (io->op == IO_READ)
		n = preadv2(io->fd, &iov, 1, (off_t)io->offset, flags);
	else
		n = pwritev2(io->fd, &iov, 1, (off_t)io->offset, flags);
	if (n < 0 && (errno == EAGAIN || errno == EOPNOTSUPP || errno == EINTR))
		return false;
	return engine_account(io, n < 0 ? -errno : n);
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

static bool may_inline(const struct io *io)
{
	return io->op != IO_CALL && (io->flags & (IO_INLINE | IO_MEMORY)) &&
		!(io->flags & IO_DSYNC) && io->len <= IO_INLINE_MAX;
}

bool engine_submit(struct engine *e, struct io *io)
{
	io->engine = e;
	io->moved = 0;
	io->result = 0;
	if (may_inline(io) && try_inline(io))
		return true;
	if (io->op == IO_CALL)
		io_threads_queue(e->threads, e, io);
	else
		e->ops->queue(e, io);
	return false;
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
