/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two nodes; see duo.h. What a node does is done in a child, in its namespace, and comes back
 * through shared memory.
 */
#include "duo.h"

#include "buf.h"
#include "check.h"
#include "clock.h"
#include "fsutil.h"
#include "serve.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { DEADLINE = 100000 /* ms */, COMMAND_MAX = 4096 };

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAaQy7zQxSkOaGn0OURwtlBWbggSGUKPEJoedjF9tlYM"

/* What a child does and says. */
struct job {
	struct duo *duo;
	int node, fd;
	const struct sync_order *order;
	void *ret;
};

int duo_shell(struct duo *d, int node, const char *fmt, ...)
{
	char command[COMMAND_MAX];
	int n = snprintf(command, sizeof(command), "D=%s; cd $D/n%d/etc && ", d->temp.folder, node);
	int status;
	va_list ap;

	va_start(ap, fmt);
	n += vsnprintf(command + n, sizeof(command) - (size_t)n, fmt, ap);
	va_end(ap);
	CHECK(n < COMMAND_MAX);
	status = system(command);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

void duo_keys(struct duo *d, int node, const char *keys)
{
	CHECK(strlen(keys) < DUO_KEYS_MAX);
	strcpy(d->keys[node - 1], keys);
}

void duo_init(struct duo *d, const char *keys)
{
	static const char *const folders[] = {
		"files", "n1", "n2", "n1/etc", "n2/etc", "state1", "state2"};

	temp_init(&d->temp);
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		CHECK(mkdir(temp_path(&d->temp, folders[i]), 0755) == 0);
	duo_keys(d, 1, keys);
	duo_keys(d, 2, keys);
}

void duo_done(struct duo *d)
{
	temp_done(&d->temp);
}

bool duo_alike(struct duo *d)
{
	return duo_shell(d, 1,
		       "cd $D; for n in n1 n2; do (cd $n/etc; find . -printf '%%y %%m %%p\\n' | "
		       "sort >$D/list.$n); done; diff list.n1 list.n2 && diff -r n1/etc n2/etc") ==
		0;
}

/* As the node: its files are at the place that both have, its configuration is read. */
static void become(const struct job *j, struct config *c)
{
	const char *root = j->duo->temp.folder;
	char text[2 * DUO_KEYS_MAX], real[TEMP_PATH_MAX], path[TEMP_PATH_MAX];
	struct conf files;
	struct err err;

	snprintf(real, sizeof(real), "%s/n%d", root, j->node);
	snprintf(path, sizeof(path), "%s/files", root);
	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mount(real, path, NULL, MS_BIND, NULL) == 0);
	snprintf(text, sizeof(text),
		"confsync { self = 'n%d' state-directory = '%s/state%d' }\n"
		"node 'n1' { address = '192.0.2.1' host-key = '" KEY "' }\n"
		"node 'n2' { address = '192.0.2.2' host-key = '" KEY "' }\n"
		"set 't' { paths = {'%s/files/etc/'} %s }\n",
		j->node, root, j->node, root, j->duo->keys[j->node - 1]);
	/* Several may run at the same time. */
	snprintf(path, sizeof(path), "%s/confsync%d.%d.conf", root, j->node, (int)getpid());
	CHECK(fs_replace(path, text, strlen(text), 0600, &err) == 0);
	if (config_read(path, c, &files) < 0) {
		fprintf(stderr, "%s\n", files.fault_count ? files.faults[0] : "?");
		abort();
	}
	conf_done(&files);
}

static void *share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static pid_t start(void (*fn)(const struct job *, struct config *), const struct job *j)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		struct config c;

		become(j, &c);
		fn(j, &c);
		config_free(&c);
		_exit(0);
	}
	return pid;
}

