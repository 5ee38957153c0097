/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counts of requests, errors, bytes and times, by themselves and of clients of a lane. */
#include "clients.h"
#include "loop.h"
#include "storage.h"
#include "tally.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 64 * 1024, PATIENCE_MS = 20 * 1000 };

static struct tally tally, other;
static struct clients clients;
static struct temp temp;

static int set_up(void **state)
{
	(void)state;
	memset(&tally, 0, sizeof(tally));
	memset(&other, 0, sizeof(other));
	return 0;
}

static uint64_t errors_named(const struct tally *t, const char *name)
{
	for (unsigned i = 0; i < TALLY_ERRORS; i++) {
		if (strcmp(tally_error_name(i), name) == 0)
			return counter_get(&t->errors[i]);
	}
	return 0;
}

static uint64_t times(const struct tally *t, enum tally_kind kind)
{
	return latency_count(&t->latency[kind]);
}

/* Types a client may send but nobody knows leave no trace outside of what is said. */
static void test_types(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 2 * NBD_CMD_COUNT; type++) {
		tally_request(&tally, type);
		tally_success(&tally, type, 1000 + type);
		tally_latency(&tally, type, 1);
	}
	for (unsigned type = 0; type < NBD_CMD_COUNT; type++)
		assert_int_equal(counter_get(&tally.requests[type]), 1);
	assert_int_equal(tally_errors(&tally), 0);
	assert_int_equal(counter_get(&tally.bytes_read), 1000 + NBD_CMD_READ);
	assert_int_equal(counter_get(&tally.bytes_written), 1000 + NBD_CMD_WRITE);
	assert_int_equal(times(&tally, TALLY_READ), 1);
	assert_int_equal(times(&tally, TALLY_WRITE), 1);
	assert_int_equal(times(&tally, TALLY_OTHER), 2 * NBD_CMD_COUNT - 2);
	tally_request(&tally, UINT16_MAX);
	tally_latency(&tally, UINT16_MAX, 1);
	assert_int_equal(times(&tally, TALLY_OTHER), 2 * NBD_CMD_COUNT - 1);
}

/* By what the client is told: what the protocol lacks is EIO. */
static void test_errors(void **state)
{
	static const struct {
		int error;
		const char *name;
	} rows[] = {{EPERM, "EPERM"}, {EIO, "EIO"}, {ENOMEM, "ENOMEM"}, {EINVAL, "EINVAL"},
		{ENOSPC, "ENOSPC"}, {EDQUOT, "ENOSPC"}, {EOVERFLOW, "EOVERFLOW"},
		{ENOTSUP, "ENOTSUP"}, {ESHUTDOWN, "ESHUTDOWN"}, {ENODEV, "EIO"}, {12345, "EIO"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t before = errors_named(&tally, rows[i].name);

		tally_error(&tally, rows[i].error);
		assert_int_equal(errors_named(&tally, rows[i].name), before + 1);
		assert_int_equal(tally_errors(&tally), i + 1);
	}
}

static void test_in_flight(void **state)
{
	(void)state;
	tally_in_flight(&tally, 2);
	tally_in_flight(&tally, 1);
	tally_in_flight(&other, 7);
	tally_in_flight(&other, 3);
	assert_int_equal(counter_get(&tally.in_flight), 1);
	assert_int_equal(counter_get(&tally.in_flight_max), 2);
	tally_merge(&tally, &other);
	assert_int_equal(counter_get(&tally.in_flight), 4);
	assert_int_equal(counter_get(&tally.in_flight_max), 7);
}

static void test_merge(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct tally *t = i == 0 ? &tally : &other;

		tally_request(t, NBD_CMD_TRIM);
		tally_error(t, EPERM);
		tally_success(t, NBD_CMD_READ, 10);
		tally_success(t, NBD_CMD_WRITE, 20);
		tally_latency(t, NBD_CMD_TRIM, 1000);
	}
	tally_merge(&tally, &other);
	assert_int_equal(counter_get(&tally.requests[NBD_CMD_TRIM]), 3);
	assert_int_equal(errors_named(&tally, "EPERM"), 3);
	assert_int_equal(counter_get(&tally.bytes_read), 30);
	assert_int_equal(counter_get(&tally.bytes_written), 60);
	assert_int_equal(times(&tally, TALLY_OTHER), 3);
	assert_int_equal(counter_get(&other.requests[NBD_CMD_TRIM]), 2);
	tally_merge_counts(&tally, &other);
	assert_int_equal(counter_get(&tally.requests[NBD_CMD_TRIM]), 5);
	assert_int_equal(times(&tally, TALLY_OTHER), 3);
}

