/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listening as options say: TCP and unix sockets together, what failures leave behind (nothing,
 * neither open nor on disk), and sockets from systemd. Ports are chosen by the kernel.
 */
#include "activate.h"
#include "check.h"
#include "fds.h"
#include "listen.h"
#include "temp.h"
#include "util.h"

#include <dirent.h>
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

static struct temp temp;
static struct opt_list addresses, paths, places;
static char names[OPT_LIST_MAX][TEMP_PATH_MAX];
static struct listeners l;
static struct err err;
static unsigned fds_before;

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	addresses.count = paths.count = places.count = 0;
	memset(&l, 0, sizeof(l));
	err = (struct err){0};
	fds_before = fds_open();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	listen_close(&l);
	assert_int_equal(fds_open(), fds_before);
	temp_done(&temp);
	return 0;
}

static void add_address(const char *host)
{
	addresses.items[addresses.count++] = host;
}

static const char *add_path(const char *name)
{
	strcpy(names[paths.count], temp_path(&temp, name));
	paths.items[paths.count] = names[paths.count];
	return paths.items[paths.count++];
}

static int open_wish(void)
{
	const struct listen_wish wish = {&addresses, 0, &paths, &places, 0640};

	return listen_open(&wish, &l, &err);
}

static size_t files_there(void)
{
	size_t n = 0;
	DIR *d = opendir(temp.folder);

	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static int family_of(int fd)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);

	assert_true(sock_is_listening(fd));
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	return ss.ss_family;
}

static void check_failed(int code, const char *says)
{
	assert_int_equal(open_wish(), -code);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, says))
		fail_msg("'%s' does not say '%s'", err.text, says);
	assert_int_equal(l.sockets.count, 0); /* untouched */
	assert_int_equal(l.path_count, 0);
	assert_int_equal(fds_open(), fds_before);
}

