/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket set-up shared by all programs; see sock.h. The data path does its own send and receive. */
#include "sock.h"

#include "str.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
	FIRST_ACTIVATED = 3,
	KEEP_IDLE_S = 60,
	KEEP_INTERVAL_S = 10,
	KEEP_COUNT = 6,
	UNIX_SEND_BYTES = 2 * 1024 * 1024,
	GROUPS_READ_MAX = 1024
};

void sock_list_close(struct sock_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		close(list->fds[i]);
	list->count = 0;
}

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int bind_tcp(const struct addrinfo *ai)
{
	int ret, fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	ret = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (ret == 0 && ai->ai_family == AF_INET6)
		ret = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (ret == 0 && bind(fd, ai->ai_addr, ai->ai_addrlen) < 0)
		ret = -errno;
	if (ret == 0 && listen(fd, SOMAXCONN) < 0)
		ret = -errno;
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

static int bind_each(const struct addrinfo *ai, const char *host, uint16_t port,
	struct sock_list *list, struct err *err)
{
	for (; ai; ai = ai->ai_next) {
		int fd;

		if (list->count == SOCK_LISTEN_MAX)
			return err_set(
				err, EINVAL, "more than %d listening addresses", SOCK_LISTEN_MAX);
		fd = bind_tcp(ai);
		if (!host && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL))
			continue; /* wildcard on a host without IPv6 (or IPv4) */
		if (fd < 0)
			return err_sys(err, -fd, "listen on %s port %u",
				host ? host : "all addresses", port);
		list->fds[list->count++] = fd;
	}
	return 0;
}

int sock_listen_tcp(const char *host, uint16_t port, struct sock_list *list, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
	size_t before = list->count;
	char service[8];
	int ret;

	snprintf(service, sizeof(service), "%u", port);
	ret = getaddrinfo(host, service, &hints, &found);
	if (ret != 0)
		return err_set(
			err, EINVAL, "listen address %s: %s", host ? host : "*", gai_strerror(ret));
	ret = bind_each(found, host, port, list, err);
	freeaddrinfo(found);
	if (ret == 0 && list->count == before)
		ret = err_set(err, EADDRNOTAVAIL, "listen on port %u: no address family works here",
			port);
	while (ret < 0 && list->count > before)
		close(list->fds[--list->count]);
	return ret;
}

static int unix_address(const char *path, struct sockaddr_un *sa, struct err *err)
{
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (!*path || strlen(path) > SOCK_UNIX_PATH_MAX)
		return err_set(err, ENAMETOOLONG, "socket %s: the path must have 1 to %d bytes",
			path, SOCK_UNIX_PATH_MAX);
	memcpy(sa->sun_path, path, strlen(path) + 1);
	return 0;
}

/* 0 = dead socket file, may be removed. */
static int check_stale(const char *path, const struct sockaddr_un *sa, struct err *err)
{
	struct stat st;
	CLEANUP_FD int fd = -1;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "socket %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, EEXIST, "socket %s: exists and is no socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, errno, "socket %s", path);
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno != ECONNREFUSED)
		return err_set(err, EADDRINUSE, "socket %s: in use by a running process", path);
	return 0;
}

static int bind_unix(int fd, const char *path, mode_t mode, struct err *err)
{
	struct sockaddr_un sa;
	mode_t old;
	int ret = unix_address(path, &sa, err);

	if (ret == 0)
		ret = check_stale(path, &sa, err);
	if (ret < 0)
		return ret;
	unlink(path);
	old = umask(0777 & ~mode);
	ret = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(old);
	if (ret == 0 && listen(fd, SOMAXCONN) < 0)
		ret = -errno;
	return ret < 0 ? err_sys(err, -ret, "socket %s", path) : 0;
}

/* Two processes that find the same stale file must not remove each other's new one. */
static int lock_folder(const char *path)
{
	char folder[SOCK_UNIX_PATH_MAX + 2] = ".";
	const char *slash = strrchr(path, '/');
	int fd;

	if (slash && (size_t)(slash - path) < sizeof(folder))
		snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path),
			path);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX) < 0)
		fd_close(&fd);
	return fd;
}

int sock_listen_unix(const char *path, mode_t mode, struct err *err)
{
	CLEANUP_FD int lock = lock_folder(path);
	int ret, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_sys(err, errno, "socket %s", path);
	ret = bind_unix(fd, path, mode, err);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

int sock_connect_unix(const char *path, struct err *err)
{
	struct sockaddr_un sa;
	int fd, ret = unix_address(path, &sa, err);

	if (ret < 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, errno, "socket %s", path);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		ret = errno;
		close(fd);
		return err_sys(err, ret, "socket %s", path);
	}
	return fd;
}

