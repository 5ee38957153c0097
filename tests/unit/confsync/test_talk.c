/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conversations over socketpairs: messages, generations, contents; a stream cut at every byte,
 * garbage, silence. The other side of a test is a process, or bytes written beforehand.
 */
#include "talk.h"

#include "buf.h"
#include "clock.h"
#include "rnd.h"
#include "sample.h"
#include "scan.h"
#include "store.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { LONG = 100000 /* ms */ };

static char n1[] = "n1", n2[] = "n2";
static struct config_node nodes[] = {{.name = n1}, {.name = n2}};
static const struct config here = {.self = &nodes[0], .peer = &nodes[1]};
static const struct config there = {.self = &nodes[1], .peer = &nodes[0]};

struct pair {
	int fds[2];
	struct talk *a, *b;
};

static void open_pair(struct pair *p, uint64_t ms)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->fds), 0);
	p->a = talk_over(p->fds[0], p->fds[0], clock_ms() + ms);
	p->b = talk_over(p->fds[1], p->fds[1], clock_ms() + ms);
	assert_non_null(p->a);
	assert_non_null(p->b);
}

static void close_pair(struct pair *p)
{
	talk_end(p->a);
	talk_end(p->b);
	fd_close(&p->fds[0]);
	fd_close(&p->fds[1]);
}

/* Runs FN as the other side; its result is its exit status. */
static pid_t aside(struct pair *p, int (*fn)(struct talk *))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		close(p->fds[0]);
		_exit(fn(p->b) < 0);
	}
	fd_close(&p->fds[1]);
	return pid;
}

static int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int answer_hello(struct talk *t)
{
	struct err err;

	return talk_hello(t, &there, true, &err);
}

static int answer_as_another(struct talk *t)
{
	static char n3[] = "n3";
	static struct config_node other = {.name = n3};
	struct config c = {.self = &other, .peer = &nodes[0]};
	struct err err;

	return talk_hello(t, &c, true, &err);
}

static void test_hello(void **state)
{
	struct pair p;
	struct err err = {0};
	uint64_t sent = 0, received = 0;
	pid_t pid;

	(void)state;
	open_pair(&p, LONG);
	pid = aside(&p, answer_hello);
	assert_int_equal(talk_hello(p.a, &here, false, &err), 0);
	assert_false(talk_dead(p.a));
	talk_count(p.a, &sent, &received);
	assert_true(sent > 0 && received == sent);
	assert_int_equal(end_of(pid), 0);
	close_pair(&p);

	open_pair(&p, LONG);
	pid = aside(&p, answer_as_another);
	assert_int_equal(talk_hello(p.a, &here, false, &err), -EACCES);
	assert_non_null(strstr(err.text, "n2: it says that it is node n3"));
	assert_true(talk_dead(p.a));
	assert_int_equal(talk_refuse(p.a, MESSAGE_REFUSE, "x", &err), -ECONNRESET);
	assert_int_equal(end_of(pid), 0);
	close_pair(&p);
}

/* Who is called tells why it does not talk. */
static void test_hello_refused(void **state)
{
	struct message m = {.kind = MESSAGE_HELLO, .version = MESSAGE_VERSION, .node = "n9"};
	struct pair p;
	struct err err = {0};

	(void)state;
	open_pair(&p, LONG);
	assert_int_equal(talk_send(p.a, &m, &err), 0);
	assert_int_equal(talk_hello(p.b, &there, true, &err), -EACCES);
	assert_int_equal(talk_expect(p.a, MESSAGE_HELLO, &m, &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "peer refuses: n1: it says that it is node n9"));
	close_pair(&p);

	open_pair(&p, LONG);
	m = (struct message){.kind = MESSAGE_HELLO, .version = MESSAGE_VERSION + 1, .node = "n1"};
	assert_int_equal(talk_send(p.a, &m, &err), 0);
	assert_int_equal(talk_hello(p.b, &there, true, &err), -EPROTO);
	assert_non_null(strstr(err.text, "another version"));
	close_pair(&p);
}