static void test_tcp_and_unix(void **state)
{
	const char *a = add_path("a"), *b = add_path("b");
	char text[SOCK_NAME_MAX];
	struct stat st;
	int fd;

	(void)state;
	add_address("127.0.0.1");
	assert_int_equal(open_wish(), 0);
	assert_int_equal(l.sockets.count, 3);
	assert_int_equal(family_of(l.sockets.fds[0]), AF_INET);
	sock_local_name(l.sockets.fds[1], text, sizeof(text));
	assert_string_equal(text, a);
	assert_true(sock_is_listening(l.sockets.fds[1]));
	assert_int_equal(l.path_count, 2);
	assert_string_equal(l.paths[1], b);
	assert_int_equal(stat(b, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	fd = sock_connect_unix(b, NULL);
	assert_true(fd >= 0);
	close(fd);
}

/* Unix sockets given alone mean no TCP. */
static void test_unix_alone(void **state)
{
	(void)state;
	add_path("a");
	assert_int_equal(open_wish(), 0);
	assert_int_equal(l.sockets.count, 1);
	assert_int_equal(family_of(l.sockets.fds[0]), AF_UNIX);
}

static void test_addresses_alone(void **state)
{
	(void)state;
	add_address("127.0.0.1");
	add_address("127.0.0.1"); /* port 0: another port */
	assert_int_equal(open_wish(), 0);
	assert_int_equal(l.sockets.count, 2);
	assert_int_equal(l.path_count, 0);
}

/* No wish at all: IPv4, and IPv6 where there is one. */
static void test_everywhere(void **state)
{
	bool v4 = false;

	(void)state;
	assert_int_equal(open_wish(), 0);
	assert_in_range(l.sockets.count, 1, 2);
	for (size_t i = 0; i < l.sockets.count; i++) {
		int family = family_of(l.sockets.fds[i]);

		assert_true(family == AF_INET || family == AF_INET6);
		v4 |= family == AF_INET;
	}
	assert_true(v4);
}

static void test_files_are_removed(void **state)
{
	int fd;

	(void)state;
	add_address("127.0.0.1");
	add_path("a");
	add_path("b");
	assert_int_equal(open_wish(), 0);
	temp_file(&temp, "other", "not ours");
	assert_int_equal(files_there(), 3);
	listen_remove_files(&l);
	assert_int_equal(files_there(), 1);
	assert_true(sock_is_listening(l.sockets.fds[1]));  /* still */
	fd = sock_listen_unix(paths.items[0], 0600, NULL); /* a successor's */
	assert_true(fd >= 0);
	listen_remove_files(&l);
	assert_int_equal(files_there(), 2);
	listen_close(&l);
	assert_int_equal(l.sockets.count, 0);
	listen_close(&l);
	close(fd);
}

/* What was opened before the failure is closed and removed again. */
static void test_failure_leaves_nothing(void **state)
{
	(void)state;
	add_address("127.0.0.1");
	add_path("a");
	add_path("b");
	add_path("no/folder");
	check_failed(ENOENT, "/no/folder: No such file or directory");
	assert_int_equal(files_there(), 0);
}

static void test_bad_address(void **state)
{
	(void)state;
	add_path("a");
	add_address("127.0.0.1");
	add_address("300.1.2.3.");
	check_failed(EINVAL, "listen address 300.1.2.3.");
	assert_int_equal(files_there(), 0);
}

/* Nobody else's file is harmed by our failure. */
static void test_path_in_use(void **state)
{
	int fd, other = sock_listen_unix(temp_path(&temp, "other"), 0600, NULL);

	(void)state;
	fds_before++;
	add_path("a");
	add_path("other");
	check_failed(EADDRINUSE, "/other: in use by a running process");
	assert_int_equal(files_there(), 1);
	fd = sock_connect_unix(temp_path(&temp, "other"), NULL);
	assert_true(fd >= 0);
	close(fd);
	paths.count = 1;
	temp_file(&temp, "file", "precious");
	add_path("file");
	check_failed(EEXIST, "/file: exists and is no socket");
	assert_int_equal(files_there(), 2);
	close(other);
	fds_before--;
}

static void test_path_twice(void **state)
{
	(void)state;
	add_path("a");
	add_path("a");
	check_failed(EADDRINUSE, "/a: in use by a running process");
	assert_int_equal(files_there(), 0);
}

static void test_too_many(void **state)
{
	char name[16];

	(void)state;
	for (int i = 0; i < SOCK_LISTEN_MAX; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		add_path(name);
	}
	add_address("127.0.0.1");
	check_failed(EINVAL, "more than 64 listening addresses");
	assert_int_equal(files_there(), 0);
	addresses.count = 0;
	assert_int_equal(open_wish(), 0);
	assert_int_equal(l.sockets.count, SOCK_LISTEN_MAX);
	assert_int_equal(l.path_count, SOCK_LISTEN_MAX);
}

static void test_too_many_addresses(void **state)
{
	(void)state;
	for (int i = 0; i < SOCK_LISTEN_MAX; i++)
		add_address("127.0.0.1");
	add_path("a");
	check_failed(EINVAL, "more than 64 listening addresses");
	assert_int_equal(files_there(), 0);
}

static void activated_child(void)
{
	add_path("ours");
	add_address("127.0.0.1");
	activate_say("2");
	CHECK(open_wish() == 0);
	CHECK(l.sockets.count == 2 && l.sockets.fds[0] == 3 && l.sockets.fds[1] == 4);
	CHECK(l.path_count == 0);
	listen_remove_files(&l);
	CHECK(access(temp_path(&temp, "systemd"), F_OK) == 0); /* not ours to remove */
	CHECK(access(temp_path(&temp, "ours"), F_OK) < 0);
	listen_close(&l);
	CHECK(fcntl(3, F_GETFD) < 0 && fcntl(4, F_GETFD) < 0);
	CHECK(open_wish() == 0); /* the next time it is the wish */
	CHECK(l.sockets.count == 2 && l.path_count == 1);
}

static void test_activation(void **state)
{
	int listener = sock_listen_unix(temp_path(&temp, "systemd"), 0600, NULL);

	(void)state;
	assert_int_equal(activate_child(listener, activated_child), 0);
	close(listener);
}

static void test_bad_activation(void **state)
{
	static const char *const counts[] = {"65", "-1", "many", ""};

	(void)state;
	add_path("a");
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		activate_say(counts[i]);
		check_failed(EINVAL, "LISTEN_FDS: must be a number of sockets up to 64");
		assert_null(getenv("LISTEN_FDS"));
		assert_int_equal(files_there(), 0);
	}
	activate_say("0");
	assert_int_equal(open_wish(), 0);
	assert_int_equal(l.path_count, 1);
}

static const struct {
	const char *text, *host;
	uint16_t port;
} good_places[] = {
	{"*:8520", "", 8520},
	{"192.0.2.1:1", "192.0.2.1", 1},
	{"[::1]:65535", "::1", 65535},
	{"[fe80::1%lo]:80", "fe80::1%lo", 80},
	{"host.example:80", "host.example", 80},
};

static const char *const bad_places[] = {"", "8520", ":80", "*:", "*:0", "*:65536", "*:-1",
	"::1:80", "::1", "[]:80", "[::1]", "[::1]80", "[::1:80", "::1]:80", "h:80:80", "h:http",
	"a/b"};

static void test_places(void **state)
{
	struct listen_place place;
	char endless[400];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good_places); i++) {
		assert_int_equal(listen_parse(good_places[i].text, &place, &err), 0);
		assert_null(place.path);
		assert_string_equal(place.host, good_places[i].host);
		assert_int_equal(place.port, good_places[i].port);
	}
	assert_int_equal(listen_parse("/a:b", &place, &err), 0);
	assert_string_equal(place.path, "/a:b");
	for (size_t i = 0; i < ARRAY_LEN(bad_places); i++) {
		assert_int_equal(listen_parse(bad_places[i], &place, &err), -EINVAL);
		assert_non_null(strstr(err.text, "\": must be ADDRESS:PORT, [ADDRESS]:PORT"));
		assert_string_equal(place.path, "/a:b");
	}
	memset(endless, 'h', sizeof(endless));
	strcpy(endless + sizeof(endless) - 3, ":1");
	assert_int_equal(listen_parse(endless, &place, &err), -EINVAL);
}

