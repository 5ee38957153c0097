/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A layer in a test's hands; see layers.h. */
#include "layers.h"

#include "check.h"
#include "exec.h"
#include "file.h"
#include "log.h"
#include "rnd.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct layers layers;

struct filling {
	struct fill fill;
	struct io io;
};

int layers_put_old(struct fill *f)
{
	uint64_t at = layer_offset(f->layer, f->claim.first);
	size_t len = (size_t)layer_length(f->layer, &f->claim);
	int fd = file_of(f->layer->top)->fd;

	return pwrite(fd, layers.below + at, len, (off_t)at) == (ssize_t)len ? 0 : -EIO;
}

static int put_call(struct io *io)
{
	return layers_put_old(&container_of(io, struct filling, io)->fill);
}

static void put_done(struct io *io)
{
	layer_filled(&container_of(io, struct filling, io)->fill, io->result);
}

static void fill(struct layer *l, struct fill *f)
{
	struct filling *own = container_of(f, struct filling, fill);

	CHECK(f->layer == l && layers.begun < FILLS);
	layers.fills[layers.begun++] = layers.threaded ? NULL : f;
	if (!layers.threaded)
		return;
	own->io = (struct io){.op = IO_CALL, .call = put_call, .done = put_done};
	io_threads_queue(layers.clients.threads, NULL, &own->io);
}

void layers_end_fill(unsigned n, int error)
{
	struct fill *f = layers.fills[n];

	CHECK(f);
	layers.fills[n] = NULL;
	layer_filled(f, error ? -error : layers_put_old(f));
}

void layers_end_fills(void)
{
	for (unsigned i = 0; i < layers.begun; i++) {
		if (layers.fills[i])
			layers_end_fill(i, 0);
	}
}

static int commit(struct storage *st, struct request *rq)
{
	if (!layers.hold_commit)
		return layer_commit(st, rq);
	CHECK(!layers.held);
	layers.held = rq;
	return 1;
}

void layers_wait_held(void)
{
	for (int ms = 0; !layers.held; ms++) {
		CHECK(ms < PATIENCE_MS);
		clients_turn(&layers.clients);
		usleep(1000);
	}
}

void layers_release(int result)
{
	struct request *rq = layers.held;

	layers.held = NULL;
	layers.hold_commit = false;
	if (result == 0)
		result = layer_commit(rq->conn->storage, rq);
	if (result <= 0)
		exec_committed(rq, result);
}

unsigned layers_ask(unsigned id, enum nbd_cmd type, uint64_t offset, size_t length)
{
	const struct nbd_request nbd = {.type = (uint16_t)type, .offset = offset, .length = length};

	return clients_ask(&layers.clients, id, &nbd, NULL, NULL);
}

unsigned layers_read(unsigned id, uint64_t offset, size_t length)
{
	const struct nbd_request nbd = {.type = NBD_CMD_READ, .offset = offset, .length = length};

	memset(layers.got + offset, 0xee, length);
	return clients_ask(&layers.clients, id, &nbd, NULL, layers.got + offset);
}

unsigned layers_write(unsigned id, uint64_t offset, size_t length, uint8_t byte)
{
	static uint8_t payload[128 * 1024];
	const struct nbd_request nbd = {.type = NBD_CMD_WRITE, .offset = offset, .length = length};

	CHECK(length <= sizeof(payload));
	memset(payload, byte, length);
	memset(layers.model + offset, byte, length);
	return clients_ask(&layers.clients, id, &nbd, payload, NULL);
}

bool layers_is_open(unsigned cookie)
{
	return clients_is_open(&layers.clients, cookie);
}

int layers_wait(unsigned cookie)
{
	return clients_wait(&layers.clients, cookie);
}

void layers_check(unsigned cookie, uint64_t offset, size_t length)
{
	CHECK(layers_wait(cookie) == 0);
	CHECK(memcmp(layers.got + offset, layers.model + offset, length) == 0);
}

void layers_check_all(void)
{
	unsigned cookie = layers_read(CLIENTS - 1, 0, SIZE);

	for (int ms = 0; layers_is_open(cookie) && ms < PATIENCE_MS; ms++)
		layers_end_fills();
	layers_check(cookie, 0, SIZE);
}

/* Around the tests. */

void layers_open(struct layer *l, const char *name, struct storage *base)
{
	struct storage *top;
	struct err err;

	CHECK(truncate(temp_file(&layers.temp, name, ""), SIZE) == 0);
	top = file_open(temp_path(&layers.temp, name), 0, &err);
	memset(l, 0, sizeof(*l));
	CHECK(top && layer_init(l, &layers.ops, top, base) == 0);
	l->storage.ops = &layers.storage_ops;
	l->storage.facts = top->facts;
	l->storage.in_place = true;
	CHECK(blockmap_init(&l->map, SIZE, BLOCK) == 0);
}

void layers_use_base(void)
{
	struct err err;
	int fd = open(temp_file(&layers.temp, "base", ""), O_RDWR | O_CLOEXEC);

	CHECK(fd >= 0 && pwrite(fd, layers.below, SIZE, 0) == SIZE);
	close(fd);
	layers.base = file_open(temp_path(&layers.temp, "base"), FILE_READONLY, &err);
	CHECK(layers.base);
	layers.layer.base = layers.base;
}

void layers_start_anew(void)
{
	windows_forget(&layers.clients.lane.windows, file_of(layers.layer.top)->fd);
	layer_done(&layers.layer, false);
	layers_open(&layers.layer, "top", layers.base);
	memcpy(layers.model, layers.below, SIZE);
	layers.begun = 0;
	layers.clients.count = 0;
}

static void make_below(void)
{
	struct rnd random;

	rnd_init(&random, 1);
	rnd_fill(&random, layers.below, SIZE);
	memcpy(layers.model, layers.below, SIZE);
}

int layers_set_up(void **state)
{
	(void)state;
	memset(&layers, 0, sizeof(layers));
	log_level(LOG_LEVEL_ERROR);
	temp_init(&layers.temp);
	make_below();
	layers.ops = (struct layer_ops){
		.fill = fill, .fill_size = sizeof(struct filling), .fill_bytes = SIZE};
	layers.storage_ops = (struct storage_ops){.kind = "test",
		.map = layer_map,
		.prepare = layer_prepare,
		.commit = commit,
		.vouched = layer_vouched,
		.release = layer_release,
		.discard = layer_discard,
		.zero = layer_zero,
		.flush = layer_flush,
		.cache = layer_cache,
		.extents = layer_extents};
	layers_open(&layers.layer, "top", NULL);
	clients_init(&layers.clients, &layers.layer.storage);
	return 0;
}

/* Nobody holds or waits for anything when all requests and fills are over. */
int layers_tear_down(void **state)
{
	bool left;

	(void)state;
	if (layers.held)
		layers_release(-EIO);
	clients_end(&layers.clients, layers_end_fills);
	layers_end_fills();
	pthread_mutex_lock(&layers.layer.lock);
	left = layers.layer.claims || layers.layer.waiting;
	pthread_mutex_unlock(&layers.layer.lock);
	clients_done(&layers.clients);
	layer_done(&layers.layer, true);
	if (layers.snapshot.top)
		layer_done(&layers.snapshot, false);
	if (layers.base)
		layers.base->ops->close(layers.base);
	temp_done(&layers.temp);
	return left ? -1 : 0;
}