static void test_expect(void **state)
{
	struct message m = {.kind = MESSAGE_PREPARED}, got = {0};
	struct pair p;
	struct err err = {0};

	(void)state;
	open_pair(&p, LONG);
	assert_int_equal(talk_send(p.a, &m, &err), 0);
	assert_int_equal(talk_expect(p.b, MESSAGE_PREPARED, &got, &err), 0);
	assert_int_equal(talk_refuse(p.a, MESSAGE_REFUSE, "no\n\033 room", &err), 0);
	assert_int_equal(talk_expect(p.b, MESSAGE_PREPARED, &got, &err), -EREMOTEIO);
	assert_string_equal(err.text, "peer refuses: no\\x0a\\x1b room");
	assert_int_equal(talk_refuse(p.a, MESSAGE_REFUSE, TALK_BUSY, &err), 0);
	assert_int_equal(talk_expect(p.b, MESSAGE_PREPARED, &got, &err), -EBUSY);
	assert_int_equal(talk_refuse(p.a, MESSAGE_ABORT, "because", &err), 0);
	assert_int_equal(talk_expect(p.b, MESSAGE_COMMIT, &got, &err), -EREMOTEIO);
	assert_string_equal(err.text, "peer gave up: because");
	assert_false(talk_dead(p.b));
	assert_int_equal(talk_send(p.a, &m, &err), 0);
	assert_int_equal(talk_expect(p.b, MESSAGE_COMMIT, &got, &err), -EPROTO);
	assert_string_equal(err.text, "peer: it says prepared where commit is due");
	assert_true(talk_dead(p.b));
	close_pair(&p);
}

static void make_generation(struct generation *g, size_t files)
{
	generation_init(g);
	snprintf(g->set, sizeof(g->set), "web");
	snprintf(g->transaction, sizeof(g->transaction), "0123456789abcdef");
	snprintf(g->origin, sizeof(g->origin), "n1");
	g->number = 3;
	assert_int_equal(vector_bump(&g->vector, "n1"), 0);
	for (size_t i = 0; i < files; i++) {
		char path[64];
		struct entry e;

		snprintf(path, sizeof(path), "/etc/a-name-of-some-length/%06zu", i);
		e = sample_entry(MANIFEST_FILE, path);
		assert_int_equal(manifest_add(&g->files, &e), 0);
	}
	assert_int_equal(manifest_sort(&g->files), 0);
	assert_int_equal(manifest_digest(&g->files, g->digest), 0);
}

static struct generation sample;

static int send_sample(struct talk *t)
{
	struct err err;

	return talk_send_generation(t, &sample, &err);
}

static void test_generation(void **state)
{
	struct generation got;
	struct err err = {0};
	struct pair p;
	pid_t pid;

	(void)state;
	make_generation(&sample, 20000);
	open_pair(&p, LONG);
	pid = aside(&p, send_sample);
	generation_init(&got);
	assert_int_equal(talk_receive_generation(p.a, &got, &err), 0);
	assert_int_equal(end_of(pid), 0);
	assert_memory_equal(got.digest, sample.digest, MANIFEST_HASH);
	assert_int_equal(got.files.count, sample.files.count);
	generation_done(&got);
	generation_done(&sample);
	close_pair(&p);
}

/* What FN does with the first CUT bytes of a good stream, and then its end: never 0 but at the end,
 * never anything else than "the other side has gone". */
static void cut_everywhere(const uint8_t *bytes, size_t len, int (*fn)(struct talk *, struct err *))
{
	for (size_t cut = 0; cut <= len; cut++) {
		struct pair p;
		struct err err = {0};
		int r;

		open_pair(&p, LONG);
		assert_int_equal(write(p.fds[0], bytes, cut), (ssize_t)cut);
		assert_int_equal(shutdown(p.fds[0], SHUT_WR), 0);
		r = fn(p.b, &err);
		assert_int_equal(r, cut < len ? -ECONNRESET : 0);
		if (r < 0) {
			assert_string_equal(err.text, "peer: it ended the conversation");
			assert_true(talk_dead(p.b));
		}
		close_pair(&p);
	}
}

