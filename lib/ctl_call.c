/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tools' side of the control protocol: ask, wait, read one line. */
#include "ctl.h"

#include "clock.h"
#include "sock.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static int send_line(int fd, json_t *request)
{
	CLEANUP_FREE char *text = NULL;
	size_t len, sent = 0;

	json_object_set_new(request, "v", json_integer(CTL_VERSION));
	text = json_dumps(request, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	len = strlen(text) + 1;
	text[len - 1] = '\n';
	while (sent < len) {
		ssize_t n = sock_send_fd(fd, text + sent, len - sent, -1);

		if (n < 0)
			return (int)n;
		sent += (size_t)n;
	}
	return 0;
}

static int receive_some(int fd, struct buf *in, uint64_t until)
{
	uint64_t now = clock_ms();
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t *room = buf_reserve(in, 4096);
	ssize_t n;

	if (!room)
		return -EMSGSIZE;
	if (now >= until || poll(&p, 1, (int)(until - now)) == 0)
		return -ETIMEDOUT;
	n = recv(fd, room, 4096, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	buf_added(in, (size_t)n);
	return 0;
}

/* Waits for a line that answers (events are passed over). */
static int receive_answer(int fd, struct buf *in, uint64_t until, json_t **ret)
{
	for (;;) {
		const char *p = (const char *)buf_bytes(in);
		const char *end = buf_len(in) ? memchr(p, '\n', buf_len(in)) : NULL;
		json_t *msg;
		int r;

		if (!end) {
			if ((r = receive_some(fd, in, until)) < 0)
				return r;
			continue;
		}
		msg = json_loadb(p, (size_t)(end - p), 0, NULL);
		buf_take(in, (size_t)(end - p) + 1);
		if (!json_is_object(msg) || !json_is_boolean(json_object_get(msg, "ok"))) {
			bool event = json_object_get(msg, "event");

			json_decref(msg);
			if (!event)
				return -EPROTO;
			continue;
		}
		*ret = msg;
		return 0;
	}
}

int ctl_ask(const char *path, json_t *request, int timeout_ms, json_t **ret, struct err *err)
{
	CLEANUP_FD int fd = sock_connect_unix(path, err);
	struct buf in;
	int r;

	if (fd < 0) {
		json_decref(request);
		return fd;
	}
	buf_init(&in, CTL_ANSWER_MAX);
	r = send_line(fd, request);
	json_decref(request);
	/* A refusal may already be there although the request could not be sent. */
	if (r == 0 || r == -EPIPE)
		r = receive_answer(fd, &in, clock_ms() + (uint64_t)timeout_ms, ret);
	buf_done(&in);
	return r < 0 ? err_sys(err, -r, "%s: no answer", path) : 0;
}

int ctl_refusal(const json_t *answer, struct err *err)
{
	const char *text = json_string_value(json_object_get(answer, "error"));

	if (json_is_true(json_object_get(answer, "ok")))
		return 0;
	return err_set(err, EREMOTEIO, "%s", text ? text : "refused without a reason");
}

int ctl_call(const char *path, json_t *request, int timeout_ms, json_t **ret, struct err *err)
{
	json_t *answer = NULL;
	int r = ctl_ask(path, request, timeout_ms, &answer, err);

	if (r == 0)
		r = ctl_refusal(answer, err);
	if (r < 0)
		json_decref(answer);
	else
		*ret = answer;
	return r;
}
