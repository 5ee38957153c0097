/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ear of a link; see link_ear.h. A thread reads, so that ssh never waits for room in a pipe. It
 * does not wait for the end of the pipe: a master of ssh's that stays in the background has it,
 * too.
 */
#include "link_ear.h"

#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

void link_ear_init(struct link_ear *e)
{
	*e = (struct link_ear){.in = -1, .wake = -1};
	pthread_mutex_init(&e->lock, NULL);
}

/* With the lock held: the line that was kept back is nobody's reason. */
static void let_go(struct link_ear *e)
{
	if (e->last[0])
		fprintf(stderr, "%s\n", e->last);
	e->last[0] = 0;
}

/* With the lock held. */
static void end_line(struct link_ear *e)
{
	if (e->used > 0) {
		let_go(e);
		str_printable(e->last, sizeof(e->last), e->line, e->used);
		if (e->passes)
			let_go(e);
	}
	e->used = 0;
}

/* What is longer than a line may be becomes several. */
static void take(struct link_ear *e, const char *bytes, size_t len)
{
	pthread_mutex_lock(&e->lock);
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != '\n' && bytes[i] != '\r')
			e->line[e->used++] = bytes[i];
		if (bytes[i] == '\n' || e->used == sizeof(e->line))
			end_line(e);
	}
	pthread_mutex_unlock(&e->lock);
}

static void *listen_to(void *arg)
{
	struct link_ear *e = arg;
	struct pollfd fds[2] = {{.fd = e->in, .events = POLLIN}, {.fd = e->wake, .events = POLLIN}};
	char bytes[1024];

	for (;;) {
		ssize_t n = read(e->in, bytes, sizeof(bytes));

		if (n > 0)
			take(e, bytes, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR) || fds[1].revents)
			return NULL;
		else
			poll(fds, ARRAY_LEN(fds), -1);
	}
}

int link_ear_begin(struct link_ear *e, int *ret_fd, struct err *err)
{
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, errno, "a pipe");
	e->in = fds[0];
	*ret_fd = fds[1];
	e->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->wake < 0 || fcntl(e->in, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, errno, "a pipe");
	r = pthread_create(&e->thread, NULL, listen_to, e);
	e->runs = r == 0;
	return r ? err_sys(err, r, "no thread") : 0;
}

void link_ear_pass(struct link_ear *e)
{
	pthread_mutex_lock(&e->lock);
	e->passes = true;
	let_go(e);
	pthread_mutex_unlock(&e->lock);
}

void link_ear_end(struct link_ear *e, char last[LINK_EAR_LINE])
{
	if (e->runs) {
		eventfd_write(e->wake, 1);
		pthread_join(e->thread, NULL);
		e->runs = false;
		end_line(e);
	}
	if (last)
		memcpy(last, e->last, sizeof(e->last));
	else
		let_go(e);
	e->last[0] = 0;
	fd_close(&e->in);
	fd_close(&e->wake);
}
