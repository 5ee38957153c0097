/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of those negotiators; see retired.h. What they say is link.c's to answer. One is
 * forgotten when it has ended and its channel is empty: the last clients may still be in there.
 */
#include "retired.h"

#include "master.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

struct retired {
	struct master *master;
	struct retired *next;
	struct chan chan;
	pid_t pid;
};

static void says(struct chan *c, uint32_t type, const void *body, size_t len, int fd)
{
	struct retired *r = container_of(c, struct retired, chan);

	link_message(r->master, type, body, len, fd);
}

static void forget_if_over(struct retired *r)
{
	struct retired **p = &r->master->retired;

	if (r->pid || r->chan.fd >= 0)
		return;
	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	free(r);
}

static void hung_up(struct chan *c)
{
	struct retired *r = container_of(c, struct retired, chan);

	chan_done(c);
	forget_if_over(r);
}

static const struct chan_ops ops = {says, hung_up};

int retired_add(struct master *m, pid_t pid, int fd)
{
	struct retired *r = calloc(1, sizeof(*r));
	int ret = r ? 0 : -ENOMEM;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (r)
		ret = chan_init(&r->chan, &m->reactor, fd, &ops);
	else
		close(fd);
	if (ret < 0) {
		free(r);
		return ret;
	}
	r->master = m;
	r->pid = pid;
	r->next = m->retired;
	m->retired = r;
	return 0;
}

void retired_tell(struct master *m, uint32_t type, const void *body, size_t len)
{
	for (struct retired *r = m->retired; r; r = r->next) {
		if (r->chan.fd >= 0)
			chan_send(&r->chan, type, body, len, -1);
	}
}

void retired_each(const struct master *m, void (*fn)(void *arg, pid_t pid, int fd), void *arg)
{
	for (const struct retired *r = m->retired; r; r = r->next) {
		if (r->chan.fd >= 0)
			fn(arg, r->pid, r->chan.fd);
	}
}

bool retired_reaped(struct master *m, pid_t pid)
{
	struct retired *r = m->retired;

	while (r && r->pid != pid)
		r = r->next;
	if (!r)
		return false;
	r->pid = 0;
	forget_if_over(r);
	return true;
}

void retired_end_all(struct master *m)
{
	while (m->retired) {
		struct retired *r = m->retired;

		chan_done(&r->chan);
		if (r->pid)
			waitpid(r->pid, NULL, 0);
		r->pid = 0;
		forget_if_over(r);
	}
}
