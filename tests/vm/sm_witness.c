/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Peers of sm-notify in a guest that write down, in the log of a dm-log-writes device, when they
 * were told something:
 *
 *   sm_witness DEVICE SILENT ADDRESS ...
 *
 * Each ADDRESS has an rpcbind that is a status monitor, too (UDP). A call becomes a mark before it
 * is answered: asked/ADDRESS, told/ADDRESS/NAME/STATE, or heard/... if NAME is one of SILENT
 * ("x,y") and gets no answer. So the log has the mark of a call before all that is done because of
 * the answer, and lacks before it whatever was not durable by then. The marks are printed as well,
 * behind a line "ready". Ends when it is killed.
 */
#include "buf.h"
#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEERS_MAX = 32, RPCBIND_PORT = 111, RPCBIND = 100000, CALL_MIN = 40, REPLY_MAX = 28 };

static struct {
	const char *device, *silent;
	int control; /* of the device mapper */
} witness;

static void mark(const char *text)
{
	struct {
		struct dm_ioctl head;
		struct dm_target_msg target;
		char text[400];
	} m = {.head = {.version = {DM_VERSION_MAJOR, 0, 0},
		       .data_size = sizeof(m),
		       .data_start = sizeof(m.head)}};

	snprintf(m.head.name, sizeof(m.head.name), "%s", witness.device);
	snprintf((char *)&m + sizeof(m.head) + sizeof(m.target), sizeof(m.text), "mark %s", text);
	CHECK(ioctl(witness.control, DM_TARGET_MSG, &m) == 0);
	printf("%s\n", text);
	fflush(stdout);
}

static bool is_silent(const char *name)
{
	size_t len = strlen(name);

	for (const char *p = witness.silent; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == len && memcmp(p, name, len) == 0)
			return true;
	return false;
}

/* Is it to be answered? */
static bool take_notice(const char *address, const uint8_t *call, size_t len)
{
	uint32_t size = get_u32(call + CALL_MIN), padded = (size + 3) & ~3U;
	char name[128], text[300];
	bool silent;

	CHECK(size < sizeof(name) && len == CALL_MIN + 4 + padded + 4);
	memcpy(name, call + CALL_MIN + 4, size);
	name[size] = '\0';
	silent = is_silent(name);
	snprintf(text, sizeof(text), "%s/%s/%s/%u", silent ? "heard" : "told", address, name,
		get_u32(call + CALL_MIN + 4 + padded));
	mark(text);
	return !silent;
}

static void serve(int fd, const char *address)
{
	uint8_t call[1200], reply[REPLY_MAX] = {[7] = 1};
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t len = recvfrom(fd, call, sizeof(call), 0, (struct sockaddr *)&from, &from_len);
	bool is_rpcbind;
	char text[100];

	CHECK(len >= CALL_MIN);
	is_rpcbind = get_u32(call + 12) == RPCBIND;
	if (is_rpcbind) {
		snprintf(text, sizeof(text), "asked/%s", address);
		mark(text);
		set_u32(reply + 24, RPCBIND_PORT);
	} else if (!take_notice(address, call, (size_t)len)) {
		return;
	}
	memcpy(reply, call, 4);
	/* Who asked may be gone by now. */
	sendto(fd, reply, is_rpcbind ? REPLY_MAX : REPLY_MAX - 4, 0, (struct sockaddr *)&from,
		from_len);
}

static int listen_on(const char *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(RPCBIND_PORT)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && inet_pton(AF_INET, address, &at.sin_addr) == 1);
	CHECK(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	return fd;
}

int main(int argc, char **argv)
{
	struct pollfd p[PEERS_MAX];
	int count = argc - 3;

	CHECK(count > 0 && count <= PEERS_MAX);
	witness.device = argv[1];
	witness.silent = argv[2];
	witness.control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	CHECK(witness.control >= 0);
	for (int i = 0; i < count; i++)
		p[i] = (struct pollfd){listen_on(argv[i + 3]), POLLIN, 0};
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		CHECK(poll(p, (nfds_t)count, -1) > 0);
		for (int i = 0; i < count; i++)
			if (p[i].revents)
				serve(p[i].fd, argv[i + 3]);
	}
}
