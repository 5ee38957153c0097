/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests that wait for the test; see waits.h. */
#include "waits.h"

#include "check.h"
#include "clock.h"
#include "exec.h"
#include "log.h"

#include <string.h>
#include <sys/socket.h>

struct waits waits;

static int prepare(struct storage *st, struct request *rq)
{
	CHECK(st == &waits.storage && waits.begun < WAITS_MAX);
	if (waits.open || rq->waiter.error)
		return 0;
	waits.running[waits.begun++] = rq;
	return 1;
}

static size_t map(struct storage *st, bool for_write, uint64_t offset, uint64_t length,
	struct piece *pieces, size_t max)
{
	(void)for_write;
	(void)offset;
	CHECK(max > 0);
	pieces[0] = (struct piece){.kind = PIECE_ZERO, .length = length, .owner = st};
	return 1;
}

static int do_nothing(struct storage *st)
{
	(void)st;
	return 0;
}

static int zero(struct storage *st, uint64_t offset, uint64_t length, unsigned flags)
{
	(void)offset;
	(void)length;
	(void)flags;
	return do_nothing(st);
}

static const struct storage_ops ops = {
	.kind = "waits", .prepare = prepare, .map = map, .flush = do_nothing, .zero = zero};

static void move_clock(uint64_t ms)
{
	waits.now += ms;
	clock_set_for_test(waits.now);
}

int waits_set_up(void **state)
{
	(void)state;
	memset(&waits, 0, sizeof(waits));
	log_level(LOG_LEVEL_ERROR);
	move_clock(WAITS_START_MS);
	waits.storage.ops = &ops;
	waits.storage.facts =
		(struct export_facts){WAITS_SIZE, NBD_FLAG_HAS_FLAGS, 1, 4096, 1 << 26};
	clients_init(&waits.clients, &waits.storage);
	return 0;
}

int waits_tear_down(void **state)
{
	(void)state;
	clients_end(&waits.clients, waits_let_go);
	clients_done(&waits.clients);
	clock_set_for_test(UINT64_MAX);
	return 0;
}

void waits_later(uint64_t ms)
{
	move_clock(ms);
	clients_turn(&waits.clients);
}

unsigned waits_ask(unsigned id, enum nbd_cmd type, uint64_t offset, size_t length)
{
	static uint8_t bytes[WAITS_SIZE];
	const struct nbd_request nbd = {.type = (uint16_t)type, .offset = offset, .length = length};

	CHECK(length <= sizeof(bytes));
	return clients_ask(&waits.clients, id, &nbd, type == NBD_CMD_WRITE ? bytes : NULL,
		type == NBD_CMD_READ ? bytes : NULL);
}

/* Those that were held elsewhere begin, and may wait, meanwhile. */
void waits_let_go(void)
{
	for (unsigned i = 0; i < waits.begun; i++) {
		struct request *rq = waits.running[i];

		waits.running[i] = NULL;
		if (!rq)
			continue;
		rq->waiter.error = 1;
		exec_wake(rq);
	}
	clients_turn(&waits.clients);
}

bool waits_is_done(unsigned cookie)
{
	clients_turn(&waits.clients);
	return waits.clients.asked[cookie].done && waits.clients.asked[cookie].error == 0;
}

bool waits_is_over(unsigned id)
{
	char byte;

	clients_turn(&waits.clients);
	return recv(waits.clients.peers[id].fd, &byte, 1, MSG_DONTWAIT) == 0;
}
