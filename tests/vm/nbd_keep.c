/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps an export as a block device of this kernel, through any number of ends of its server:
 *
 *   nbd_keep NUMBER URI CONNECTIONS [SECONDS]
 *
 * libnbd shakes hands, and the kernel gets the sockets by netlink. For each one that it reports
 * dead a new one is made, and the device takes the size the export has then. Meanwhile requests
 * wait; those already sent are sent again when TIMEOUT is over. This is "-persist" of nbd-client,
 * which the one of Debian 12 ignores. It runs until it is killed; the device then stays as it is.
 * Requests wait SECONDS, or DEAD_TIMEOUT, for a new connection.
 */
#include <err.h>
#include <errno.h>
#include <libnbd.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <linux/nbd.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TIMEOUT = 5, DEAD_TIMEOUT = 60, BLOCK = 512 }; /* seconds, seconds, bytes */

struct message {
	struct nlmsghdr head;
	struct genlmsghdr what;
	uint8_t attributes[4096 - sizeof(struct nlmsghdr) - sizeof(struct genlmsghdr)];
};

/* Attributes. A nested one is put empty and closed when what belongs into it has been put. */

static void message_init(struct message *m, unsigned family, uint8_t command)
{
	memset(m, 0, sizeof(*m));
	m->head.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN;
	m->head.nlmsg_type = (uint16_t)family;
	m->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	m->what.cmd = command;
	m->what.version = NBD_GENL_VERSION;
}

static struct nlattr *put(struct message *m, unsigned type, const void *data, size_t len)
{
	struct nlattr *a = (struct nlattr *)(void *)((uint8_t *)m + m->head.nlmsg_len);

	if (m->head.nlmsg_len + NLA_HDRLEN + NLA_ALIGN(len) > sizeof(*m))
		errx(1, "too many connections");
	a->nla_type = (uint16_t)type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + len);
	if (len)
		memcpy(a + 1, data, len);
	m->head.nlmsg_len += (uint32_t)NLA_ALIGN(a->nla_len);
	return a;
}

static void put_u64(struct message *m, unsigned type, uint64_t value)
{
	put(m, type, &value, sizeof(value));
}

static void close_nest(struct message *m, struct nlattr *a)
{
	a->nla_len = (uint16_t)((uint8_t *)m + m->head.nlmsg_len - (uint8_t *)a);
}

/* The attribute of this type among those that begin at A and take LEN bytes; NULL: none. */
static const struct nlattr *find(const struct nlattr *a, size_t len, unsigned type)
{
	while (len >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= len) {
		size_t step = (size_t)NLA_ALIGN(a->nla_len);

		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		if (step >= len)
			break;
		len -= step;
		a = (const void *)((const uint8_t *)a + step);
	}
	return NULL;
}

static const struct nlattr *find_in(const struct nlattr *outer, unsigned type)
{
	return outer ? find(outer + 1, outer->nla_len - NLA_HDRLEN, type) : NULL;
}

static const struct nlattr *find_first(const struct message *m, unsigned type)
{
	return find(
		(const void *)m->attributes, m->head.nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN, type);
}

static uint32_t value_of(const struct nlattr *a)
{
	uint32_t value = 0;

	if (!a)
		errx(1, "the answer of the kernel lacks a part");
	memcpy(&value, a + 1, a->nla_len == NLA_HDRLEN + 2 ? 2 : sizeof(value));
	return value;
}

/* Talking to the kernel. */

struct kernel {
	int commands, events; /* netlink sockets */
	unsigned family;      /* number of "nbd" */
	uint64_t patience;    /* seconds that requests wait for a new connection */
};

static void receive(int fd, struct message *m)
{
	if (recv(fd, m, sizeof(*m), 0) < (ssize_t)NLMSG_HDRLEN)
		err(1, "netlink");
}

/* 0 or -errno. *ANSWER, if wanted, is the last message before the kernel's "done". */
static int ask(struct kernel *k, struct message *m, struct message *answer)
{
	struct message got;

	if (send(k->commands, m, m->head.nlmsg_len, 0) < 0)
		err(1, "netlink");
	for (;;) {
		receive(k->commands, &got);
		if (got.head.nlmsg_type == NLMSG_ERROR)
			return ((struct nlmsgerr *)NLMSG_DATA(&got.head))->error;
		if (answer)
			*answer = got;
	}
}

