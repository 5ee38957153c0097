/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of a request through storage and engine.
 *
 * READ and WRITE go step by step: map some pieces, hand them to the engine, go on when all of
 * them are done. Everything else is one call that may block, in a thread.
 */
#include "exec.h"

#include "buf.h"
#include "conn.h"
#include "lane.h"
#include "layer.h"
#include "util.h"

#include <errno.h>
#include <string.h>

/*
 * Which reads go which way, as measured: through a unix socket long ones are cheapest by reference,
 * through TCP copying from the page cache beats references at any length (1.2-1.4 x as fast at two
 * thirds of the CPU), because each page becomes a fragment of its own.
 */
enum { SPLICE_MIN = 64 * 1024, VIEW_MAX_LOCAL = 128 * 1024, VIEW_MAX_TCP = WINDOWS_BYTES };

static struct storage *storage_of(const struct request *rq)
{
	return rq->conn->storage;
}

/* What failed because the export has become shorter meanwhile is told so. */
static void fail(struct request *rq, int error)
{
	int beyond;

	if (rq->error)
		return;
	beyond = request_beyond(&rq->nbd, rq->conn->rules.size, &rq->text);
	rq->error = beyond ? beyond : error;
}

static void finish(struct request *rq)
{
	struct storage *st = storage_of(rq);

	if (rq->prepared && st->ops->release)
		st->ops->release(st, rq);
	gate_leave(&rq->conn->lane->gate, rq);
	conn_reply(rq);
}

/* The data of a write is in place; what vouches for it comes after it. */

static int call_flush(struct io *io)
{
	struct storage *st = storage_of(io->owner);

	return st->ops->flush(st);
}

static void call_done(struct io *io)
{
	struct request *rq = io->owner;

	if (io->result < 0)
		fail(rq, -io->result);
	finish(rq);
}

static void start_flush(struct request *rq)
{
	struct io *io = &rq->ios[0];

	*io = (struct io){.op = IO_CALL, .call = call_flush, .done = call_done, .owner = rq};
	engine_submit(&rq->conn->lane->engine, io);
}

void exec_committed(struct request *rq, int result)
{
	struct storage *st = storage_of(rq);

	if (result < 0)
		fail(rq, -result);
	if (!rq->error && (rq->nbd.flags & NBD_CMD_FLAG_FUA) && st->ops->vouched &&
		!st->ops->vouched(st, rq->nbd.offset, rq->nbd.length))
		start_flush(rq);
	else
		finish(rq);
}

static void moved(struct request *rq)
{
	struct storage *st = storage_of(rq);
	int ret = 0;

	if (rq->error || rq->nbd.type != NBD_CMD_WRITE) {
		finish(rq);
		return;
	}
	if (st->ops->commit)
		ret = st->ops->commit(st, rq);
	if (ret <= 0)
		exec_committed(rq, ret);
}

static void step(struct request *rq);

static void io_done(struct io *io)
{
	struct request *rq = io->owner;

	if (io->result < 0)
		fail(rq, -io->result);
	if (--rq->running == 0)
		step(rq);
}

static void note_cold(struct request *rq, const struct io *io)
{
	struct lane *l = rq->conn->lane;

	if (rq->nbd.type == NBD_CMD_READ)
		windows_cold(&l->windows, io->fd, io->offset, l->reactor.now);
}

static void move_piece(struct request *rq, struct io *io, const struct piece *piece, uint8_t *at)
{
	if (piece->kind == PIECE_ZERO) {
		memset(at, 0, piece->length);
		return;
	}
	if (piece->kind == PIECE_ABSENT) { /* though it was prepared: the storage has given up */
		fail(rq, EIO);
		return;
	}
	*io = (struct io){.op = rq->nbd.type == NBD_CMD_READ ? IO_READ : IO_WRITE,
		.flags = piece->io_flags,
		.fd = piece->fd,
		.probe = piece->probe,
		.buf = at,
		.len = (size_t)piece->length,
		.offset = piece->offset,
		.done = io_done,
		.owner = rq};
	if (io->op == IO_WRITE && (rq->nbd.flags & NBD_CMD_FLAG_FUA) && !storage_of(rq)->forgets)
		io->flags |= IO_DSYNC;
	if (!engine_submit(&rq->conn->lane->engine, io)) {
		rq->running++;
		note_cold(rq, io);
	} else if (io->result < 0) {
		fail(rq, -io->result);
	}
}

