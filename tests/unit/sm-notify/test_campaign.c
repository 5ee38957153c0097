/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole runs in this process: peers are addresses of 127/8 where one socket plays rpcbind and the
 * status monitor. Who is told loses its record, who is not keeps it, and who says so too late, from
 * elsewhere or with another number has said nothing.
 */
#include "buf.h"
#include "campaign.h"
#include "check.h"
#include "report.h"
#include "statedir.h"
#include "util.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { PEERS = 4, TOLD_MAX = 64 };

#define LINE(mon, my) STATEDIR_LINE(mon, my) "\n"

static struct statedir dir;
static struct monlist list;
static struct reactor reactor;
static struct settings settings;
static struct self self;
static struct net *net;
static struct campaign_result result;

enum manner { GOOD, SILENT, OTHER_NUMBER, OTHER_SOURCE, NO_SHORT_NAME, STOPS_US };

static struct peer {
	struct reactor_watch watch;
	enum manner manner;
	unsigned asked, told;
	char names[TOLD_MAX][64];
} peers[PEERS];

static void reply(struct peer *p, const union addr_sock *to, const uint8_t *call, size_t result_len)
{
	static const uint32_t head[] = {0, 1, 0, 0, 0, 0};
	int fd = p->manner == OTHER_SOURCE ? peers[PEERS - 1].watch.fd : p->watch.fd;
	uint8_t bytes[28];

	for (size_t i = 0; i < 6; i++)
		set_u32(bytes + 4 * i, head[i]);
	set_u32(bytes, get_u32(call) ^ (p->manner == OTHER_NUMBER));
	set_u32(bytes + 24, settings.rpcbind_port);
	sendto(fd, bytes, 24 + result_len, 0, &to->any, sizeof(to->v4));
}

static void take(struct peer *p, const union addr_sock *from, const uint8_t *call)
{
	uint32_t len = get_u32(call + 40);

	if (get_u32(call + 12) == 100000) {
		p->asked++;
		reply(p, from, call, 4);
		return;
	}
	CHECK(p->told < TOLD_MAX && len < sizeof(p->names[0]));
	memcpy(p->names[p->told++], call + 44, len);
	if (p->manner == STOPS_US)
		reactor_stop(&reactor);
	if (p->manner != NO_SHORT_NAME || p->told == 1)
		reply(p, from, call, 0);
}

static void on_call(struct reactor_watch *w, uint32_t events)
{
	struct peer *p = container_of(w, struct peer, watch);
	uint8_t call[RPC_CALL_MAX];
	union addr_sock from;
	socklen_t len = sizeof(from);

	(void)events;
	if (recvfrom(w->fd, call, sizeof(call), 0, &from.any, &len) < 0)
		return;
	if (p->manner == SILENT)
		p->asked++;
	else
		take(p, &from, call);
}

/* 127.0.0.21 and so on, the same port at each. */
static void start_peers(void)
{
	settings.rpcbind_port = 0;
	for (int i = 0; i < PEERS; i++) {
		char text[32];
		struct addr a;
		union addr_sock at;
		socklen_t len;
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		snprintf(text, sizeof(text), "127.0.0.%d", 21 + i);
		assert_true(addr_parse(text, &a));
		len = addr_to_sock(&a, settings.rpcbind_port, &at);
		assert_int_equal(bind(fd, &at.any, len), 0);
		assert_int_equal(getsockname(fd, &at.any, &len), 0);
		settings.rpcbind_port = ntohs(at.v4.sin_port);
		assert_int_equal(reactor_add(&reactor, &peers[i].watch, fd, EPOLLIN, on_call), 0);
	}
}

static int set_up(void **state)
{
	struct err err = {0};

	(void)state;
	memset(peers, 0, sizeof(peers));
	memset(&self, 0, sizeof(self));
	settings = (struct settings){.retry_ms = 5000};
	statedir_init(&dir);
	monlist_init(&list);
	assert_int_equal(reactor_init(&reactor), 0);
	start_peers();
	net = calloc(1, sizeof(*net));
	assert_non_null(net);
	assert_int_equal(net_open(net, &self, 0, &err), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < PEERS; i++)
		close(peers[i].watch.fd);
	free(net);
	free(result.faults);
	reactor_done(&reactor);
	monlist_close(&list);
	statedir_done(&dir);
	return 0;
}

static void run_loaded(void)
{
	struct campaign_job job = {.settings = &settings,
		.self = &self,
		.list = &list,
		.state = 7,
		.net = net,
		.reactor = &reactor};
	struct err err = {0};

	assert_int_equal(campaign_run(&job, &result, &err), 0);
	report_log(&job, &result);
}

static void run(void)
{
	struct err err = {0};

	assert_int_equal(monlist_open(&list, dir.temp.folder, &err), 0);
	assert_int_equal(monlist_load(&list, &err), 0);
	run_loaded();
}

static void test_told(void **state)
{
	(void)state;
	statedir_put(&dir, "sm.bak/a.lab.test", LINE("127.0.0.21", "me.lab.test"));
	statedir_put(&dir, "sm.bak/b.lab.test", LINE("127.0.0.22", "me"));
	run();
	assert_int_equal(result.told, 2);
	assert_int_equal(result.not_told, 0);
	assert_false(result.stopped);
	assert_string_equal(statedir_names(&dir, "sm.bak"), "");
	assert_int_equal(peers[0].told, 2);
	assert_string_equal(peers[0].names[0], "me.lab.test");
	assert_string_equal(peers[0].names[1], "me");
	assert_int_equal(peers[1].told, 1);
	assert_int_equal(result.udp.sent, 5);
	assert_int_equal(result.strange, 0);
}