static void kernel_init(struct kernel *k)
{
	struct sockaddr_nl self = {.nl_family = AF_NETLINK};
	struct message m, answer = {0};
	const struct nlattr *groups;
	uint32_t group;

	k->commands = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	k->events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	message_init(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	put(&m, CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME, sizeof(NBD_GENL_FAMILY_NAME));
	errno = -ask(k, &m, &answer);
	if (errno)
		err(1, "no nbd in this kernel");
	k->family = value_of(find_first(&answer, CTRL_ATTR_FAMILY_ID));
	groups = find_first(&answer, CTRL_ATTR_MCAST_GROUPS);
	group = value_of(find_in(find_in(groups, 1), CTRL_ATTR_MCAST_GRP_ID));
	/* Without an address of its own it would be taken for the sender, and hear nothing. */
	if (bind(k->events, (struct sockaddr *)&self, sizeof(self)) < 0 ||
		setsockopt(k->events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) <
			0)
		err(1, "cannot listen for dead connections");
}

/* Waits until the kernel reports a dead connection of this device. */
static void wait_for_death(struct kernel *k, uint32_t number)
{
	struct message m;

	do {
		receive(k->events, &m);
	} while (m.what.cmd != NBD_CMD_LINK_DEAD ||
		value_of(find_first(&m, NBD_ATTR_INDEX)) != number);
}

/* The export. */

static struct nbd_handle *shake_hands(const char *uri)
{
	struct nbd_handle *h = nbd_create();

	if (!h)
		errx(1, "%s", nbd_get_error());
	nbd_set_request_structured_replies(h, false); /* the kernel knows simple ones only */
	if (nbd_connect_uri(h, uri) == 0)
		return h;
	warnx("%s", nbd_get_error());
	nbd_close(h);
	return NULL;
}

static uint64_t flags_of(struct nbd_handle *h)
{
	uint64_t flags = NBD_FLAG_HAS_FLAGS;

	flags |= nbd_is_read_only(h) > 0 ? NBD_FLAG_READ_ONLY : 0;
	flags |= nbd_can_flush(h) > 0 ? NBD_FLAG_SEND_FLUSH : 0;
	flags |= nbd_can_fua(h) > 0 ? NBD_FLAG_SEND_FUA : 0;
	flags |= nbd_can_trim(h) > 0 ? NBD_FLAG_SEND_TRIM : 0;
	flags |= nbd_can_multi_conn(h) > 0 ? NBD_FLAG_CAN_MULTI_CONN : 0;
	return flags;
}

/* Gives the kernel the sockets of these handshakes; it holds them by itself then. */
static int configure(
	struct kernel *k, uint8_t command, uint32_t number, struct nbd_handle **h, int count)
{
	struct nlattr *sockets, *item;
	struct message m;

	message_init(&m, k->family, command);
	put(&m, NBD_ATTR_INDEX, &number, sizeof(number));
	put_u64(&m, NBD_ATTR_SIZE_BYTES, (uint64_t)nbd_get_size(h[0]));
	put_u64(&m, NBD_ATTR_BLOCK_SIZE_BYTES, BLOCK);
	put_u64(&m, NBD_ATTR_TIMEOUT, TIMEOUT);
	put_u64(&m, NBD_ATTR_DEAD_CONN_TIMEOUT, k->patience);
	put_u64(&m, NBD_ATTR_SERVER_FLAGS, flags_of(h[0]));
	sockets = put(&m, NBD_ATTR_SOCKETS | NLA_F_NESTED, NULL, 0);
	for (int i = 0; i < count; i++) {
		uint32_t fd = (uint32_t)nbd_aio_get_fd(h[i]);

		item = put(&m, NBD_SOCK_ITEM | NLA_F_NESTED, NULL, 0);
		put(&m, NBD_SOCK_FD, &fd, sizeof(fd));
		close_nest(&m, item);
	}
	close_nest(&m, sockets);
	return ask(k, &m, NULL);
}

static void connect_device(struct kernel *k, uint32_t number, const char *uri, int count)
{
	struct nbd_handle *h[64];

	if (count < 1 || count > (int)(sizeof(h) / sizeof(h[0])))
		errx(1, "1 to 64 connections");
	for (int i = 0; i < count; i++) {
		h[i] = shake_hands(uri);
		if (!h[i])
			exit(1);
	}
	errno = -configure(k, NBD_CMD_CONNECT, number, h, count);
	if (errno)
		err(1, "connecting");
	printf("connected, %lld bytes\n", (long long)nbd_get_size(h[0]));
	for (int i = 0; i < count; i++)
		nbd_close(h[i]);
}

static void reconnect(struct kernel *k, uint32_t number, const char *uri)
{
	struct nbd_handle *h;
	int rc;

	while (!(h = shake_hands(uri)))
		usleep(100000);
	rc = configure(k, NBD_CMD_RECONFIGURE, number, &h, 1);
	printf("connected again, %lld bytes: %s\n", (long long)nbd_get_size(h), strerror(-rc));
	nbd_close(h);
}

int main(int argc, char **argv)
{
	struct kernel k;
	uint32_t number;

	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: nbd_keep NUMBER URI CONNECTIONS [SECONDS]\n");
		return 2;
	}
	setlinebuf(stdout);
	number = (uint32_t)atoi(argv[1]);
	kernel_init(&k);
	k.patience = argc == 5 ? strtoull(argv[4], NULL, 10) : DEAD_TIMEOUT;
	connect_device(&k, number, argv[2], atoi(argv[3]));
	for (;;) {
		wait_for_death(&k, number);
		reconnect(&k, number, argv[2]);
	}
}
