/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One control connection: lines in, lines out, descriptors beside them. The listening side is in
 * ctl_server.c, the blocking client of the tools in ctl_call.c.
 */
#include "ctl.h"

#include "sock.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { RECV_MAX = 16 * 1024, OUT_LIMIT = CTL_ANSWER_MAX };

struct ctl_out {
	struct ctl_out *next;
	char *text;
	size_t len, sent;
	uint64_t after; /* of the gate */
	int fd;
};

static void pop_out(struct ctl_conn *c)
{
	struct ctl_out *o = c->out;

	c->out = o->next;
	if (!c->out)
		c->out_last = &c->out;
	c->queued -= o->len;
	fd_close(&o->fd);
	free(o->text);
	free(o);
}

void ctl_conn_done(struct ctl_conn *c)
{
	if (c->fd < 0)
		return;
	reactor_remove(c->reactor, &c->watch);
	while (c->out)
		pop_out(c);
	for (unsigned i = 0; i < c->fds_count; i++)
		close(c->fds[i]);
	c->fds_count = 0;
	buf_done(&c->in);
	fd_close(&c->fd);
}

static void close_conn(struct ctl_conn *c)
{
	ctl_conn_done(c);
	c->ops->closed(c);
}

/* Paused, and the peer has left: nothing is watched until ctl_resume(). */
static bool is_left_alone(const struct ctl_conn *c)
{
	return !c->watch.fn;
}

static bool is_full(const struct ctl_conn *c)
{
	return c->patient && c->queued > CTL_HOLD;
}

static bool is_gated(const struct ctl_conn *c)
{
	return c->out && c->gate && c->out->after > c->gate->settled;
}

/* Closing waits for the socket to take what is queued; unread input must not keep waking us. */
static void watch_what_matters(struct ctl_conn *c)
{
	uint32_t in = c->paused || c->closing || is_full(c) ? 0 : EPOLLIN;
	uint32_t out = (c->out || c->closing) && !is_gated(c) ? EPOLLOUT : 0;

	if (!is_left_alone(c))
		reactor_change(c->reactor, &c->watch, in | out);
}

/* The peer takes no more. What it has sent before is still read, to the end. */
static void give_up_sending(struct ctl_conn *c)
{
	while (c->out)
		pop_out(c);
	shutdown(c->fd, SHUT_RDWR);
}

void ctl_send_queued(struct ctl_conn *c)
{
	while (c->out && !is_gated(c)) {
		struct ctl_out *o = c->out;
		ssize_t n = sock_send_fd(c->fd, o->text + o->sent, o->len - o->sent, o->fd);

		if (n == -EAGAIN)
			break;
		if (n < 0) {
			give_up_sending(c);
			break;
		}
		fd_close(&o->fd); /* travels with the first byte */
		o->sent += (size_t)n;
		if (o->sent == o->len)
			pop_out(c);
	}
	watch_what_matters(c);
}

/* Takes TEXT, LEN bytes with room for one more, and FD. */
static int send_line(struct ctl_conn *c, char *text, size_t len, int fd)
{
	struct ctl_out *o = calloc(1, sizeof(*o));

	if (!o || !text || c->fd < 0) {
		free(o);
		free(text);
		fd_close(&fd);
		return -ENOMEM;
	}
	o->len = len + 1;
	text[len] = '\n'; /* replaces the final zero byte */
	o->text = text;
	o->fd = fd;
	o->after = c->gate ? c->gate->wanted : 0;
	*c->out_last = o;
	c->out_last = &o->next;
	c->queued += o->len;
	/*
	 * A peer that is dead, or reads nothing, is closed by the reading side; here nothing is
	 * freed under the caller.
	 */
	if (c->out == o)
		ctl_send_queued(c);
	if (c->queued > OUT_LIMIT)
		give_up_sending(c);
	return 0;
}

int ctl_send(struct ctl_conn *c, json_t *msg, int fd)
{
	char *text = NULL;

	if (msg && json_object_set_new(msg, "v", json_integer(CTL_VERSION)) == 0)
		text = json_dumps(msg, JSON_COMPACT);
	json_decref(msg);
	return send_line(c, text, text ? strlen(text) : 0, fd);
}

int ctl_send_text(struct ctl_conn *c, const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy)
		memcpy(copy, text, len);
	return send_line(c, copy, len, -1);
}

/* A text that was cut may end inside a character, and names are bytes: JSON takes neither. */
int ctl_send_error(struct ctl_conn *c, const char *text)
{
	char line[2 * ERR_TEXT_MAX];

	str_printable(line, sizeof(line), text, strlen(text));
	return ctl_send(c, json_pack("{s:b, s:s}", "ok", 0, "error", line), -1);
}

json_t *ctl_ok(void)
{
	return json_pack("{s:b}", "ok", 1);
}

