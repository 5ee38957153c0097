/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads and writes through one io_uring per lane. Queued ios are submitted by one system call at
 * the end of the reactor's turn; completions are announced by an eventfd in the lane's epoll set.
 * What finds the ring full waits in `first` and goes in when completions make room.
 */
#include "engine.h"

#include "util.h"

#include <errno.h>
#include <liburing.h>
#include <sys/eventfd.h>

/*
 * More than the request queue of a device takes must not be in flight: the kernel would let the
 * lane wait for room. Most queues take 128 or more, divided among few lanes.
 */
enum { RING_ENTRIES = 64 };

struct uring {
	struct engine *engine;
	struct io_uring ring;
	struct reactor_watch watch;
	struct reactor_task submit;
	int event_fd;
	unsigned in_ring;         /* prepared or submitted, not reaped */
	struct io *first, **last; /* waiting for room */
};

static void prepare(struct uring *u, struct io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	uint8_t *buf = io->buf + io->moved;
	unsigned len = (unsigned)(io->len - io->moved);
	uint64_t at = io->offset + io->moved;

	if (io->op == IO_READ)
		io_uring_prep_read(sqe, io->fd, buf, len, at);
	else
		io_uring_prep_write(sqe, io->fd, buf, len, at);
	if (io->flags & IO_DSYNC)
		sqe->rw_flags = RWF_DSYNC;
	io_uring_sqe_set_data(sqe, io);
	u->in_ring++;
}

static void uring_queue(struct engine *e, struct io *io)
{
	struct uring *u = e->private;

	if (u->in_ring < RING_ENTRIES && !u->first) {
		prepare(u, io);
	} else {
		io->next = NULL;
		*u->last = io;
		u->last = &io->next;
	}
	reactor_defer(e->reactor, &u->submit);
}

static void fill_from_queue(struct uring *u)
{
	while (u->first && u->in_ring < RING_ENTRIES) {
		struct io *io = u->first;

		u->first = io->next;
		if (!u->first)
			u->last = &u->first;
		prepare(u, io);
	}
}

/* EAGAIN and EBUSY: the kernel is short of memory or wants us to reap; the next turn tries again.
 */
static void submit(struct reactor_task *task)
{
	struct uring *u = container_of(task, struct uring, submit);
	uint64_t one = 1;

	if (io_uring_submit(&u->ring) < 0 && write(u->event_fd, &one, sizeof(one)) < 0)
		return; /* a full counter wakes us as well */
}

/* EAGAIN, EOPNOTSUPP ...: what the ring cannot do for this file a thread can. */
static void complete(struct uring *u, struct io *io, int res)
{
	if (res == -EAGAIN || res == -EOPNOTSUPP || res == -ECANCELED)
		io_threads_queue(u->engine->threads, u->engine, io);
	else if (engine_account(io, res))
		engine_finish(io);
	else
		uring_queue(u->engine, io);
}

static void reap(struct reactor_watch *w, uint32_t events)
{
	struct uring *u = container_of(w, struct uring, watch);
	struct io_uring_cqe *cqe;
	uint64_t n;

	(void)events;
	if (read(u->event_fd, &n, sizeof(n)) < 0)
		return;
	while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
		struct io *io = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&u->ring, cqe);
		u->in_ring--;
		complete(u, io, res);
	}
	fill_from_queue(u);
	reactor_defer(u->engine->reactor, &u->submit);
}

static void uring_close(struct engine *e)
{
	struct uring *u = e->private;

	reactor_undefer(e->reactor, &u->submit);
	reactor_remove(e->reactor, &u->watch);
	io_uring_queue_exit(&u->ring);
	fd_close(&u->event_fd);
	free(u);
}

static const struct engine_ops uring_ops = {"io_uring", uring_queue, uring_close};

/* COOP_TASKRUN spares interrupts of the lane; kernels before 5.19 do without. */
static int open_ring(struct io_uring *ring)
{
	int ret = io_uring_queue_init(RING_ENTRIES, ring, IORING_SETUP_COOP_TASKRUN);

	return ret == -EINVAL ? io_uring_queue_init(RING_ENTRIES, ring, 0) : ret;
}

static int watch_ring(struct uring *u)
{
	int ret;

	u->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->event_fd < 0)
		return -errno;
	ret = io_uring_register_eventfd(&u->ring, u->event_fd);
	if (ret == 0)
		ret = reactor_add(u->engine->reactor, &u->watch, u->event_fd, EPOLLIN, reap);
	if (ret < 0)
		fd_close(&u->event_fd);
	return ret;
}

int engine_uring_open(struct engine *e)
{
	struct uring *u = calloc(1, sizeof(*u));
	int ret = u ? open_ring(&u->ring) : -ENOMEM;

	if (ret < 0) {
		free(u);
		return ret;
	}
	u->engine = e;
	u->last = &u->first;
	u->submit.fn = submit;
	ret = watch_ring(u);
	if (ret < 0) {
		io_uring_queue_exit(&u->ring);
		free(u);
		return ret;
	}
	e->private = u;
	e->ops = &uring_ops;
	return 0;
}