/* Instead of the rest of the wish. */
static void test_places_are_listened_on(void **state)
{
	char unused[SOCK_NAME_MAX];
	struct sock_list probe = {0};
	char name[SOCK_NAME_MAX];

	(void)state;
	CHECK(sock_listen_tcp("127.0.0.1", 0, &probe, &err) == 0);
	sock_local_name(probe.fds[0], name, sizeof(name));
	sock_list_close(&probe);
	strcpy(unused, name);
	add_path("option");
	strcpy(names[1], temp_path(&temp, "place"));
	places = (struct opt_list){2, {unused, names[1]}};
	CHECK(open_wish() == 0);
	CHECK(l.sockets.count == 2 && l.path_count == 1);
	sock_local_name(l.sockets.fds[0], name, sizeof(name));
	assert_string_equal(name, unused);
	CHECK(access(temp_path(&temp, "place"), F_OK) == 0);
	CHECK(access(temp_path(&temp, "option"), F_OK) < 0);
	listen_remove_files(&l);
	listen_close(&l);
	places = (struct opt_list){2, {names[1], "nonsense"}};
	check_failed(EINVAL, "\"nonsense\": must be ADDRESS:PORT");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tcp_and_unix),
		TEST(test_unix_alone),
		TEST(test_addresses_alone),
		TEST(test_everywhere),
		TEST(test_files_are_removed),
		TEST(test_failure_leaves_nothing),
		TEST(test_bad_address),
		TEST(test_path_in_use),
		TEST(test_path_twice),
		TEST(test_too_many),
		TEST(test_too_many_addresses),
		TEST(test_activation),
		TEST(test_bad_activation),
		TEST(test_places),
		TEST(test_places_are_listened_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
