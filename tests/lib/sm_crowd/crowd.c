/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thousands of peers in one process: every IPv4 address of its network namespace has an rpcbind
 * and, on the port given, a status monitor (UDP). Says "ready" when it listens; at the end of its
 * standard input it prints how many peers were told how often, as JSON, then how many heard a name
 * with a dot and one without, and when the last of these did (CLOCK_MONOTONIC), and ends.
 *
 *   sm_crowd PORT
 *
 * Replies leave from the address that was asked. Peers are told apart by the last two bytes.
 */
#include "buf.h"
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, CALL_MAX = 1200, REPLY_MAX = 28, PEERS = 65536, PROG_AT = 12, XID_BYTES = 4 };
enum { NAME_AT = 40, LONG_NAME = 1, SHORT_NAME = 2, BOTH_NAMES = LONG_NAME | SHORT_NAME };

struct service {
	int fd;
	uint16_t port; /* that of the status monitor */
	bool is_rpcbind;
};

static struct {
	unsigned told[PEERS];
	unsigned asked;
	uint8_t names[PEERS]; /* heard by it: LONG_NAME, SHORT_NAME */
	unsigned complete;    /* peers that heard both, */
	struct timespec last; /* and when the last one did */
	struct mmsghdr in[BATCH], out[BATCH];
	struct iovec in_piece[BATCH], out_piece[BATCH];
	struct sockaddr_in from[BATCH];
	uint8_t call[BATCH][CALL_MAX], reply[BATCH][REPLY_MAX], control[BATCH][64];
} crowd;

static int listen_on(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, room = 32 * 1024 * 1024;

	CHECK(fd >= 0);
	CHECK(setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)) == 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	CHECK(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	return fd;
}

static int receive(int fd)
{
	for (int i = 0; i < BATCH; i++) {
		crowd.in_piece[i] = (struct iovec){crowd.call[i], CALL_MAX};
		crowd.in[i].msg_hdr = (struct msghdr){.msg_name = &crowd.from[i],
			.msg_namelen = sizeof(crowd.from[i]),
			.msg_iov = &crowd.in_piece[i],
			.msg_iovlen = 1,
			.msg_control = crowd.control[i],
			.msg_controllen = sizeof(crowd.control[i])};
	}
	return recvmmsg(fd, crowd.in, BATCH, MSG_DONTWAIT, NULL);
}

/* The address asked becomes the one that answers. */
static uint32_t turn_round(struct msghdr *h)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(h);
	struct in_pktinfo info;

	CHECK(c && c->cmsg_type == IP_PKTINFO);
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	info.ipi_spec_dst = info.ipi_addr;
	info.ipi_ifindex = 0;
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	h->msg_controllen = CMSG_SPACE(sizeof(info));
	return ntohl(info.ipi_addr.s_addr);
}

static void hear(const uint8_t *call, size_t len, uint8_t *names)
{
	size_t n = len >= NAME_AT + 4 ? get_u32(call + NAME_AT) : 0;
	uint8_t before = *names;

	if (n == 0 || n > len - NAME_AT - 4)
		return;
	*names |= memchr(call + NAME_AT + 4, '.', n) ? LONG_NAME : SHORT_NAME;
	if (*names != BOTH_NAMES || before == BOTH_NAMES)
		return;
	crowd.complete++;
	clock_gettime(CLOCK_MONOTONIC, &crowd.last);
}

static size_t answer(const struct service *s, int i, uint32_t address)
{
	static const uint32_t accepted[] = {0, 1, 0, 0, 0, 0};
	uint8_t *r = crowd.reply[i];

	for (size_t k = 0; k < 6; k++)
		set_u32(r + 4 * k, accepted[k]);
	memcpy(r, crowd.call[i], XID_BYTES);
	if (!s->is_rpcbind) {
		crowd.told[address & 0xffff]++;
		hear(crowd.call[i], crowd.in[i].msg_len, &crowd.names[address & 0xffff]);
		return 24;
	}
	crowd.asked++;
	set_u32(r + 24, s->port);
	return 28;
}

static bool serve(const struct service *s)
{
	int n = receive(s->fd), sent = 0;

	for (int i = 0; i < n; i++) {
		uint32_t address = turn_round(&crowd.in[i].msg_hdr);

		CHECK(crowd.in[i].msg_len >= 40);
		crowd.out_piece[i] = (struct iovec){crowd.reply[i], answer(s, i, address)};
		crowd.out[i].msg_hdr = crowd.in[i].msg_hdr;
		crowd.out[i].msg_hdr.msg_iov = &crowd.out_piece[i];
	}
	while (sent < n) {
		int k = sendmmsg(s->fd, crowd.out + sent, (unsigned)(n - sent), 0);

		CHECK(k > 0 || errno == EAGAIN || errno == ECONNREFUSED || errno == EINTR);
		sent += k > 0 ? k : 0;
	}
	return n > 0;
}

static void report(void)
{
	unsigned peers = 0, total = 0, most = 0, least = ~0U;

	for (int i = 0; i < PEERS; i++) {
		unsigned n = crowd.told[i];

		if (n == 0)
			continue;
		peers++;
		total += n;
		most = n > most ? n : most;
		least = n < least ? n : least;
	}
	printf("{\"asked\": %u, \"peers\": %u, \"told\": %u, \"least\": %u, \"most\": %u}\n",
		crowd.asked, peers, total, peers ? least : 0, most);
	printf("{\"complete\": %u, \"last\": %jd.%09ld}\n", crowd.complete,
		(intmax_t)crowd.last.tv_sec, crowd.last.tv_nsec);
}

int main(int argc, char **argv)
{
	int port = argc == 2 ? atoi(argv[1]) : 0;
	struct service rpcbind = {listen_on(111), (uint16_t)port, true};
	struct service statd = {listen_on((uint16_t)port), (uint16_t)port, false};
	struct pollfd p[] = {{rpcbind.fd, POLLIN, 0}, {statd.fd, POLLIN, 0}, {0, POLLIN, 0}};

	CHECK(port > 0 && port <= UINT16_MAX);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		char byte;

		CHECK(poll(p, 3, -1) > 0);
		while (serve(&rpcbind) | serve(&statd))
			continue;
		if (p[2].revents && read(0, &byte, 1) == 0)
			break;
	}
	report();
	return 0;
}