static int take_message(struct talk *t, struct err *err)
{
	struct message m = {0};
	int r = talk_receive(t, &m, err);

	if (r == 0)
		message_done(&m);
	return r;
}

static int take_generation(struct talk *t, struct err *err)
{
	struct generation g;
	int r;

	generation_init(&g);
	r = talk_receive_generation(t, &g, err);
	generation_done(&g);
	return r;
}

static struct temp temp;

static int take_data(struct talk *t, struct err *err)
{
	struct message m = {0};
	struct store_batch b;
	int r = talk_expect(t, MESSAGE_DATA, &m, err);

	store_batch_init(&b, temp_path(&temp, "store"));
	if (r == 0)
		r = talk_receive_data(t, &m, &b, err);
	return r < 0 ? r : store_batch_name(&b, err);
}

static size_t read_what_was_sent(struct pair *p, uint8_t *bytes, size_t room)
{
	ssize_t n = recv(p->fds[1], bytes, room, MSG_DONTWAIT);

	assert_true(n > 0 && (size_t)n < room);
	return (size_t)n;
}

static void test_cut(void **state)
{
	struct message m = {.kind = MESSAGE_REFUSE, .text = "because"};
	struct generation g;
	struct err err = {0};
	uint8_t bytes[8192];
	struct pair p;
	size_t len;

	(void)state;
	open_pair(&p, LONG);
	assert_int_equal(talk_send(p.a, &m, &err), 0);
	len = read_what_was_sent(&p, bytes, sizeof(bytes));
	cut_everywhere(bytes, len, take_message);
	make_generation(&g, 5);
	assert_int_equal(talk_send_generation(p.a, &g, &err), 0);
	len = read_what_was_sent(&p, bytes, sizeof(bytes));
	cut_everywhere(bytes, len, take_generation);
	generation_done(&g);
	close_pair(&p);
}

static int open_content(const char *content, uint8_t hash[MANIFEST_HASH])
{
	int fd = open(temp_file(&temp, "content", content), O_RDONLY | O_CLOEXEC);
	uint64_t size;

	assert_true(fd >= 0);
	assert_int_equal(scan_hash(fd, hash, &size), 0);
	assert_int_equal(size, strlen(content));
	return fd;
}

static void test_data(void **state)
{
	uint8_t hash[MANIFEST_HASH], bytes[8192];
	struct err err = {0};
	struct pair p;
	size_t len;
	int fd;

	(void)state;
	temp_init(&temp);
	assert_int_equal(mkdir(temp_path(&temp, "store"), 0700), 0);
	fd = open_content("some words", hash);
	open_pair(&p, LONG);
	assert_int_equal(talk_send_data(p.a, hash, 10, fd, &err), 0);
	assert_int_equal(take_data(p.b, &err), 0);
	assert_true(store_has(temp_path(&temp, "store"), hash));
	/* Nothing of it stays when it is cut. */
	assert_int_equal(unlink(temp_path(&temp, "content")), 0);
	assert_int_equal(store_clean(temp_path(&temp, "store"), NULL, 0), 0);
	assert_int_equal(talk_send_data(p.a, hash, 10, fd, &err), 0);
	len = read_what_was_sent(&p, bytes, sizeof(bytes));
	cut_everywhere(bytes, len, take_data);
	/* Another content: refused, and the conversation goes on. */
	assert_int_equal(store_clean(temp_path(&temp, "store"), NULL, 0), 0);
	hash[0] ^= 1;
	assert_int_equal(talk_send_data(p.a, hash, 10, fd, &err), 0);
	assert_int_equal(take_data(p.b, &err), -EBADMSG);
	assert_false(talk_dead(p.b));
	assert_false(store_has(temp_path(&temp, "store"), hash));
	/* No room to store it: the same. */
	assert_int_equal(rmdir(temp_path(&temp, "store")) < 0 && errno != ENOTEMPTY, 0);
	/* Shorter than it was said to be. */
	assert_int_equal(talk_send_data(p.a, hash, 11, fd, &err), -EIO);
	assert_true(talk_dead(p.a));
	close(fd);
	close_pair(&p);
	temp_done(&temp);
}

