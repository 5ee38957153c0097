/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames through pipes, and ssh at their other end; see link.h. Who asks gets a ticket while it
 * holds `sending`, so tickets are in the order of questions, and answers are read in the order of
 * tickets. Nobody holds one lock while waiting for the other, so a full pipe in one direction never
 * stops the other.
 */
#include "link.h"

#include "clock.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

enum { LOOK_MS = 250, LAST_WORDS_MS = 2000 };

extern char **environ;

void link_init(struct link *l, int in, int out, const char *host)
{
	*l = (struct link){.in = in, .out = out, .pid = -1, .host = host};
	link_ear_init(&l->ear);
	pthread_mutex_init(&l->sending, NULL);
	pthread_mutex_init(&l->receiving, NULL);
	pthread_cond_init(&l->turned, NULL);
}

/* Until something can be done with FD. A signal may come between two looks, and wakes nobody. */
static int wait_for(const struct link *l, int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t began = clock_ms();

	while (poll(&p, 1, LOOK_MS) <= 0) {
		if (l->stop && atomic_load(l->stop))
			return -EINTR;
		if (l->idle_ms && clock_ms() - began >= l->idle_ms)
			return -ETIMEDOUT;
	}
	return 0;
}

/* 0, -EPIPE: the end before the first byte, or -errno. */
static int read_all(const struct link *l, uint8_t *bytes, size_t len)
{
	size_t used = 0;

	while (used < len) {
		int ret = wait_for(l, l->in, POLLIN);
		ssize_t n;

		if (ret < 0)
			return ret;
		n = read(l->in, bytes + used, len - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return used ? -ECONNRESET : -EPIPE;
		used += (size_t)n;
	}
	return 0;
}

/* What a reader or writer of L has failed with. */
static int fault(const struct link *l, int code, struct err *err)
{
	if (code == EINTR)
		return err_set(err, EINTR, "interrupted");
	if (code == ETIMEDOUT)
		return err_set(err, ETIMEDOUT, "%s: has been silent for %llu s", l->host,
			(unsigned long long)(l->idle_ms / 1000));
	return err_set(err, code, "%s: the connection has ended", l->host);
}

int link_receive(struct link *l, enum wire_type *ret_type, struct buf *b, struct err *err)
{
	uint8_t header[WIRE_HEADER], *room;
	int ret = read_all(l, header, sizeof(header));
	size_t len;

	if (ret < 0)
		return fault(l, -ret, err);
	len = get_u32(header + 4);
	if (len > WIRE_MAX)
		return err_set(err, EPROTO, "%s: does not speak lvm_copy's protocol", l->host);
	*ret_type = (enum wire_type)get_u32(header);
	buf_clear(b);
	if (len == 0)
		return 0;
	room = buf_reserve(b, len);
	if (!room)
		return err_set(err, ENOMEM, "%s: no memory for %zu bytes", l->host, len);
	ret = read_all(l, room, len);
	if (ret == -EPIPE || ret == -ECONNRESET)
		return err_set(err, ECONNRESET, "%s: the connection was cut", l->host);
	if (ret < 0)
		return fault(l, -ret, err);
	buf_added(b, len);
	return 0;
}

/* With `receiving` held: from now on this is what everybody gets. */
static int kill_link(struct link *l, const struct err *why)
{
	if (l->dead.code == 0)
		l->dead = *why;
	pthread_cond_broadcast(&l->turned);
	return -l->dead.code;
}

/* With `receiving` held: a frame of type WANTED. ERROR or another one ends the connection. */
static int take_frame(struct link *l, enum wire_type wanted, struct buf *b)
{
	struct err why = {0}, far;
	enum wire_type type;

	if (link_receive(l, &type, b, &why) < 0)
		return kill_link(l, &why);
	if (type == wanted)
		return 0;
	if (type != WIRE_ERROR) {
		err_set(&why, EPROTO, "%s: answered out of turn", l->host);
		return kill_link(l, &why);
	}
	wire_get_error(buf_bytes(b), buf_len(b), &far);
	err_set(&why, far.code, "%s: %s", l->host, far.text);
	return kill_link(l, &why);
}

/* Nothing can be sent any more: mostly as the other side has said why, and gone. */
static int find_reason(struct link *l, int code, struct err *err)
{
	struct err why, ended, far;
	enum wire_type type;
	struct buf b;

	if (code == EINTR)
		fault(l, code, &why);
	else
		err_sys(&why, code, "%s: the connection was cut", l->host);
	buf_init(&b, WIRE_MAX);
	pthread_mutex_lock(&l->receiving);
	while (l->dead.code == 0 && code == EPIPE && link_receive(l, &type, &b, &ended) == 0) {
		if (type != WIRE_ERROR)
			continue; /* an answer to somebody else, who will learn of this */
		wire_get_error(buf_bytes(&b), buf_len(&b), &far);
		err_set(&why, far.code, "%s: %s", l->host, far.text);
		break;
	}
	kill_link(l, &why);
	*err = l->dead;
	pthread_mutex_unlock(&l->receiving);
	buf_done(&b);
	return -err->code;
}

/* To ssh it never blocks: who is to end must not wait for a host that takes nothing. */
static int write_all(const struct link *l, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = write(l->out, p, len);
		int ret = n < 0 && errno != EINTR ? -errno : 0;

		if (ret == -EAGAIN)
			ret = wait_for(l, l->out, POLLOUT);
		if (ret < 0)
			return ret;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int send_locked(
	struct link *l, enum wire_type type, const struct buf *head, const void *bytes, size_t len)
{
	size_t head_len = head ? buf_len(head) : 0;
	uint8_t header[WIRE_HEADER];
	int ret;

	set_u32(header, (uint32_t)type);
	set_u32(header + 4, (uint32_t)(head_len + len));
	ret = write_all(l, header, sizeof(header));
	if (ret == 0 && head_len)
		ret = write_all(l, buf_bytes(head), head_len);
	return ret == 0 && len ? write_all(l, bytes, len) : ret;
}

int link_send(struct link *l, enum wire_type type, const struct buf *head, const void *bytes,
	size_t len, struct err *err)
{
	int ret;

	if (head && buf_failed(head))
		return err_set(err, ENOMEM, "%s: out of memory", l->host);
	pthread_mutex_lock(&l->sending);
	ret = send_locked(l, type, head, bytes, len);
	pthread_mutex_unlock(&l->sending);
	return ret < 0 ? find_reason(l, -ret, err) : 0;
}

static int take_answer(
	struct link *l, uint64_t ticket, enum wire_type wanted, struct buf *b, struct err *err)
{
	int ret;

	pthread_mutex_lock(&l->receiving);
	while (l->answered != ticket && l->dead.code == 0)
		pthread_cond_wait(&l->turned, &l->receiving);
	ret = l->dead.code ? -l->dead.code : take_frame(l, wanted, b);
	l->answered++;
	pthread_cond_broadcast(&l->turned);
	if (ret < 0)
		*err = l->dead;
	pthread_mutex_unlock(&l->receiving);
	return ret;
}

int link_ask(struct link *l, enum wire_type type, const struct buf *question, enum wire_type wanted,
	struct buf *b, struct err *err)
{
	uint64_t ticket;
	int ret;

	if (question && buf_failed(question))
		return err_set(err, ENOMEM, "%s: out of memory", l->host);
	pthread_mutex_lock(&l->sending);
	ticket = l->asked++;
	ret = send_locked(l, type, question, NULL, 0);
	pthread_mutex_unlock(&l->sending);
	if (ret < 0)
		return find_reason(l, -ret, err);
	return take_answer(l, ticket, wanted, b, err);
}

/* user@[2001:db8::1] without brackets, as ssh wants it. */
static void plain_host(const char *host, char out[SPEC_HOST_MAX])
{
	size_t used = 0;

	for (const char *p = host; *p && used + 1 < SPEC_HOST_MAX; p++) {
		if (*p != '[' && *p != ']')
			out[used++] = *p;
	}
	out[used] = 0;
}

enum { WORDS_MAX = 16 };

static void fill_words(const char *words[WORDS_MAX], const struct link_options *o, const char *host)
{
	size_t n = 0;

	words[n++] = "ssh";
	words[n++] = "-T";
	words[n++] = "-oBatchMode=yes";
	words[n++] = "-oConnectTimeout=30";
	words[n++] = "-oServerAliveInterval=15";
	words[n++] = "-oServerAliveCountMax=4";
	if (o->ssh_config) {
		words[n++] = "-F";
		words[n++] = o->ssh_config;
	}
	words[n++] = "--";
	words[n++] = host;
	words[n++] = o->program ? o->program : "lvm_copy";
	words[n++] = "--serve";
	words[n] = NULL;
}

static int spawn(
	struct link *l, const struct link_options *o, const int streams[3], struct err *err)
{
	char host[SPEC_HOST_MAX];
	const char *words[WORDS_MAX];
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t set;
	int e;

	plain_host(l->host, host);
	fill_words(words, o, host);
	posix_spawn_file_actions_init(&files);
	for (int i = 0; i < 3; i++)
		posix_spawn_file_actions_adddup2(&files, streams[i], i);
	posix_spawnattr_init(&attr);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	sigaddset(&set, SIGPIPE);
	posix_spawnattr_setsigdefault(&attr, &set);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	e = posix_spawnp(&l->pid, "ssh", &files, &attr, (char *const *)(uintptr_t)words, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	if (e) {
		l->pid = -1;
		return err_sys(err, e, "ssh could not be started");
	}
	return 0;
}

/* It ends of its own accord, or has not in a while. */
static bool has_ssh_ended(const struct link *l)
{
	CLEANUP_FD int fd = pidfd_open(l->pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return fd >= 0 && poll(&p, 1, LAST_WORDS_MS) > 0;
}

/* It tells its server that it ends, and for that it would wait for room in its socket: a minute. */
static void end_ssh(struct link *l)
{
	struct err ignored;

	link_cut(l);
	if (!has_ssh_ended(l))
		kill(l->pid, SIGKILL);
	link_close(l, &ignored);
}

/* No answer: what ssh has said last is the reason. */
static int no_answer(struct link *l, int code, struct err *err)
{
	char said[LINK_EAR_LINE];

	has_ssh_ended(l); /* it has closed its output, and may be about to say why */
	end_ssh(l);
	link_ear_end(&l->ear, said);
	return err_set(err, code, "%s: cannot be reached by ssh, or has no lvm_copy for us%s%s",
		l->host, said[0] ? ": " : "", said);
}

static int say_hello(struct link *l, struct err *err)
{
	struct buf question, answer;
	int ret;

	buf_init(&question, WIRE_MAX);
	buf_init(&answer, WIRE_MAX);
	wire_put_hello(&question);
	ret = link_ask(l, WIRE_HELLO, &question, WIRE_HELLO, &answer, err);
	if (ret == 0 && !wire_is_hello(buf_bytes(&answer), buf_len(&answer)))
		ret = err_set(err, EPROTO, "%s: another version of lvm_copy", l->host);
	else if (ret == -EPIPE || ret == -ECONNRESET)
		ret = no_answer(l, -ret, err);
	if (ret == 0)
		link_ear_pass(&l->ear);
	buf_done(&question);
	buf_done(&answer);
	return ret;
}

/* Ours: l->in, l->out, which does not block, and the ear; STREAMS are ssh's. */
static int make_pipes(struct link *l, int streams[3], struct err *err)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0)
		return err_sys(err, errno, "%s: a pipe", l->host);
	streams[0] = to[0];
	l->out = to[1];
	if (pipe2(from, O_CLOEXEC) < 0 || fcntl(l->out, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, errno, "%s: a pipe", l->host);
	l->in = from[0];
	streams[1] = from[1];
	return link_ear_begin(&l->ear, &streams[2], err);
}

struct link *link_new(const char *host, const struct link_options *options, struct err *err)
{
	struct link *l = malloc(sizeof(*l));
	int streams[3] = {-1, -1, -1}, ret;

	if (!l) {
		err_sys(err, ENOMEM, "%s", host);
		return NULL;
	}
	link_init(l, -1, -1, host);
	l->stop = options->stop;
	ret = make_pipes(l, streams, err);
	if (ret == 0)
		ret = spawn(l, options, streams, err);
	for (size_t i = 0; i < ARRAY_LEN(streams); i++)
		fd_close(&streams[i]);
	if (ret == 0)
		ret = say_hello(l, err);
	if (ret == 0)
		return l;
	link_free(l);
	return NULL;
}

int link_close(struct link *l, struct err *err)
{
	int status = 0;

	fd_close(&l->out);
	while (l->pid > 0 && waitpid(l->pid, &status, 0) < 0 && errno == EINTR)
		;
	l->pid = -1;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, EIO, "%s: the far side did not end well (status %d)", l->host,
			WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}

void link_cut(struct link *l)
{
	if (l->pid > 0)
		kill(l->pid, SIGTERM);
}

void link_free(struct link *l)
{
	if (!l)
		return;
	fd_close(&l->in);
	fd_close(&l->out);
	if (l->pid > 0)
		end_ssh(l);
	link_ear_end(&l->ear, NULL);
	pthread_cond_destroy(&l->turned);
	pthread_mutex_destroy(&l->receiving);
	pthread_mutex_destroy(&l->sending);
	free(l);
}