static void test_nobody(void **state)
{
	(void)state;
	run();
	assert_int_equal(result.told + result.not_told, 0);
	assert_false(result.stopped);
}

static void test_given_up(void **state)
{
	(void)state;
	peers[1].manner = SILENT;
	settings.retry_ms = 400;
	statedir_put(&dir, "sm.bak/a.lab.test", LINE("127.0.0.21", "me"));
	statedir_put(&dir, "sm.bak/b.lab.test", LINE("127.0.0.22", "me"));
	run();
	assert_int_equal(result.told, 1);
	assert_int_equal(result.not_told, 1);
	assert_false(result.stopped);
	assert_true(result.ms >= 400);
	assert_string_equal(statedir_names(&dir, "sm.bak"), "b.lab.test");
	assert_non_null(strstr(dir.log, "b.lab.test: not notified: no answer"));
	assert_int_equal(dir.lines, 2); /* and the summary */
}

/* What they say counts for nothing. */
static void check_ignored(enum manner manner)
{
	peers[0].manner = manner;
	settings.retry_ms = 3000; /* asked at once and after a second: a machine may stall */
	statedir_put(&dir, "sm.bak/a.lab.test", LINE("127.0.0.21", "me"));
	run();
	assert_int_equal(result.not_told, 1);
	assert_true(result.strange >= 2);
	assert_int_equal(peers[0].told, 0);
	assert_true(peers[0].asked >= 2);
	assert_string_equal(statedir_names(&dir, "sm.bak"), "a.lab.test");
}

static void test_other_number(void **state)
{
	(void)state;
	check_ignored(OTHER_NUMBER);
}

static void test_other_source(void **state)
{
	(void)state;
	check_ignored(OTHER_SOURCE);
}

static void test_one_name_of_two(void **state)
{
	(void)state;
	peers[0].manner = NO_SHORT_NAME;
	settings.retry_ms = 300;
	statedir_put(&dir, "sm.bak/a.lab.test", LINE("127.0.0.21", "me.lab.test"));
	run();
	assert_int_equal(result.not_told, 1);
	assert_string_equal(statedir_names(&dir, "sm.bak"), "a.lab.test");
}

static void test_stopped(void **state)
{
	(void)state;
	peers[0].manner = STOPS_US;
	statedir_put(&dir, "sm.bak/a.lab.test", LINE("127.0.0.21", "me.lab.test"));
	run();
	assert_true(result.stopped);
	assert_int_equal(result.not_told, 1);
	assert_true(result.ms < 1000);
	assert_string_equal(statedir_names(&dir, "sm.bak"), "a.lab.test");
	assert_null(strstr(dir.log, "a.lab.test: not notified"));
}

static void test_our_name(void **state)
{
	(void)state;
	snprintf(self.name, sizeof(self.name), "float.lab.test");
	statedir_put(&dir, "sm.bak/a.lab.test",
		LINE("127.0.0.21", "one") LINE("127.0.0.21", "two") LINE("127.0.0.22", "one"));
	run();
	assert_int_equal(result.told, 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(peers[i].told, 2);
		assert_string_equal(peers[i].names[0], "float.lab.test");
		assert_string_equal(peers[i].names[1], "float");
	}
}

static unsigned count_of(const char *text, const char *words)
{
	unsigned n = 0;

	while ((text = strstr(text, words))) {
		text += strlen(words);
		n++;
	}
	return n;
}

/* Files that cannot be rewritten for want of room: said once, however often it is tried. */
static void test_no_room(void **state)
{
	struct rlimit before, none;
	struct err err = {0};

	(void)state;
	peers[1].manner = SILENT;
	settings.retry_ms = 2500;
	for (int i = 0; i < 3; i++) {
		static const char *const files[] = {"sm.bak/a", "sm.bak/b", "sm.bak/c"};

		statedir_put(&dir, files[i], LINE("127.0.0.21", "me") LINE("127.0.0.22", "me"));
	}
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = before;
	none.rlim_cur = 10;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	run();
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(count_of(dir.log, "not rewritten"), 1);
	assert_non_null(strstr(dir.log, "tried again"));
	assert_string_equal(
		statedir_text(&dir, "sm.bak/b"), LINE("127.0.0.21", "me") LINE("127.0.0.22", "me"));
	assert_int_equal(monlist_flush(&list, &err), 0);
	assert_string_equal(statedir_text(&dir, "sm.bak/b"), LINE("127.0.0.22", "me"));
}

/* Something in the place of a file: it is not spoken of every second. */
static void test_record_replaced(void **state)
{
	struct err err = {0};

	(void)state;
	peers[0].manner = NO_SHORT_NAME;
	settings.retry_ms = 2500;
	statedir_put(&dir, "sm.bak/a", LINE("127.0.0.21", "me.lab.test"));
	statedir_put(&dir, "sm.bak/b", LINE("127.0.0.22", "me"));
	assert_int_equal(monlist_open(&list, dir.temp.folder, &err), 0);
	assert_int_equal(monlist_load(&list, &err), 0);
	unlink(statedir_path(&dir, "sm.bak/b"));
	assert_int_equal(symlink("a", statedir_path(&dir, "sm.bak/b")), 0);
	run_loaded();
	assert_int_equal(result.told, 1);
	assert_int_equal(count_of(dir.log, "a symbolic link"), 1);
	assert_int_equal(count_of(dir.log, "not rewritten"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_told),
		TEST(test_nobody),
		TEST(test_given_up),
		TEST(test_other_number),
		TEST(test_other_source),
		TEST(test_one_name_of_two),
		TEST(test_stopped),
		TEST(test_our_name),
		TEST(test_no_room),
		TEST(test_record_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
