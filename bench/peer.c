/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Client side of the handshake, as short as the protocol allows; see peer.h. */
#include "peer.h"

#include "buf.h"
#include "nbd.h"
#include "util.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int peer_send(int fd, const void *bytes, uint64_t len)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= (uint64_t)n;
	}
	return 0;
}

int peer_receive(int fd, void *bytes, uint64_t len)
{
	char *p = bytes;

	while (len > 0) {
		ssize_t n = recv(fd, p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= (uint64_t)n;
	}
	return 0;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		fd_close(&fd);
	return fd;
}

static int connect_tcp(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai;
	int fd, one = 1;

	if (getaddrinfo(host, port, &hints, &ai) != 0)
		return -1;
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) < 0)
		fd_close(&fd);
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	freeaddrinfo(ai);
	return fd;
}

static int send_option(int fd, uint32_t option, const void *data, size_t len)
{
	uint8_t head[NBD_OPTION_BYTES + NBD_STRING_MAX + 8];

	set_u64(head, NBD_MAGIC_OPTION);
	set_u32(head + 8, option);
	set_u32(head + 12, (uint32_t)len);
	memcpy(head + NBD_OPTION_BYTES, data, len);
	return peer_send(fd, head, NBD_OPTION_BYTES + len);
}

/* Reads one option reply; INFO_EXPORT fills P. Returns its type, 0 on a lost connection. */
static uint32_t read_reply(struct peer *p)
{
	uint8_t head[20], data[8192];
	uint32_t len;

	if (peer_receive(p->fd, head, sizeof(head)) < 0)
		return 0;
	len = get_u32(head + 16);
	if (len > sizeof(data) || peer_receive(p->fd, data, len) < 0)
		return 0;
	if (get_u32(head + 12) == NBD_REP_INFO && len == 12 && get_u16(data) == NBD_INFO_EXPORT) {
		p->size = get_u64(data + 2);
		p->flags = get_u16(data + 10);
	}
	return get_u32(head + 12);
}

static int go(struct peer *p, const char *name)
{
	uint8_t data[NBD_STRING_MAX + 6];
	size_t len = strlen(name);
	uint32_t type;

	set_u32(data, (uint32_t)len);
	memcpy(data + 4, name, len);
	set_u16(data + 4 + len, 0);
	if (send_option(p->fd, NBD_OPT_GO, data, len + 6) < 0)
		return -1;
	do
		type = read_reply(p);
	while (type == NBD_REP_INFO);
	return type == NBD_REP_ACK ? 0 : -1;
}

static int shake_hands(struct peer *p, const struct peer_address *a)
{
	uint8_t greeting[NBD_GREETING_BYTES],
		flags[4] = {0, 0, 0, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES};

	if (peer_receive(p->fd, greeting, sizeof(greeting)) < 0 || peer_send(p->fd, flags, 4) < 0)
		return -1;
	if (a->structured &&
		(send_option(p->fd, NBD_OPT_STRUCTURED_REPLY, "", 0) < 0 ||
			read_reply(p) != NBD_REP_ACK))
		return -1;
	return go(p, a->export_name);
}

int peer_open(struct peer *p, const struct peer_address *a)
{
	*p = (struct peer){0};
	p->fd = a->unix_path ? connect_unix(a->unix_path) : connect_tcp(a->host, a->port);
	if (p->fd < 0) {
		perror("connect");
		return -1;
	}
	if (shake_hands(p, a) < 0) {
		fprintf(stderr, "handshake failed\n");
		fd_close(&p->fd);
		return -1;
	}
	return 0;
}

void peer_close(struct peer *p)
{
	struct nbd_request disc = {.type = NBD_CMD_DISC};
	uint8_t head[NBD_REQUEST_BYTES];

	if (p->fd < 0)
		return;
	peer_send(p->fd, head, nbd_request_encode(head, false, &disc));
	fd_close(&p->fd);
}
