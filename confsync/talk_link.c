/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes and frames of a conversation, over SSH or two descriptors. Everything ends at one deadline.
 * A failure is for good: what was under way is not known, so nothing is sent or received after it.
 */
#include "talk_inner.h"

#include "clock.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

int talk_fail(struct talk *t, int code, const char *why, struct err *err)
{
	t->dead = true;
	return err_set(err, code, "%s: %s", t->peer, why);
}

/* It hung up: its last words, if sshd or its shell had any. */
static int fail_end(struct talk *t, struct err *err)
{
	char text[200] = "";

	t->dead = true;
	if (t->over_ssh)
		ssh_complaint(&t->ssh, text, sizeof(text));
	return err_set(err, ECONNRESET, "%s: it ended the conversation%s%s", t->peer,
		*text ? ": " : "", text);
}

static int fail_with(struct talk *t, int code, struct err *err)
{
	if (code == -ETIMEDOUT)
		return talk_fail(t, ETIMEDOUT, "the time for the conversation is up", err);
	if (code == -EPIPE || code == -ECONNRESET)
		return fail_end(t, err);
	t->dead = true;
	return err_sys(err, -code, "%s: connection lost", t->peer);
}

static int wait_for(struct talk *t, int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (uint64_t now; (now = clock_ms()) < t->until;) {
		int n = poll(&p, 1, (int)MIN_OF(t->until - now, (uint64_t)INT_MAX));

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
	return -ETIMEDOUT;
}

static int write_all(struct talk *t, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		int r = wait_for(t, t->out, POLLOUT);
		ssize_t n = r < 0 ? r : write(t->out, bytes, len);

		if (r < 0)
			return r;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		bytes += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Some bytes, 0 = end. */
static ssize_t read_some(struct talk *t, uint8_t *bytes, size_t len)
{
	for (;;) {
		int r = wait_for(t, t->in, POLLIN);
		ssize_t n = r < 0 ? r : read(t->in, bytes, len);

		if (r < 0)
			return r;
		if (n >= 0)
			return n;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
}

static int put(struct talk *t, const void *bytes, size_t len, struct err *err)
{
	int r;

	if (t->dead)
		return err_set(err, ECONNRESET, "%s: the conversation is over", t->peer);
	r = t->over_ssh ? ssh_write(&t->ssh, bytes, len) : write_all(t, bytes, len);
	if (r < 0)
		return fail_with(t, r, err);
	t->sent += len;
	return 0;
}

int talk_get(struct talk *t, void *bytes, size_t len, struct err *err)
{
	uint8_t *p = bytes;

	if (t->dead)
		return err_set(err, ECONNRESET, "%s: the conversation is over", t->peer);
	while (len > 0) {
		ssize_t n = t->over_ssh ? ssh_read(&t->ssh, p, len) : read_some(t, p, len);

		if (n == 0)
			return fail_end(t, err);
		if (n < 0)
			return fail_with(t, (int)n, err);
		p += n;
		len -= (size_t)n;
		t->received += (uint64_t)n;
	}
	return 0;
}

int talk_put_frame(struct talk *t, enum wire_kind kind, uint8_t *frame, size_t len, struct err *err)
{
	wire_header(kind, (uint32_t)len, frame);
	return put(t, frame, WIRE_HEADER + len, err);
}

int talk_get_header(struct talk *t, enum wire_kind kind, size_t max, uint32_t *len, struct err *err)
{
	uint8_t header[WIRE_HEADER];
	enum wire_kind got;
	int r = talk_get(t, header, sizeof(header), err);

	if (r < 0)
		return r;
	if (wire_parse(header, &got, len) < 0)
		return talk_fail(t, EPROTO, "what it says is not of our protocol", err);
	if (got != kind)
		return talk_fail(t, EPROTO, "it sent a frame of a kind that was not due", err);
	if (*len > max)
		return talk_fail(t, EPROTO, "it sent more than was due", err);
	return 0;
}

struct talk *talk_over(int in, int out, uint64_t until_ms)
{
	struct talk *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	strcpy(t->peer, "peer");
	t->in = in;
	t->out = out;
	t->until = until_ms;
	fcntl(in, F_SETFL, fcntl(in, F_GETFL) | O_NONBLOCK);
	fcntl(out, F_SETFL, fcntl(out, F_GETFL) | O_NONBLOCK);
	signal(SIGPIPE, SIG_IGN); /* pipes know no MSG_NOSIGNAL */
	return t;
}

bool talk_dead(const struct talk *t)
{
	return t->dead;
}

void talk_kill(struct talk *t)
{
	t->dead = true;
}

void talk_count(const struct talk *t, uint64_t *sent, uint64_t *received)
{
	*sent = t->sent;
	*received = t->received;
}