/* A lane with clients. */

static int open_lane(void **state)
{
	struct err err;
	int fd;

	set_up(state);
	temp_init(&temp);
	fd = open(temp_path(&temp, "image"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	close(fd);
	clients_init(&clients, file_open(temp.path, 0, &err));
	return 0;
}

static int close_lane(void **state)
{
	struct storage *st = clients.lane.storage;

	(void)state;
	if (clients.ended < CLIENTS)
		clients_end(&clients, NULL);
	clients_done(&clients);
	st->ops->close(st);
	temp_done(&temp);
	return 0;
}

static int ask(unsigned id, enum nbd_cmd type, uint64_t offset, uint64_t length)
{
	static uint8_t data[SIZE];
	const struct nbd_request nbd = {.type = (uint16_t)type, .offset = offset, .length = length};

	return clients_wait(&clients,
		clients_ask(&clients, id, &nbd, type == NBD_CMD_WRITE ? data : NULL,
			type == NBD_CMD_READ ? data : NULL));
}

static void check(const struct tally *t, uint64_t reads, uint64_t writes, uint64_t refused)
{
	assert_int_equal(counter_get(&t->requests[NBD_CMD_READ]), reads + refused);
	assert_int_equal(counter_get(&t->requests[NBD_CMD_WRITE]), writes);
	assert_int_equal(counter_get(&t->bytes_read), reads * 512);
	assert_int_equal(counter_get(&t->bytes_written), writes * 4096);
	assert_int_equal(tally_errors(t), refused);
	assert_int_equal(errors_named(t, "EINVAL"), refused);
	assert_int_equal(times(t, TALLY_READ), reads + refused);
	assert_int_equal(times(t, TALLY_WRITE), writes);
	assert_int_equal(times(t, TALLY_OTHER), 0);
	assert_int_equal(counter_get(&t->in_flight), 0);
	assert_int_equal(counter_get(&t->in_flight_max), 1);
}

static void test_clients(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(ask(i % 2, NBD_CMD_READ, i * 512, 512), 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(ask(1, NBD_CMD_WRITE, i * 4096, 4096), 0);
	assert_int_equal(ask(1, NBD_CMD_READ, SIZE, 512), EINVAL);
	check(&clients.conns[0]->tally, 6, 0, 0);
	check(&clients.conns[1]->tally, 6, 5, 1);
	assert_int_equal(times(&clients.conns[2]->tally, TALLY_READ), 0);
	tally_merge(&tally, &clients.conns[1]->tally);
	tally_merge(&tally, &clients.conns[0]->tally);
	check(&tally, 12, 5, 1);
}

/* A reply that nobody takes is ready all the same: only the first one's way is measured. */
static void test_reply_not_taken(void **state)
{
	const struct nbd_request read = {.type = NBD_CMD_READ, .length = SIZE};
	struct conn *c = clients.conns[0];
	uint8_t head[NBD_REQUEST_EXT_BYTES];
	size_t n = nbd_request_encode(head, false, &read);

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(send(clients.peers[0].fd, head, n, MSG_NOSIGNAL), n);
	for (unsigned ms = 0; times(&c->tally, TALLY_READ) < 200; ms++) {
		assert_true(ms < PATIENCE_MS);
		loop_turn(&clients.lane.reactor);
		usleep(1000);
	}
	assert_true(counter_get(&c->tally.in_flight) > 0);
	assert_int_equal(counter_get(&c->tally.in_flight_max), 200);
	assert_int_equal(
		counter_get(&c->tally.bytes_read), (200 - counter_get(&c->tally.in_flight)) * SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_types, set_up),
		cmocka_unit_test_setup(test_errors, set_up),
		cmocka_unit_test_setup(test_in_flight, set_up),
		cmocka_unit_test_setup(test_merge, set_up),
		cmocka_unit_test_setup_teardown(test_clients, open_lane, close_lane),
		cmocka_unit_test_setup_teardown(test_reply_not_taken, open_lane, close_lane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