const char *ctl_command(struct ctl_conn *c, json_t *msg)
{
	const char *cmd = json_string_value(json_object_get(msg, "cmd"));
	json_int_t version = json_integer_value(json_object_get(msg, "v"));

	if (version != CTL_VERSION) {
		ctl_send_error(c, "control protocol: this daemon speaks version 1 (\"v\": 1)");
		return NULL;
	}
	if (!cmd)
		ctl_send_error(c, "control protocol: a request needs a \"cmd\"");
	return cmd;
}

/* Requests of a peer that has left are carried out like those of any other. */
static bool has_unread(const struct ctl_conn *c)
{
	int bytes = 0;

	return buf_len(&c->in) > 0 || (ioctl(c->fd, FIONREAD, &bytes) == 0 && bytes > 0);
}

static void ready(struct reactor_watch *w, uint32_t events);

static int take_fd(struct ctl_conn *c)
{
	int fd;

	if (c->fds_count == 0)
		return -1;
	fd = c->fds[0];
	memmove(c->fds, c->fds + 1, --c->fds_count * sizeof(int));
	return fd;
}

static void handle_line(struct ctl_conn *c, const char *line, size_t len)
{
	json_error_t error;
	json_t *msg = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	int fd = -1;

	if (!json_is_object(msg)) {
		json_decref(msg);
		c->closing = true; /* out of step: nothing behind it can be trusted */
		ctl_send_error(c, "control protocol: a line must be one JSON object");
		return;
	}
	if (json_is_true(json_object_get(msg, "fd")))
		fd = take_fd(c);
	c->ops->message(c, msg, fd);
	json_decref(msg);
}

static void handle_lines(struct ctl_conn *c)
{
	while (c->fd >= 0 && !c->closing && !c->paused && !is_full(c)) {
		const char *p = (const char *)buf_bytes(&c->in), *end;

		end = buf_len(&c->in) ? memchr(p, '\n', buf_len(&c->in)) : NULL;
		if (!end)
			return;
		handle_line(c, p, (size_t)(end - p));
		if (c->fd >= 0)
			buf_take(&c->in, (size_t)(end - p) + 1);
	}
}

void ctl_pause(struct ctl_conn *c)
{
	c->paused = true;
	watch_what_matters(c);
}

void ctl_resume(struct ctl_conn *c)
{
	if (!c->paused || c->fd < 0)
		return;
	c->paused = false;
	if (is_left_alone(c) && reactor_add(c->reactor, &c->watch, c->fd, EPOLLIN, ready) < 0)
		return; /* without memory: closed with the daemon */
	handle_lines(c);
	if (c->fd >= 0)
		watch_what_matters(c);
}

/* 1 = received, 0 = nothing there, -1 = gone or out of bounds. */
static int receive(struct ctl_conn *c)
{
	uint8_t *p = buf_reserve(&c->in, MIN_OF((size_t)RECV_MAX, c->in.limit - buf_len(&c->in)));
	int fd;
	ssize_t n;

	if (!p || buf_len(&c->in) == c->in.limit) {
		ctl_send_error(c, "control protocol: line too long");
		return -1;
	}
	n = sock_recv_fd(c->fd, p, MIN_OF((size_t)RECV_MAX, c->in.limit - buf_len(&c->in)), &fd);
	if (fd >= 0 && c->fds_count < CTL_FDS_MAX)
		c->fds[c->fds_count++] = fd;
	else if (fd >= 0)
		close(fd);
	if (n <= 0)
		return n == -EAGAIN ? 0 : -1;
	buf_added(&c->in, (size_t)n);
	return 1;
}

/* Full, it was not read from, so lines may be waiting. */
static void empty(struct ctl_conn *c)
{
	ctl_send_queued(c);
	handle_lines(c);
	if (c->fd >= 0)
		watch_what_matters(c);
}

static void ready(struct reactor_watch *w, uint32_t events)
{
	struct ctl_conn *c = container_of(w, struct ctl_conn, watch);
	int r = 1;

	if (is_full(c)) {
		empty(c);
		return;
	}
	if (events & EPOLLOUT)
		ctl_send_queued(c);
	if ((events & EPOLLIN) && !c->closing && !c->paused) {
		r = receive(c);
		if (r > 0)
			handle_lines(c);
	} else if ((events & (EPOLLHUP | EPOLLERR)) && c->paused && has_unread(c)) {
		reactor_remove(c->reactor, &c->watch); /* this event would come again and again */
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		r = -1;
	}
	if (c->fd < 0)
		return;
	if (r < 0 || (c->closing && !c->out))
		close_conn(c);
	else
		watch_what_matters(c);
}

int ctl_conn_init(struct ctl_conn *c, struct reactor *r, int fd, const struct ctl_ops *ops)
{
	struct ucred cred = {.uid = (uid_t)-1};
	socklen_t len = sizeof(cred);
	int ret;

	memset(c, 0, sizeof(*c));
	c->reactor = r;
	c->ops = ops;
	c->fd = fd;
	c->out_last = &c->out;
	buf_init(&c->in, CTL_LINE_MAX);
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	c->uid = cred.uid;
	ret = reactor_add(r, &c->watch, fd, EPOLLIN, ready);
	if (ret < 0)
		ctl_conn_done(c);
	return ret;
}
