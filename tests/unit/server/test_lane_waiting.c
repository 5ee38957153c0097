/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who waits for a lane's slots, buffers and pipes, and in which order they are served. Real
 * connections over socket pairs; the lane's reactor runs in the test's own thread, the storage
 * never answers by itself, the clock is moved by hand.
 */
#include "check.h"
#include "clock.h"
#include "conn.h"
#include "exec.h"
#include "lane.h"
#include "log.h"
#include "loop.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cmocka.h>

enum {
	START_MS = 1000,
	LIMIT = 16 * 1024, /* buffer memory of the lane, bytes */
	SIZE = 1 << 24,    /* of the export */
	CONNS = 4,
	LONG = 256 * 1024, /* a read that wants a pipe */
	STALL_MS = 10 * 1000,
};

static struct {
	struct lane lane;
	struct storage storage;
	struct io_threads *threads;
	struct conn *conns[CONNS];
	int peers[CONNS];
	struct request *running[CONNS * 4]; /* in the order they were started */
	unsigned started, added, ended;
	uint64_t last_ended; /* id */
	int file;
} t;

/* Each request that is started stays until the test ends it. */
static int prepare(struct storage *st, struct request *rq)
{
	if (rq->waiter.error)
		return -rq->waiter.error;
	CHECK(st == &t.storage && t.started < ARRAY_LEN(t.running));
	t.running[t.started++] = rq;
	return 1;
}

/* What can go by a pipe does: out of an empty file. */
static size_t map(struct storage *st, bool for_write, uint64_t offset, uint64_t length,
	struct piece *pieces, size_t max)
{
	CHECK(!for_write && max == 1);
	pieces[0] = (struct piece){
		.kind = PIECE_DATA, .fd = t.file, .offset = offset, .length = length, .owner = st};
	return 1;
}

static const struct storage_ops storage_ops = {.kind = "test", .map = map, .prepare = prepare};

static void conn_ended(struct lane *l, struct conn *c)
{
	CHECK(l == &t.lane);
	t.ended++;
	t.last_ended = c->id;
	t.conns[c->id] = NULL;
	conn_free(c);
}

static int set_up(void **state)
{
	const struct lane_limits limits = {
		.requests = 8, .conn_bytes = LIMIT, .buffer_bytes = LIMIT};

	(void)state;
	memset(&t, 0, sizeof(t));
	clock_set_for_test(START_MS);
	log_level(LOG_LEVEL_ERROR);
	t.file = memfd_create("test", MFD_CLOEXEC);
	for (int i = 0; i < CONNS; i++)
		t.peers[i] = -1;
	t.storage = (struct storage){.ops = &storage_ops,
		.facts = {SIZE, NBD_FLAG_HAS_FLAGS, 1, 4096, EXPORT_PAYLOAD_MAX}};
	t.threads = io_threads_new(1);
	if (lane_init(&t.lane, &t.storage, ENGINE_THREADS, t.threads, &limits, NULL) < 0)
		return -1;
	t.lane.ended = conn_ended;
	t.lane.reactor.now = START_MS;
	return 0;
}

static void fail_request(struct request *rq)
{
	rq->waiter.error = EIO;
	exec_wake(rq);
}

/* What still runs fails, then everyone is ended. */
static int tear_down(void **state)
{
	(void)state;
	lane_kill(&t.lane);
	loop_turns(&t.lane.reactor, 2);
	for (unsigned i = 0; i < t.started; i++) {
		if (t.running[i])
			fail_request(t.running[i]);
	}
	for (int i = 0; i < 1000 && t.ended < t.added; i++) {
		loop_turns(&t.lane.reactor, 1);
		usleep(1000);
	}
	fd_close(&t.file);
	for (int i = 0; i < CONNS; i++) {
		fd_close(&t.peers[i]);
		if (t.conns[i])
			return -1;
	}
	lane_done(&t.lane);
	io_threads_free(t.threads);
	clock_set_for_test(UINT64_MAX);
	return 0;
}

