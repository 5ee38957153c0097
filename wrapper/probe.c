/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A fork without exec that opens the image, says what it found through a pipe, and ends. */
#include "probe.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

struct probe {
	struct probe_list *list;
	struct probe *next, **link;
	struct reactor_watch watch;
	struct reactor_timer deadline;
	int fd;
	int pidfd; /* names the child even after it was reaped */
	probe_fn *fn;
	void *arg;
};

/*
 * In the child; the result is shorter than PIPE_BUF, so one write is whole. A child that hangs for
 * ever must not keep the master's listeners and clients open, nor outlive it.
 */
static void look(const char *image, bool readonly, int fd)
{
	struct probe_result result = {0};
	struct err err = {0};
	int image_fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = dup2(fd, STDIN_FILENO);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	image_fd = export_open(image, &readonly, &result.facts, &err);
	if (image_fd < 0) {
		result.code = err.code;
		memcpy(result.text, err.text, sizeof(result.text));
	}
	_exit(write(fd, &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 1);
}

static void add_to(struct probe_list *list, struct probe *p)
{
	p->next = list->first;
	p->link = &list->first;
	if (p->next)
		p->next->link = &p->next;
	list->first = p;
	list->count++;
}

void probe_cancel(struct probe *p)
{
	p->list->count--;
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	reactor_remove(p->list->reactor, &p->watch);
	reactor_timer_cancel(p->list->reactor, &p->deadline);
	fd_close(&p->fd);
	if (p->pidfd >= 0) /* gone already in most cases; reaped by the master's SIGCHLD */
		syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
	fd_close(&p->pidfd);
	free(p);
}

static void finish(struct probe *p, const struct probe_result *result)
{
	probe_fn *fn = p->fn;
	void *arg = p->arg;

	probe_cancel(p);
	fn(arg, result);
}

static void answered(struct reactor_watch *w, uint32_t events)
{
	struct probe *p = container_of(w, struct probe, watch);
	struct probe_result result;

	(void)events;
	if (read(p->fd, &result, sizeof(result)) != (ssize_t)sizeof(result))
		result = (struct probe_result){
			.code = EIO, .text = "the image could not be looked at"};
	finish(p, &result);
}

static void too_late(struct reactor_timer *t)
{
	struct probe *p = container_of(t, struct probe, deadline);
	struct probe_result result = {.code = ETIMEDOUT, .text = "the image does not answer"};

	finish(p, &result);
}

static int watch_child(struct probe *p)
{
	int ret = reactor_add(p->list->reactor, &p->watch, p->fd, EPOLLIN, answered);

	if (ret == 0)
		ret = reactor_timer_set(p->list->reactor, &p->deadline, PROBE_DEADLINE_MS);
	return ret;
}

struct probe *probe_start(
	struct probe_list *list, const char *image, bool readonly, probe_fn *fn, void *arg)
{
	struct probe *p = list->count < PROBES_MAX ? calloc(1, sizeof(*p)) : NULL;
	int fds[2];
	pid_t pid;

	if (!p || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(p);
		return NULL;
	}
	*p = (struct probe){.list = list, .fd = fds[0], .pidfd = -1, .fn = fn, .arg = arg};
	add_to(list, p);
	p->deadline.fn = too_late;
	pid = fork();
	if (pid == 0)
		look(image, readonly, fds[1]);
	close(fds[1]);
	if (pid > 0)
		p->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pid < 0 || watch_child(p) < 0) {
		probe_cancel(p);
		return NULL;
	}
	return p;
}

void probe_end_all(struct probe_list *list)
{
	static const struct probe_result ended = {
		.code = ECANCELED, .text = "the server is shutting down"};

	while (list->first)
		finish(list->first, &ended);
}
