/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both ends of a socket pair: a line as JSON goes there with its number, what became of it comes
 * back with the same. The process is a grandchild, so that nobody has to wait for its end; who
 * reads our output until the last one has closed it must not wait for it either.
 */
#include "scribe.h"

#include "clock.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>

struct scribe {
	int fd;
	uint32_t last; /* number of the last line handed over */
};

struct letter {
	uint32_t number;
	char text[AUDIT_LINE_MAX]; /* JSON, not terminated */
};

struct answer {
	uint32_t number;
	int result; /* of audit_append() */
	struct audit_head head;
	struct err err;
};

/* Its side. */

static struct answer write_line(struct audit *audit, uint32_t number, const json_t *entry)
{
	struct answer a = {.number = number};

	if (entry)
		a.result = audit_append(audit, entry, &a.head, &a.err);
	else
		a.result = err_set(&a.err, EINVAL, "the line is no JSON");
	return a;
}

static const char *text_of(const json_t *entry, const char *member, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(entry, member));

	return text ? text : otherwise;
}

/* Each line's hash goes elsewhere, too: who may write the log cannot compute it anew unseen. */
static void tell_syslog(const json_t *entry, const struct answer *a)
{
	char end[AUDIT_HASH_ROOM + 48];

	if (a->result == 0)
		snprintf(end, sizeof(end), "audit line %llu, sha256 %s",
			(unsigned long long)a->head.seq, a->head.hash);
	else
		snprintf(end, sizeof(end), "no line in the audit log");
	syslog(LOG_NOTICE, "%s of %s by %s: %s; %s", text_of(entry, "action", "?"),
		text_of(entry, "victim", "?"), text_of(entry, "who", "?"),
		text_of(entry, "outcome", text_of(entry, "event", "?")), end);
}

static void serve(int fd, const char *path)
{
	static struct letter l;
	struct audit *audit = audit_new(path);
	ssize_t len;

	openlog("xnbd-stonith", LOG_PID, LOG_AUTHPRIV);
	while (audit &&
		(len = recv(fd, &l, sizeof(l), 0)) > (ssize_t)offsetof(struct letter, text)) {
		json_t *entry =
			json_loadb(l.text, (size_t)len - offsetof(struct letter, text), 0, NULL);
		struct answer a = write_line(audit, l.number, entry);

		send(fd, &a, sizeof(a), MSG_NOSIGNAL); /* whether anybody waits or not */
		tell_syslog(entry, &a);
		json_decref(entry);
	}
	_exit(0);
}

static void be_alone(int fd)
{
	int null = open("/dev/null", O_RDWR);

	for (int i = 0; i < 3; i++)
		dup2(null, i);
	if (dup2(fd, 3) == 3)
		close_range(4, ~0U, 0);
	setsid();
}

static bool start(int fd, const char *path)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		pid_t grandchild = fork();

		if (grandchild == 0) {
			be_alone(fd);
			serve(3, path);
		}
		_exit(grandchild < 0);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Our side. */

struct scribe *scribe_new(const char *path)
{
	struct scribe *s = calloc(1, sizeof(*s));
	int fds[2];
	bool started;

	if (!s || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
		free(s);
		return NULL;
	}
	started = start(fds[1], path);
	close(fds[1]);
	s->fd = fds[0];
	if (started)
		return s;
	scribe_free(s);
	return NULL;
}

void scribe_free(struct scribe *s)
{
	if (!s)
		return;
	fd_close(&s->fd);
	free(s);
}

static int hand_over(struct scribe *s, const json_t *entry, struct err *err)
{
	struct letter *l = malloc(sizeof(*l));
	size_t len = l ? json_dumpb(entry, l->text, sizeof(l->text), JSON_COMPACT) : 0;
	int r = 0;

	if (!l || len == 0) {
		r = err_set(err, ENOMEM, "out of memory");
	} else if (len > sizeof(l->text)) {
		r = err_set(err, EMSGSIZE, "the line is too long");
	} else {
		l->number = ++s->last;
		if (send(s->fd, l, offsetof(struct letter, text) + len,
			    MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			r = err_sys(err, errno, "the process that writes it");
	}
	free(l);
	return r;
}

/* 0, or -errno: late, or gone. Answers to earlier lines, which were late, are passed over. */
static int await(const struct scribe *s, uint64_t until, struct answer *ret)
{
	for (;;) {
		struct pollfd p = {.fd = s->fd, .events = POLLIN};
		uint64_t now = clock_ms();
		int n = poll(&p, 1, now < until ? (int)(until - now) : 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ETIMEDOUT;
		if (recv(s->fd, ret, sizeof(*ret), MSG_DONTWAIT) != sizeof(*ret))
			return -EPIPE;
		if (ret->number == s->last)
			return 0;
	}
}

int scribe_append(struct scribe *s, const json_t *entry, uint64_t ms, struct audit_head *ret_head,
	struct err *err)
{
	uint64_t until = clock_ms() + ms;
	struct answer a;
	int r = hand_over(s, entry, err);

	if (r < 0)
		return r;
	r = await(s, until, &a);
	if (r == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT, "not on disk in time (it may be later)");
	if (r < 0)
		return err_sys(err, -r, "the process that writes it");
	if (a.result < 0)
		*err = a.err;
	else if (ret_head)
		*ret_head = a.head;
	return a.result;
}
