/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames through pipes, and ssh at their other end; see link.h. Who asks gets a ticket while it
 * holds `sending`, so tickets are in the order of questions, and answers are read in the order of
 * tickets. Nobody holds one lock while waiting for the other, so a full pipe in one direction never
 * stops the other.
 */
#include "link.h"

#include "fsutil.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

void link_init(struct link *l, int in, int out, const char *host)
{
	*l = (struct link){.in = in, .out = out, .pid = -1, .host = host};
	pthread_mutex_init(&l->sending, NULL);
	pthread_mutex_init(&l->receiving, NULL);
	pthread_cond_init(&l->turned, NULL);
}

/* 0, -EPIPE: the end before the first byte, or -errno. */
static int read_all(int fd, uint8_t *bytes, size_t len)
{
	size_t used = 0;

	while (used < len) {
		ssize_t n = read(fd, bytes + used, len - used);

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

int link_receive(struct link *l, enum wire_type *ret_type, struct buf *b, struct err *err)
{
	uint8_t header[WIRE_HEADER], *room;
	int ret = read_all(l->in, header, sizeof(header));
	size_t len;

	if (ret < 0)
		return err_set(err, -ret, "%s: the connection has ended", l->host);
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
	ret = read_all(l->in, room, len);
	if (ret < 0)
		return err_set(err, ECONNRESET, "%s: the connection was cut", l->host);
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

static int send_locked(
	struct link *l, enum wire_type type, const struct buf *head, const void *bytes, size_t len)
{
	size_t head_len = head ? buf_len(head) : 0;
	uint8_t header[WIRE_HEADER];
	int ret;

	set_u32(header, (uint32_t)type);
	set_u32(header + 4, (uint32_t)(head_len + len));
	ret = fs_write_all(l->out, header, sizeof(header));
	if (ret == 0 && head_len)
		ret = fs_write_all(l->out, buf_bytes(head), head_len);
	return ret == 0 && len ? fs_write_all(l->out, bytes, len) : ret;
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

static int spawn(struct link *l, const struct link_options *o, int in, int out, struct err *err)
{
	char host[SPEC_HOST_MAX];
	const char *argv[16] = {"ssh", "-T", "-oBatchMode=yes", "-oServerAliveInterval=15",
		"-oServerAliveCountMax=4"};
	size_t n = 5;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t set;
	int e;

	plain_host(l->host, host);
	if (o->ssh_config) {
		argv[n++] = "-F";
		argv[n++] = o->ssh_config;
	}
	argv[n++] = "--";
	argv[n++] = host;
	argv[n++] = o->program ? o->program : "lvm_copy";
	argv[n++] = "--serve";
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawnattr_init(&attr);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	sigaddset(&set, SIGPIPE);
	posix_spawnattr_setsigdefault(&attr, &set);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	e = posix_spawnp(&l->pid, "ssh", &files, &attr, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	if (e) {
		l->pid = -1;
		return err_sys(err, e, "ssh could not be started");
	}
	return 0;
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
		ret = err_set(err, -ret, "%s: cannot be reached by ssh, or has no lvm_copy for us",
			l->host);
	buf_done(&question);
	buf_done(&answer);
	return ret;
}

struct link *link_new(const char *host, const struct link_options *options, struct err *err)
{
	struct link *l = malloc(sizeof(*l));
	int to[2] = {-1, -1}, from[2] = {-1, -1};
	int ret;

	if (!l || pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0) {
		err_set(err, l ? errno : ENOMEM, "%s: no pipes, or no memory", host);
		for (size_t i = 0; i < 2; i++) {
			fd_close(&to[i]);
			fd_close(&from[i]);
		}
		free(l);
		return NULL;
	}
	link_init(l, from[0], to[1], host);
	ret = spawn(l, options, to[0], from[1], err);
	close(to[0]);
	close(from[1]);
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
	struct err ignored;

	if (!l)
		return;
	fd_close(&l->in);
	fd_close(&l->out);
	link_cut(l);
	if (l->pid > 0)
		link_close(l, &ignored);
	pthread_cond_destroy(&l->turned);
	pthread_mutex_destroy(&l->receiving);
	pthread_mutex_destroy(&l->sending);
	free(l);
}
