/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets: who may take over a unix socket's path, TCP on both families, names of peers, socket
 * activation, and descriptors sent along. Ports are chosen by the kernel.
 */
#include "activate.h"
#include "check.h"
#include "fds.h"
#include "sock.h"
#include "temp.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct temp temp;

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	temp_done(&temp);
	return 0;
}

static int accept_one(int listener)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 5000), 1);
	return sock_accept(listener);
}

static void check_born_well(int fd)
{
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void test_unix(void **state)
{
	const char *path = temp_path(&temp, "sock");
	int listener = sock_listen_unix(path, 0660, NULL), client, server;
	char name[SOCK_NAME_MAX], want[SOCK_NAME_MAX];
	struct sock_peer peer;
	struct stat st;

	(void)state;
	assert_true(listener >= 0);
	check_born_well(listener);
	assert_true(sock_is_listening(listener));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(sock_accept(listener), -EAGAIN);
	client = sock_connect_unix(path, NULL);
	assert_false(fcntl(client, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(client, F_GETFD), FD_CLOEXEC);
	server = accept_one(listener);
	check_born_well(server);
	assert_false(sock_is_listening(server));
	sock_peer(server, &peer);
	snprintf(want, sizeof(want), "unix:uid=%u,pid=%d", geteuid(), getpid());
	assert_string_equal(peer.name, want);
	snprintf(want, sizeof(want), "unix:uid=%u", geteuid());
	assert_string_equal(peer.host, want);
	assert_true(peer.local);
	sock_local_name(listener, name, sizeof(name));
	assert_string_equal(name, path);
	close(client);
	close(server);
	close(listener);
}

/* The mode asked for counts, not the process's umask; and the umask stays. */
static void test_unix_mode(void **state)
{
	mode_t old = umask(077);
	int listener = sock_listen_unix(temp_path(&temp, "sock"), 0777, NULL);
	struct stat st;

	(void)state;
	assert_int_equal(stat(temp.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0777);
	assert_int_equal(umask(old), 077);
	close(listener);
}

static void test_unix_takes_over_a_stale_one(void **state)
{
	const char *path = temp_path(&temp, "sock");
	struct err err = {0};
	int first = sock_listen_unix(path, 0600, &err), second;

	(void)state;
	assert_int_equal(sock_listen_unix(path, 0600, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "in use by a running process"));
	close(first);
	second = sock_listen_unix(path, 0600, &err);
	assert_true(second >= 0);
	first = sock_connect_unix(path, &err);
	assert_true(first >= 0);
	close(first);
	close(second);
	assert_int_equal(sock_connect_unix(path, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.text, path));
}

static void test_unix_not_a_socket(void **state)
{
	struct err err = {0};
	struct stat st;

	(void)state;
	temp_file(&temp, "file", "precious");
	assert_int_equal(sock_listen_unix(temp.path, 0600, &err), -EEXIST);
	assert_non_null(strstr(err.text, "exists and is no socket"));
	assert_int_equal(stat(temp.path, &st), 0);
	assert_int_equal(st.st_size, 8);
	assert_int_equal(sock_listen_unix(temp.folder, 0600, &err), -EEXIST);
	assert_int_equal(symlink("file", temp_path(&temp, "link")), 0);
	assert_int_equal(sock_listen_unix(temp_path(&temp, "link"), 0600, &err), -EEXIST);
	assert_int_equal(sock_listen_unix(temp_path(&temp, "no/sock"), 0600, &err), -ENOENT);
}

static void test_unix_path_length(void **state)
{
	char path[256];
	struct err err = {0};
	size_t len = strlen(temp.folder);
	int fd;

	(void)state;
	memset(path, 'p', sizeof(path));
	memcpy(path, temp.folder, len);
	path[len] = '/';
	path[SOCK_UNIX_PATH_MAX] = 0;
	fd = sock_listen_unix(path, 0600, &err);
	assert_true(fd >= 0);
	close(fd);
	path[SOCK_UNIX_PATH_MAX] = 'p';
	path[SOCK_UNIX_PATH_MAX + 1] = 0;
	assert_int_equal(sock_listen_unix(path, 0600, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "1 to 107 bytes"));
	assert_int_equal(sock_connect_unix(path, &err), -ENAMETOOLONG);
	assert_int_equal(sock_listen_unix("", 0600, &err), -ENAMETOOLONG);
}

static int connect_tcp(int family, int listener)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(getsockname(listener, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

static int get_int(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

/* Rule 9, and that dead peers go by themselves. */
static void check_tcp_options(int fd)
{
	check_born_well(fd);
	assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_true(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE) +
			get_int(fd, IPPROTO_TCP, TCP_KEEPINTVL) *
				get_int(fd, IPPROTO_TCP, TCP_KEEPCNT) <=
		120);
}

static void check_tcp(const char *host, int family, const char *prefix)
{
	struct sock_list list = {0};
	char name[SOCK_NAME_MAX];
	struct sock_peer peer;
	int client, server;

	assert_int_equal(sock_listen_tcp(host, 0, &list, NULL), 0);
	assert_int_equal(list.count, 1);
	check_born_well(list.fds[0]);
	sock_local_name(list.fds[0], name, sizeof(name));
	assert_memory_equal(name, prefix, strlen(prefix));
	assert_true(strcmp(name + strlen(prefix), "0") != 0);
	client = connect_tcp(family, list.fds[0]);
	server = accept_one(list.fds[0]);
	check_tcp_options(server);
	sock_peer(server, &peer);
	sock_local_name(client, name, sizeof(name));
	assert_string_equal(peer.name, name);
	assert_string_equal(peer.host, host);
	assert_false(peer.local);
	close(client);
	close(server);
	sock_list_close(&list);
	assert_int_equal(list.count, 0);
}

static void test_tcp4(void **state)
{
	(void)state;
	check_tcp("127.0.0.1", AF_INET, "127.0.0.1:");
}

static void test_tcp6(void **state)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool works = fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;

	(void)state;
	fd_close(&fd);
	if (!works)
		skip();
	check_tcp("::1", AF_INET6, "[::1]:");
}

static void test_tcp_refused(void **state)
{
	struct sock_list list = {.count = 1, .fds = {-1}};
	struct sock_list taken = {0};
	struct err err = {0};
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	(void)state;
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, &taken, NULL), 0);
	assert_int_equal(getsockname(taken.fds[0], (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(
		sock_listen_tcp("127.0.0.1", ntohs(sa.sin_port), &list, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "listen on 127.0.0.1 port "));
	assert_int_equal(sock_listen_tcp("192.0.2.1", 0, &list, &err), -EADDRNOTAVAIL);
	assert_int_equal(sock_listen_tcp("300.1.2.3.", 0, &list, &err), -EINVAL);
	assert_non_null(strstr(err.text, "listen address 300.1.2.3."));
	assert_int_equal(list.count, 1); /* as before */
	list.count = SOCK_LISTEN_MAX;
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, &list, &err), -EINVAL);
	assert_int_equal(list.count, SOCK_LISTEN_MAX);
	sock_list_close(&taken);
}

static void test_peer_of_no_socket(void **state)
{
	struct sock_peer peer;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	sock_peer(fd, &peer);
	assert_string_equal(peer.name, "unknown");
	assert_string_equal(peer.host, "unknown");
	assert_false(sock_is_listening(fd));
	close(fd);
}

/* A socket of systemd serves both families; who comes by IPv4 is told by that address. */
static void test_peer_of_both_families(void **state)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
	struct sockaddr_in to = {.sin_family = AF_INET};
	int off = 0, both = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server;
	socklen_t len = sizeof(any);
	struct sock_peer peer;

	(void)state;
	setsockopt(both, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (both < 0 || bind(both, (struct sockaddr *)&any, sizeof(any)) < 0)
		skip(); /* no IPv6 here */
	assert_int_equal(listen(both, 1), 0);
	assert_int_equal(getsockname(both, (struct sockaddr *)&any, &len), 0);
	to.sin_port = any.sin6_port;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
	server = accept(both, NULL, NULL);
	sock_peer(server, &peer);
	assert_string_equal(peer.host, "127.0.0.1");
	assert_memory_equal(peer.name, "127.0.0.1:", strlen("127.0.0.1:"));
	close(server);
	close(client);
	close(both);
}

static void activated_child(void)
{
	struct sock_list list = {0};

	activate_say("2");
	CHECK(sock_activated(&list) == 2 && list.count == 2);
	CHECK(list.fds[0] == 3 && list.fds[1] == 4);
	CHECK(fcntl(3, F_GETFD) == FD_CLOEXEC && (fcntl(4, F_GETFL) & O_NONBLOCK));
	CHECK(!getenv("LISTEN_PID") && !getenv("LISTEN_FDS"));
	CHECK(sock_activated(&list) == 0 && list.count == 2);
	setenv("LISTEN_PID", "1", 1);
	setenv("LISTEN_FDS", "2", 1);
	CHECK(sock_activated(&list) == 0); /* meant for another process */
	activate_say("65");
	CHECK(sock_activated(&list) == -EINVAL && list.count == 2);
}

static void test_activation(void **state)
{
	int listener = sock_listen_unix(temp_path(&temp, "sock"), 0600, NULL);

	(void)state;
	assert_int_equal(activate_child(listener, activated_child), 0);
	close(listener);
}

static void test_send_and_receive(void **state)
{
	int pair[2], fd = -2, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char bytes[16] = "";

	(void)state;
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(sock_recv_fd(pair[1], bytes, sizeof(bytes), &fd), -EAGAIN);
	assert_int_equal(fd, -1);
	assert_int_equal(sock_send_fd(pair[0], "plain", 5, -1), 5);
	assert_int_equal(sock_recv_fd(pair[1], bytes, sizeof(bytes), &fd), 5);
	assert_int_equal(fd, -1);
	assert_int_equal(sock_send_fd(pair[0], "fd", 2, null), 2);
	assert_int_equal(sock_recv_fd(pair[1], bytes, sizeof(bytes), &fd), 2);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	close(null);
	close(pair[0]);
	assert_int_equal(sock_recv_fd(pair[1], bytes, sizeof(bytes), &fd), 0);
	assert_int_equal(sock_send_fd(pair[1], "x", 1, -1), -EPIPE); /* and no SIGPIPE */
	close(pair[1]);
}

static void test_peer_of_a_pair(void **state)
{
	struct sock_peer peer;
	gid_t mine[PEERS_GROUPS_MAX];
	int pair[2], count = getgroups(PEERS_GROUPS_MAX, mine);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_true(sock_peer(pair[0], &peer));
	assert_int_equal(peer.id.kind, PEERS_UNIX);
	assert_int_equal(peer.id.uid, getuid());
	assert_int_equal(peer.id.gid, getgid());
	for (int i = 0; i < count; i++) {
		struct peers_rule rule = {.kind = PEERS_GID, .id = mine[i]};

		assert_true(peers_match(&(struct peers){&rule, 1}, &peer.id));
	}
	if (count >= 0)
		assert_int_equal(peer.id.group_count, count);
	close(pair[0]);
	close(pair[1]);
	assert_false(sock_peer(pair[0], &peer));
	assert_string_equal(peer.host, "unknown");
	assert_int_equal(peer.id.kind, PEERS_ALL);
}

/* A peer that sends more descriptors than asked for leaves none behind. */
static void test_surplus_descriptors_do_not_leak(void **state)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(3 * sizeof(int))];
	} control = {0};
	char byte = 'x';
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int pair[2], fd, three[3] = {0, 1, 2};

	(void)state;
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(three));
	memcpy(CMSG_DATA(&control.head), three, sizeof(three));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (int i = 0; i < 3; i++) {
		unsigned before = fds_open();

		assert_int_equal(sendmsg(pair[0], &msg, 0), 1);
		assert_int_equal(sock_recv_fd(pair[1], &byte, 1, &fd), 1);
		fd_close(&fd);
		assert_int_equal(fds_open(), before);
	}
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unix, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unix_mode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_unix_takes_over_a_stale_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unix_not_a_socket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unix_path_length, set_up, tear_down),
		cmocka_unit_test(test_tcp4),
		cmocka_unit_test(test_tcp6),
		cmocka_unit_test(test_tcp_refused),
		cmocka_unit_test(test_peer_of_no_socket),
		cmocka_unit_test(test_peer_of_both_families),
		cmocka_unit_test(test_peer_of_a_pair),
		cmocka_unit_test_setup_teardown(test_activation, set_up, tear_down),
		cmocka_unit_test(test_send_and_receive),
		cmocka_unit_test(test_surplus_descriptors_do_not_leak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