static void turn(void)
{
	loop_turns(&t.lane.reactor, 2);
}

static void add_conn(unsigned id)
{
	static const struct features simple;
	int fds[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	t.conns[id] = conn_new(fds[0], id, &simple, NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH);
	t.peers[id] = fds[1];
	lane_adopt(&t.lane, t.conns[id]);
	t.added++;
	turn();
}

static void ask(unsigned id, enum nbd_cmd type, uint32_t len)
{
	const struct nbd_request nbd = {.type = (uint16_t)type, .cookie = id, .length = len};
	uint8_t head[NBD_REQUEST_EXT_BYTES];
	size_t n = nbd_request_encode(head, false, &nbd);

	assert_int_equal(send(t.peers[id], head, n, MSG_NOSIGNAL), n);
	turn();
}

/* The request number N that was started is done (with an error), its reply is sent. */
static void end_request(unsigned n)
{
	fail_request(t.running[n]);
	t.running[n] = NULL;
	turn();
}

static uint64_t owner(unsigned n)
{
	assert_true(n < t.started);
	return t.running[n]->conn->id;
}

static void check_waiting(struct conn *const *want, size_t count)
{
	const struct conn *c = t.lane.waiting;

	for (size_t i = 0; i < count; i++, c = c->next_waiting) {
		assert_ptr_equal(c, want[i]);
		assert_true(c->is_waiting);
	}
	assert_null(c);
}

static void test_wait_list(void **state)
{
	struct conn c[4] = {0};

	(void)state;
	lane_unwait(&t.lane, &c[0]); /* was not waiting: nothing */
	for (int i = 0; i < 3; i++)
		lane_wait(&t.lane, &c[i]);
	lane_wait(&t.lane, &c[0]); /* keeps its place */
	check_waiting((struct conn *[]){&c[0], &c[1], &c[2]}, 3);
	lane_unwait(&t.lane, &c[1]);
	check_waiting((struct conn *[]){&c[0], &c[2]}, 2);
	lane_unwait(&t.lane, &c[2]);
	lane_wait(&t.lane, &c[3]); /* behind the new last */
	check_waiting((struct conn *[]){&c[0], &c[3]}, 2);
	lane_unwait(&t.lane, &c[0]);
	lane_unwait(&t.lane, &c[3]);
	check_waiting(NULL, 0);
	assert_false(c[0].is_waiting || c[3].is_waiting);
	lane_wait(&t.lane, &c[1]);
	check_waiting((struct conn *[]){&c[1]}, 1);
	lane_unwait(&t.lane, &c[1]);
}

/* The test itself holds all memory; as it is put back they are served in the order they came. */
static void test_served_in_order(void **state)
{
	struct request *all = lane_get_request(&t.lane, LIMIT);

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		add_conn(i);
	ask(2, NBD_CMD_READ, 4096);
	ask(0, NBD_CMD_READ, 4096);
	ask(1, NBD_CMD_READ, 4096);
	assert_int_equal(t.started, 0);
	check_waiting((struct conn *[]){t.conns[2], t.conns[0], t.conns[1]}, 3);
	lane_put_request(&t.lane, all);
	turn();
	assert_int_equal(t.started, 3);
	assert_int_equal(owner(0), 2);
	assert_int_equal(owner(1), 0);
	assert_int_equal(owner(2), 1);
	check_waiting(NULL, 0);
}

/* Room for one at a time: each is served, none twice. */
static void test_one_at_a_time(void **state)
{
	unsigned seen = 0;
	struct request *all = lane_get_request(&t.lane, LIMIT);

	(void)state;
	for (unsigned i = 0; i < CONNS; i++) {
		add_conn(i);
		ask(i, NBD_CMD_READ, LIMIT);
	}
	lane_put_request(&t.lane, all);
	turn();
	assert_int_equal(owner(0), 0);
	for (unsigned i = 0; i < CONNS; i++) {
		assert_int_equal(t.started, i + 1);
		seen |= 1U << owner(i);
		end_request(i);
	}
	assert_int_equal(seen, (1U << CONNS) - 1);
	assert_int_equal(t.lane.pool.used, 0);
}

/* Who needs no memory is not held up by those who do. */
static void test_others_go_on(void **state)
{
	struct request *all = lane_get_request(&t.lane, LIMIT);

	(void)state;
	add_conn(0);
	add_conn(1);
	ask(0, NBD_CMD_READ, 4096);
	ask(1, NBD_CMD_FLUSH, 0);
	assert_int_equal(t.started, 1);
	assert_int_equal(owner(0), 1);
	ask(0, NBD_CMD_FLUSH, 0); /* behind its own request it waits */
	assert_int_equal(t.started, 1);
	lane_put_request(&t.lane, all);
	turn();
	assert_int_equal(t.started, 3);
	assert_int_equal(owner(2), 0);
}

static void test_waiting_one_leaves(void **state)
{
	struct request *all = lane_get_request(&t.lane, LIMIT);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		add_conn(i);
		ask(i, NBD_CMD_READ, 4096);
	}
	conn_kill(t.conns[1]);
	turn();
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.last_ended, 1);
	check_waiting((struct conn *[]){t.conns[0], t.conns[2]}, 2);
	lane_put_request(&t.lane, all);
	turn();
	assert_int_equal(t.started, 2);
	assert_int_equal(owner(0), 0);
	assert_int_equal(owner(1), 2);
}

