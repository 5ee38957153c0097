/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Echo requests to a few addresses, and the first answer that is ours: it comes from a target and
 * has the random bytes we sent. One socket for each family, made when there is a target of it.
 */
#include "ping.h"

#include "clock.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

enum { TARGETS_MAX = 16, TOKEN = 16, FOUR = 0, SIX = 1 };

struct packet {
	uint8_t type, code;
	uint16_t checksum; /* the kernel's business with sockets for everybody, and with IPv6 */
	uint16_t id, sequence;
	uint8_t token[TOKEN];
};

struct target {
	struct sockaddr_storage to;
	socklen_t len;
	int family; /* FOUR, SIX */
};

struct ping {
	struct target targets[TARGETS_MAX];
	size_t count;
	int fds[2];
	bool raw[2];
	uint8_t token[TOKEN];
	uint16_t sequence;
};

static bool parse(const char *text, struct target *ret)
{
	struct sockaddr_in *four = (struct sockaddr_in *)(void *)&ret->to;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&ret->to;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		ret->len = sizeof(*four);
		ret->family = FOUR;
		return true;
	}
	six->sin6_family = AF_INET6;
	ret->len = sizeof(*six);
	ret->family = SIX;
	return inet_pton(AF_INET6, text, &six->sin6_addr) == 1;
}

static int open_socket(struct ping *p, int family)
{
	int domain = family == FOUR ? AF_INET : AF_INET6;
	int protocol = family == FOUR ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;

	if (p->fds[family] >= 0)
		return 0;
	p->fds[family] = socket(domain, SOCK_DGRAM | flags, protocol);
	p->raw[family] = p->fds[family] < 0;
	if (p->raw[family])
		p->fds[family] = socket(domain, SOCK_RAW | flags, protocol);
	return p->fds[family] < 0 ? -errno : 0;
}

static int prepare(struct ping *p, const struct key_texts *targets, struct err *err)
{
	for (size_t i = 0; i < targets->count && p->count < TARGETS_MAX; i++) {
		struct target *t = &p->targets[p->count];
		int ret;

		if (!parse(targets->items[i], t))
			return err_set(
				err, EINVAL, "ping: '%.64s' is no address", targets->items[i]);
		ret = open_socket(p, t->family);
		if (ret < 0)
			return err_sys(err, -ret, "ping: a socket for ICMP");
		p->count++;
	}
	if (getrandom(p->token, sizeof(p->token), 0) != sizeof(p->token))
		return err_sys(err, errno, "ping: random bytes");
	return 0;
}

/* RFC 1071 */
static uint16_t checksum(const struct packet *p)
{
	const uint8_t *bytes = (const uint8_t *)p;
	uint32_t sum = 0;

	for (size_t i = 0; i < sizeof(*p); i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void ask_all(struct ping *p)
{
	p->sequence++;
	for (size_t i = 0; i < p->count; i++) {
		const struct target *t = &p->targets[i];
		struct packet q = {.type = t->family == FOUR ? ICMP_ECHO : ICMP6_ECHO_REQUEST,
			.sequence = htons(p->sequence)};

		memcpy(&q.id, p->token, sizeof(q.id));
		memcpy(q.token, p->token, sizeof(q.token));
		if (t->family == FOUR)
			q.checksum = checksum(&q);
		/* What cannot be sent has no answer. */
		if (sendto(p->fds[t->family], &q, sizeof(q), 0, (const void *)&t->to, t->len) < 0)
			continue;
	}
}

static bool is_target(const struct ping *p, const struct sockaddr_storage *from, int family)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct sockaddr_in *a4 = (const void *)&p->targets[i].to;
		const struct sockaddr_in6 *a6 = (const void *)a4;
		const struct sockaddr_in *b4 = (const void *)from;
		const struct sockaddr_in6 *b6 = (const void *)from;

		if (p->targets[i].family != family)
			continue;
		if (family == FOUR ? a4->sin_addr.s_addr == b4->sin_addr.s_addr
				   : IN6_ARE_ADDR_EQUAL(&a6->sin6_addr, &b6->sin6_addr))
			return true;
	}
	return false;
}

/* Looks at all that has arrived. */
static bool has_answer(struct ping *p, int family)
{
	uint8_t bytes[256];
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	ssize_t n;

	while ((n = recvfrom(p->fds[family], bytes, sizeof(bytes), 0, (void *)&from, &len)) >= 0) {
		/* Raw sockets of IPv4 have the IP header too. */
		size_t skip = p->raw[family] && family == FOUR && n > 0 ? (bytes[0] & 15U) * 4U : 0;
		struct packet a;

		len = sizeof(from);
		if ((size_t)n < skip + sizeof(a))
			continue;
		memcpy(&a, bytes + skip, sizeof(a));
		if (a.type == (family == FOUR ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) &&
			memcmp(a.token, p->token, TOKEN) == 0 && is_target(p, &from, family))
			return true;
	}
	return false;
}

static bool wait_for_answer(struct ping *p, uint64_t until)
{
	struct pollfd fds[2] = {
		{.fd = p->fds[FOUR], .events = POLLIN}, {.fd = p->fds[SIX], .events = POLLIN}};

	for (uint64_t now; (now = clock_ms()) < until;) {
		poll(fds, 2, (int)(until - now));
		if ((p->fds[FOUR] >= 0 && has_answer(p, FOUR)) ||
			(p->fds[SIX] >= 0 && has_answer(p, SIX)))
			return true;
	}
	return false;
}

int ping_any(const struct key_texts *targets, uint64_t wait_ms, struct err *err)
{
	struct ping p = {.fds = {-1, -1}};
	uint64_t end = clock_ms() + wait_ms;
	int ret = targets->count ? prepare(&p, targets, err) : 0;
	bool answered = targets->count == 0;

	while (ret == 0 && !answered && clock_ms() < end) {
		ask_all(&p);
		answered = wait_for_answer(&p, MIN_OF(end, clock_ms() + PING_EVERY_MS));
	}
	fd_close(&p.fds[FOUR]);
	fd_close(&p.fds[SIX]);
	if (ret == 0 && !answered)
		return err_set(err, EHOSTUNREACH, "none of the ping targets answers");
	return ret;
}