/* One round: as many pieces as there are ios. */
static void move_some(struct request *rq)
{
	struct storage *st = storage_of(rq);
	struct piece pieces[REQUEST_PIECES];
	size_t n = st->ops->map(st, rq->nbd.type == NBD_CMD_WRITE, rq->nbd.offset + rq->pos,
		rq->nbd.length - rq->pos, pieces, REQUEST_PIECES);

	for (size_t i = 0; i < n; i++) {
		uint8_t *at = rq->data + rq->pos;

		rq->pos += pieces[i].length;
		move_piece(rq, &rq->ios[i], &pieces[i], at);
	}
}

static void step(struct request *rq)
{
	while (rq->running == 0) {
		if (rq->error || rq->pos == rq->nbd.length) {
			moved(rq);
			return;
		}
		move_some(rq);
	}
}

/* The calls that may block, in a thread. */

static int call_zero(struct storage *st, const struct request *rq)
{
	unsigned flags = 0;

	if (rq->nbd.flags & NBD_CMD_FLAG_NO_HOLE)
		flags |= STORAGE_NO_HOLE;
	if (rq->nbd.flags & NBD_CMD_FLAG_FAST_ZERO)
		flags |= STORAGE_FAST_ZERO;
	return st->ops->zero(st, rq->nbd.offset, rq->nbd.length, flags);
}

static int call_status(struct storage *st, struct request *rq)
{
	size_t room = REQUEST_STATUS_BYTES / sizeof(struct extent);
	size_t max = rq->nbd.flags & NBD_CMD_FLAG_REQ_ONE ? 1 : room;
	int n = st->ops->extents(
		st, rq->nbd.offset, rq->nbd.length, (struct extent *)(void *)rq->data, max);

	rq->extents = n;
	return MIN_OF(n, 0);
}

static int run_command(struct storage *st, struct request *rq)
{
	switch (rq->nbd.type) {
	case NBD_CMD_FLUSH:
		return st->ops->flush(st);
	case NBD_CMD_TRIM:
		return st->ops->discard(st, rq->nbd.offset, rq->nbd.length);
	case NBD_CMD_WRITE_ZEROES:
		return call_zero(st, rq);
	case NBD_CMD_CACHE:
		return st->ops->cache(st, rq->nbd.offset, rq->nbd.length);
	case NBD_CMD_BLOCK_STATUS:
		return call_status(st, rq);
	default:
		return -EINVAL;
	}
}

static int call(struct io *io)
{
	struct request *rq = io->owner;
	struct storage *st = storage_of(rq);
	int ret;

	ret = run_command(st, rq);
	if (ret == 0 && request_modifies(&rq->nbd) && (rq->nbd.flags & NBD_CMD_FLAG_FUA))
		ret = st->ops->flush(st);
	return ret;
}

/*
 * The payload form of BLOCK_STATUS (extended headers): length of the effect, then the context ids
 * wanted. Returns false after failing the request.
 */
static bool take_status_payload(struct request *rq)
{
	uint64_t effect = rq->nbd.length >= 8 ? get_u64(rq->data) : 0;

	if (rq->nbd.length != 12 || get_u32(rq->data + 8) != NBD_CONTEXT_BASE_ID || effect == 0 ||
		!range_inside(rq->nbd.offset, effect, rq->conn->rules.size)) {
		rq->text = "BLOCK_STATUS payload must name the range and the one agreed context";
		fail(rq, EINVAL);
		return false;
	}
	rq->nbd.length = effect;
	return true;
}

static void start_call(struct request *rq)
{
	struct io *io = &rq->ios[0];

	if (rq->nbd.type == NBD_CMD_BLOCK_STATUS && (rq->nbd.flags & NBD_CMD_FLAG_PAYLOAD_LEN) &&
		!take_status_payload(rq)) {
		finish(rq);
		return;
	}
	*io = (struct io){.op = IO_CALL, .call = call, .done = call_done, .owner = rq};
	engine_submit(&rq->conn->lane->engine, io);
}

/* Remembers in RQ what is to be spliced; where it is may change until then, and need not matter. */
static void plan_splice(struct request *rq, const struct piece *piece)
{
	rq->ios[0] = (struct io){.op = IO_SPLICE,
		.flags = piece->io_flags,
		.fd = piece->fd,
		.pipe = rq->pipe->fds[1],
		.probe = piece->probe,
		.len = (size_t)piece->length,
		.offset = piece->offset,
		.done = call_done,
		.owner = rq};
}

/* The whole range by reference; the reply's header leaves only when that has succeeded. */
static void start_splice(struct request *rq)
{
	struct io *io = &rq->ios[0];

	rq->pipe->used = true;
	if (engine_submit(&rq->conn->lane->engine, io))
		call_done(io);
	else
		note_cold(rq, io);
}