/* Neither pipe nor buffer for several: they wait, and the thread sleeps. */
static void test_waiting_is_quiet(void **state)
{
	struct request *all = lane_get_request(&t.lane, LIMIT), *piped[LANE_PIPES_MAX];

	(void)state;
	t.storage.in_place = true;
	for (int i = 0; i < LANE_PIPES_MAX; i++) {
		piped[i] = lane_get_request(&t.lane, 0);
		piped[i]->pipe = lane_get_pipe(&t.lane, 0, 4096);
		assert_non_null(piped[i]->pipe);
	}
	for (unsigned i = 0; i < 3; i++) {
		add_conn(i);
		ask(i, NBD_CMD_READ, LONG);
	}
	loop_turns(&t.lane.reactor, 10);
	check_waiting((struct conn *[]){t.conns[0], t.conns[1], t.conns[2]}, 3);
	assert_null(t.lane.reactor.deferred.first);
	lane_put_request(&t.lane, piped[0]);
	loop_turns(&t.lane.reactor, 1);
	check_waiting((struct conn *[]){t.conns[1], t.conns[2]}, 2);
	assert_null(t.lane.reactor.deferred.first);
	for (int i = 1; i < LANE_PIPES_MAX; i++)
		lane_put_request(&t.lane, piped[i]);
	turn();
	check_waiting(NULL, 0);
	lane_put_request(&t.lane, all);
}

/* Who holds memory, and has sent half a write and then nothing, is ended when others wait. */
static void test_stalled_one_is_ended(void **state)
{
	(void)state;
	add_conn(0);
	add_conn(1);
	ask(0, NBD_CMD_WRITE, LIMIT);
	ask(1, NBD_CMD_READ, LIMIT);
	assert_int_equal(t.lane.pool.used, LIMIT);
	clock_set_for_test(START_MS + STALL_MS - 1);
	turn();
	assert_int_equal(t.ended, 0);
	clock_set_for_test(START_MS + 2 * STALL_MS);
	turn();
	turn();
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.last_ended, 0);
	assert_int_equal(t.started, 1);
	assert_int_equal(owner(0), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_wait_list),
		TEST(test_served_in_order),
		TEST(test_one_at_a_time),
		TEST(test_others_go_on),
		TEST(test_waiting_one_leaves),
		TEST(test_waiting_is_quiet),
		TEST(test_stalled_one_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