/* Pieces that do not add up, are too many, are of another kind. */
static void test_data_lies(void **state)
{
	static const struct {
		uint64_t size;
		char kind;
		uint32_t len;
	} lies[] = {{10, 'D', 11}, {10, 'D', 300 * 1024}, {10, 'T', 10}, {10, 'G', 10},
		{10, 'D', 0}, {10, 'X', 10}, {UINT64_C(1) << 40, 'D', 10}, {10, 'D', 0xffffffff}};

	(void)state;
	temp_init(&temp);
	assert_int_equal(mkdir(temp_path(&temp, "store"), 0700), 0);
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct message m = {.kind = MESSAGE_DATA, .size = lies[i].size};
		uint8_t frame[64] = {0};
		struct err err = {0};
		struct pair p;

		set_u32(frame, lies[i].len);
		frame[4] = (uint8_t)lies[i].kind;
		open_pair(&p, LONG);
		assert_int_equal(talk_send(p.a, &m, &err), 0);
		assert_int_equal(write(p.fds[0], frame, sizeof(frame)), sizeof(frame));
		assert_int_equal(take_data(p.b, &err), -EPROTO);
		assert_true(talk_dead(p.b));
		close_pair(&p);
	}
	temp_done(&temp);
}

static void test_garbage(void **state)
{
	struct rnd r = {4711};

	(void)state;
	for (int i = 0; i < 300; i++) {
		uint8_t bytes[256];
		struct err err = {0};
		struct pair p;
		int ret;

		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (uint8_t)rnd_next(&r);
		if (i % 2) /* a frame that looks good */
			memcpy(bytes, (uint8_t[]){0, 0, 0, 100, i % 4 == 1 ? 'T' : 'G'}, 5);
		open_pair(&p, LONG);
		assert_int_equal(write(p.fds[0], bytes, sizeof(bytes)), sizeof(bytes));
		shutdown(p.fds[0], SHUT_WR);
		ret = i % 4 == 3 ? take_generation(p.b, &err) : take_message(p.b, &err);
		assert_true(ret < 0);
		assert_true(err.text[0] != 0);
		close_pair(&p);
	}
}

/* A kind of a later version. */
static void test_unknown_kind(void **state)
{
	static const char frame[] = "\0\0\0\x0d"
				    "T{\"m\":\"later\"}";
	struct pair p;
	struct err err = {0};

	(void)state;
	open_pair(&p, LONG);
	assert_int_equal(write(p.fds[0], frame, sizeof(frame) - 1), sizeof(frame) - 1);
	assert_int_equal(take_message(p.b, &err), -EOPNOTSUPP);
	assert_false(talk_dead(p.b));
	close_pair(&p);
}

static void test_silence(void **state)
{
	struct message m = {0};
	struct pair p;
	struct err err = {0};
	int r;

	(void)state;
	open_pair(&p, 50);
	assert_int_equal(talk_receive(p.a, &m, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "time for the conversation is up"));
	close_pair(&p);
	/* Nobody reads. */
	open_pair(&p, 200);
	make_generation(&sample, 20000);
	do
		r = talk_send_generation(p.a, &sample, &err);
	while (r == 0);
	assert_int_equal(r, -ETIMEDOUT);
	generation_done(&sample);
	close_pair(&p);
}

/* A frame that is announced as long, and never comes, takes no memory. */
static void test_announced(void **state)
{
	static const uint8_t frame[] = {0x03, 0xff, 0xff, 0xff, 'G', 'x'};
	struct pair p;
	struct err err = {0};

	(void)state;
	open_pair(&p, 100);
	assert_int_equal(write(p.fds[0], frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(take_generation(p.b, &err), -ETIMEDOUT);
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_hello_refused),
		cmocka_unit_test(test_expect),
		cmocka_unit_test(test_generation),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_data_lies),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_unknown_kind),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_announced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