static void start_ready(struct request *rq)
{
	if (rq->nbd.type == NBD_CMD_READ || rq->nbd.type == NBD_CMD_WRITE)
		step(rq);
	else
		start_call(rq);
}

/* What it will overwrite goes to the snapshots first. One that cannot be saved any more is lost,
 * and no reason to fail a write. True: RQ waits. */
static bool saves_first(struct request *rq)
{
	const struct lane *l = rq->conn->lane;

	if (l->snapshot_count == 0 || !request_modifies(&rq->nbd) ||
		rq->conn->storage != l->storage)
		return false;
	for (unsigned i = 0; i < l->snapshot_count; i++) {
		int ret = layer_want(l->snapshots[i], rq, rq->nbd.offset, rq->nbd.length);

		if (ret > 0)
			return true;
		if (ret < 0)
			layer_break(l->snapshots[i], -ret);
	}
	return false;
}

static void prepare(struct request *rq)
{
	struct storage *st = storage_of(rq);
	int ret = 0;

	if (saves_first(rq))
		return;
	if (st->ops->prepare)
		ret = st->ops->prepare(st, rq);
	if (ret > 0)
		return;
	if (ret < 0) {
		fail(rq, -ret);
		finish(rq);
		return;
	}
	rq->prepared = true;
	start_ready(rq);
}

static void prepare_again(struct reactor_task *t)
{
	prepare(container_of(t, struct request, wake));
}

void exec_wake(struct request *rq)
{
	rq->wake.fn = prepare_again;
	reactor_post(&rq->conn->lane->reactor, &rq->wake);
}

void exec_start(struct request *rq)
{
	if (!gate_enter(&rq->conn->lane->gate, rq))
		return;
	rq->pos = 0;
	if ((rq->nbd.length == 0 && rq->nbd.type != NBD_CMD_FLUSH) || rq->window)
		finish(rq);
	else if (rq->pipe)
		start_splice(rq);
	else
		prepare(rq);
}

void exec_go_on(struct request *rq)
{
	rq->error = request_beyond(&rq->nbd, rq->conn->rules.size, &rq->text);
	if (rq->error)
		conn_reply(rq);
	else
		exec_start(rq);
}

/* A read that needs no prepare: all of it is in one place. */
static bool find_piece(
	const struct conn *c, const struct nbd_request *nbd, size_t need, struct piece *ret)
{
	struct storage *st = c->storage;

	if (need == 0 || nbd->type != NBD_CMD_READ || !st->in_place)
		return false;
	st->ops->map(st, false, nbd->offset, nbd->length, ret, 1);
	return ret->kind == PIECE_DATA && ret->length == nbd->length;
}

/* What is in memory: seen where it is. */
static const uint8_t *find_view(struct lane *l, const struct piece *piece, struct window **ret)
{
	struct window_range range = {.fd = piece->fd,
		.offset = piece->offset,
		.length = (size_t)piece->length,
		.generation = piece->owner->generation};

	if (!(piece->io_flags & IO_WINDOW) ||
		(piece->owner->discarding && !(piece->io_flags & IO_BLOCKED)))
		return NULL; /* a look at a block being discarded could bring it back */
	range.eager =
		(piece->io_flags & IO_BLOCKED) || !(piece->io_flags & (IO_INLINE | IO_MEMORY));
	return windows_find(&l->windows, &range, l->reactor.now, ret);
}

/* A slot is only taken to be kept: putting one back wakes those who wait, and two of them would
 * wake each other for ever. So what else is needed comes first. */
struct request *exec_slot(struct conn *c, const struct nbd_request *nbd, size_t need)
{
	struct lane *l = c->lane;
	size_t view_max = c->local ? VIEW_MAX_LOCAL : VIEW_MAX_TCP;
	struct piece piece;
	bool in_place = find_piece(c, nbd, need, &piece);
	struct window *window = NULL;
	const uint8_t *view = NULL;
	struct pipe *pipe = NULL;
	struct request *rq;

	if (in_place && need <= view_max)
		view = find_view(l, &piece, &window);
	if (in_place && need >= SPLICE_MIN && !view)
		pipe = lane_get_pipe(l, nbd->offset, nbd->length);
	rq = lane_get_request(l, pipe || view ? 0 : need);
	if (rq) {
		rq->pipe = pipe;
		rq->window = window;
		rq->view = view;
		if (pipe)
			plan_splice(rq, &piece);
		return rq;
	}
	if (pipe)
		lane_put_pipe(l, pipe);
	if (window)
		windows_put(window);
	return NULL;
}