int sock_try_unix(const char *path)
{
	struct sockaddr_un sa;
	int fd, ret = unix_address(path, &sa, NULL);

	if (ret < 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

static void forget_activation(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

int sock_activated(struct sock_list *list)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint64_t want_pid = 0, count = 0;
	bool ours = pid && fds && str_number(pid, 1, INT32_MAX, &want_pid) == 0 &&
		want_pid == (uint64_t)getpid();
	bool valid = ours && str_number(fds, 0, SOCK_LISTEN_MAX - list->count, &count) == 0;

	forget_activation();
	if (!valid)
		return ours ? -EINVAL : 0;
	for (int i = 0; i < (int)count; i++) {
		int fd = FIRST_ACTIVATED + i;

		fcntl(fd, F_SETFD, FD_CLOEXEC);
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		list->fds[list->count++] = fd;
	}
	return (int)count;
}

bool sock_is_listening(int fd)
{
	int yes = 0;
	socklen_t len = sizeof(yes);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) == 0 && yes;
}

bool sock_grow(int fd)
{
	int family = 0;
	socklen_t len = sizeof(family);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0 || family != AF_UNIX)
		return false; /* TCP finds its own sizes */
	return set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, UNIX_SEND_BYTES) == 0 ||
		set_int(fd, SOL_SOCKET, SO_SNDBUF, UNIX_SEND_BYTES) == 0;
}

static void tune(int fd)
{
	if (set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1) < 0)
		return; /* a unix socket */
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
}

void sock_prepare(int fd)
{
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	tune(fd);
}

int sock_accept(int fd)
{
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (client < 0)
		return -errno;
	tune(client);
	return client;
}

static void find_groups(int fd, struct peers_id *id)
{
	gid_t all[GROUPS_READ_MAX];
	socklen_t len = sizeof(all);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, all, &len) < 0)
		return;
	for (size_t i = 0; i < len / sizeof(all[0]) && i < PEERS_GROUPS_MAX; i++)
		id->groups[id->group_count++] = all[i];
}

static void name_unix(int fd, struct sock_peer *ret)
{
	struct ucred cred = {.uid = (uid_t)-1};
	socklen_t len = sizeof(cred);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	ret->local = true;
	ret->id = (struct peers_id){.kind = PEERS_UNIX, .uid = cred.uid, .gid = cred.gid};
	find_groups(fd, &ret->id);
	snprintf(ret->host, sizeof(ret->host), "unix:uid=%u", cred.uid);
	snprintf(ret->name, sizeof(ret->name), "unix:uid=%u,pid=%d", cred.uid, cred.pid);
}

static void name_inet(const struct sockaddr_storage *ss, char *host, char *name, size_t room)
{
	const struct sockaddr_in *in4 = (const void *)ss;
	const struct sockaddr_in6 *in6 = (const void *)ss;
	char text[INET6_ADDRSTRLEN] = "?";

	/* Of a socket for both, as systemd makes them, IPv4 comes as ::ffff:192.0.2.1. */
	bool mapped = ss->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);

	if (ss->ss_family == AF_INET || mapped) {
		inet_ntop(AF_INET,
			mapped ? (const void *)&in6->sin6_addr.s6_addr[12] : &in4->sin_addr, text,
			sizeof(text));
		snprintf(host, room, "%s", text);
		snprintf(name, room, "%s:%u", text, ntohs(mapped ? in6->sin6_port : in4->sin_port));
		return;
	}
	inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
	snprintf(host, room, "%s", text);
	snprintf(name, room, "[%s]:%u", text, ntohs(in6->sin6_port));
}

bool sock_peer(int fd, struct sock_peer *ret)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);
	bool connected = getpeername(fd, (struct sockaddr *)&ss, &len) == 0;

	memset(ret, 0, sizeof(*ret));
	if (!connected) {
		snprintf(ret->name, sizeof(ret->name), "unknown");
	} else if (ss.ss_family == AF_UNIX) {
		name_unix(fd, ret);
	} else if (ss.ss_family == AF_INET || ss.ss_family == AF_INET6) {
		name_inet(&ss, ret->host, ret->name, sizeof(ret->name));
		peers_identify((const struct sockaddr *)&ss, &ret->id);
	} else {
		snprintf(ret->name, sizeof(ret->name), "family %d", ss.ss_family);
	}
	if (!ret->host[0])
		snprintf(ret->host, sizeof(ret->host), "%s", ret->name);
	return connected;
}

void sock_local_name(int fd, char *out, size_t room)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);
	char host[SOCK_NAME_MAX], name[SOCK_NAME_MAX];

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0) {
		snprintf(out, room, "unknown");
	} else if (ss.ss_family == AF_UNIX) {
		snprintf(out, room, "%s", ((struct sockaddr_un *)&ss)->sun_path);
	} else {
		name_inet(&ss, host, name, sizeof(name));
		snprintf(out, room, "%s", name);
	}
}

ssize_t sock_send_fd(int sock, const void *bytes, size_t len, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t r;

	if (fd >= 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = sizeof(control.room);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
	}
	do
		r = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

ssize_t sock_recv_fd(int sock, void *bytes, size_t room, int *ret_fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = bytes, .iov_len = room};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = CMSG_LEN(sizeof(int))}; /* CMSG_SPACE has room for two */
	struct cmsghdr *c;
	ssize_t r;

	*ret_fd = -1;
	do
		r = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return r;
}