static void end(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void do_serve(const struct job *j, struct config *c)
{
	serve(c, j->node == 1 ? "n2" : "n1", j->fd, j->fd);
}

static void do_call(const struct job *j, struct config *c)
{
	const struct config_set *set = config_set(c, "t");
	struct talk *t = talk_over(j->fd, j->fd, clock_ms() + DEADLINE);
	struct sync_result *ret = j->ret;

	CHECK(set && t);
	ret->code = talk_hello(t, c, false, &ret->err);
	if (ret->code == 0)
		sync_sets(c, t, NULL, &set, 1, j->order, ret);
	talk_end(t);
}

static void do_alone(const struct job *j, struct config *c)
{
	const struct config_set *set = config_set(c, "t");
	struct err why = {EHOSTUNREACH, "no way to it"};

	sync_sets(c, NULL, &why, &set, 1, j->order, j->ret);
}

/* One whole frame from A to B. False: there is none any more. */
static bool pass_frame(int a, int b)
{
	uint8_t frame[65536];
	size_t left;

	if (recv(a, frame, WIRE_HEADER, MSG_WAITALL) != WIRE_HEADER)
		return false;
	left = get_u32(frame);
	if (fs_write_all(b, frame, WIRE_HEADER) < 0)
		return false;
	while (left > 0) {
		ssize_t n = recv(a, frame, MIN_OF(left, sizeof(frame)), 0);

		if (n <= 0 || fs_write_all(b, frame, (size_t)n) < 0)
			return false;
		left -= (size_t)n;
	}
	return true;
}

/* Turns are kept by the protocol, so waiting for whoever speaks is enough. */
static void relay(struct duo *d, int a, int b, int cut)
{
	d->frames = 0;
	while (d->frames != cut) {
		struct pollfd p[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
		int from;

		if (poll(p, 2, -1) <= 0)
			continue;
		from = p[0].revents ? 0 : 1;
		if (!pass_frame(p[from].fd, p[!from].fd))
			return;
		d->frames++;
	}
}

/* The relay's ends; the others are the children's. */
static void connect_two(int inner[2], int outer[2])
{
	for (int i = 0; i < 2; i++) {
		int fds[2];

		CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
		inner[i] = fds[0];
		outer[i] = fds[1];
	}
}

struct sync_result duo_sync(struct duo *d, int node, const struct sync_order *o, int cut)
{
	struct sync_result *shared = share(sizeof(*shared)), ret;
	int inner[2], outer[2];
	pid_t pids[2];

	connect_two(inner, outer);
	for (int i = 0; i < 2; i++) {
		struct job j = {d, i ? 3 - node : node, outer[i], o, shared};

		pids[i] = fork();
		CHECK(pids[i] >= 0);
		if (pids[i] == 0) { /* the relay's ends must not stay open here */
			struct config c;

			fd_close(&inner[0]);
			fd_close(&inner[1]);
			fd_close(&outer[!i]);
			become(&j, &c);
			(i ? do_serve : do_call)(&j, &c);
			config_free(&c);
			_exit(0);
		}
	}
	fd_close(&outer[0]);
	fd_close(&outer[1]);
	relay(d, inner[0], inner[1], cut);
	fd_close(&inner[0]);
	fd_close(&inner[1]);
	end(pids[0]);
	end(pids[1]);
	ret = *shared;
	munmap(shared, sizeof(*shared));
	return ret;
}

struct sync_result duo_alone(struct duo *d, int node, const struct sync_order *o)
{
	struct sync_result *shared = share(sizeof(*shared)), ret;
	struct job j = {d, node, -1, o, shared};

	end(start(do_alone, &j));
	ret = *shared;
	munmap(shared, sizeof(*shared));
	return ret;
}

int duo_against(struct duo *d, int node, int (*fn)(struct duo *d, struct talk *t))
{
	int fds[2], ret;
	struct talk *t;
	pid_t pid;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct job j = {d, node, fds[1], NULL, NULL};
		struct config c;

		fd_close(&fds[0]);
		become(&j, &c);
		do_serve(&j, &c);
		config_free(&c);
		_exit(0);
	}
	fd_close(&fds[1]);
	t = talk_over(fds[0], fds[0], clock_ms() + DEADLINE);
	CHECK(t);
	ret = fn(d, t);
	talk_end(t);
	fd_close(&fds[0]);
	end(pid);
	return ret;
}

struct seen {
	bool there;
	struct state_trouble trouble;
	size_t history;
};

static void do_look(const struct job *j, struct config *c)
{
	struct seen *seen = j->ret;
	struct state_past past = {0};
	struct state s;
	struct err err;

	CHECK(state_open(&s, c, config_set(c, "t"), &err) == 0);
	seen->there = state_trouble_read(&s, &seen->trouble);
	CHECK(state_history(&s, &past, &err) == 0);
	seen->history = past.count;
	state_past_done(&past);
	state_close(&s);
}

static struct seen look(struct duo *d, int node)
{
	struct seen *shared = share(sizeof(*shared)), ret;
	struct job j = {d, node, -1, NULL, shared};

	end(start(do_look, &j));
	ret = *shared;
	munmap(shared, sizeof(*shared));
	return ret;
}

bool duo_trouble(struct duo *d, int node, struct state_trouble *ret)
{
	struct seen s = look(d, node);

	*ret = s.trouble;
	return s.there;
}

size_t duo_history(struct duo *d, int node)
{
	return look(d, node).history;
}
