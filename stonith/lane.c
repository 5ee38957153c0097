/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Helpers of PDUs, seen from both sides: starting one, a request to it, its answer or its end by
 * force; and what the helper itself does. A helper that was killed is waited for when there is
 * time, as the kernel may need some; nothing here waits.
 */
#include "lane.h"

#include "snmp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	GRACE_MS = 500, /* more than the helper itself takes */
	KILLED_MAX = LANE_PIDS_MAX - 1,
	CHAN_FD = 3,
	NOBODY = 65534,
	REQUEST = 1, /* types of messages */
	REPLY = 2,
};

_Static_assert(sizeof(struct lane_request) <= CHAN_BODY_MAX, "a request is one message");
_Static_assert(sizeof(struct lane_reply) <= CHAN_BODY_MAX, "a reply is one message");

struct lane {
	struct reactor *reactor;
	const struct config_pdu *pdu;
	void (*done)(void *arg, const struct lane_reply *reply);
	void *arg;
	pid_t helper; /* 0 = none */
	struct chan chan;
	struct reactor_timer late;
	bool busy;
	uint32_t id;              /* of the request under way */
	pid_t killed[KILLED_MAX]; /* not waited for yet */
};

/* In the helper. */
struct helper {
	struct reactor reactor;
	struct chan chan;
	struct snmp_link *link;
};

uint64_t lane_limit(const struct config_pdu *pdu)
{
	return snmp_link_budget(pdu) + GRACE_MS;
}

static void helper_message(struct chan *c, uint32_t type, const void *body, size_t len, int fd)
{
	struct helper *h = container_of(c, struct helper, chan);
	struct lane_reply reply;

	fd_close(&fd);
	if (type != REQUEST || len != sizeof(struct lane_request))
		_exit(EXIT_FAILURE);
	snmp_link_ask(h->link, body, &reply);
	if (chan_send(c, REPLY, &reply, sizeof(reply), -1) < 0)
		_exit(EXIT_FAILURE);
}

static void helper_closed(struct chan *c)
{
	(void)c;
	_exit(EXIT_SUCCESS);
}

/* Other users' rights are of no use to SNMP. Where there is no such user we stay who we are. */
static void become_nobody(void)
{
	if (geteuid() == 0 && setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
		setresuid(NOBODY, NOBODY, NOBODY) != 0)
		_exit(EXIT_FAILURE);
}

static void leave_parent(int fd, pid_t parent)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR);

	fd = fcntl(fd, F_DUPFD_CLOEXEC, CHAN_FD); /* it may be in their place */
	for (int i = 0; null >= 0 && i < CHAN_FD; i++)
		dup2(null, i);
	if (fd != CHAN_FD && dup3(fd, CHAN_FD, O_CLOEXEC) < 0)
		_exit(EXIT_FAILURE);
	close_range(CHAN_FD + 1, ~0U, 0);
	sigemptyset(&none);
	for (int i = 1; i < SIGRTMIN; i++)
		signal(i, i == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	become_nobody();
	/* After that, as a change of user takes it away. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EXIT_FAILURE);
}

static void __attribute__((noreturn)) run_helper(int fd, pid_t parent, const struct config_pdu *pdu)
{
	static const struct chan_ops ops = {.message = helper_message, .closed = helper_closed};
	static struct helper h;

	leave_parent(fd, parent);
	h.link = snmp_link_new(pdu);
	if (h.link && reactor_init(&h.reactor) == 0 &&
		chan_init(&h.chan, &h.reactor, CHAN_FD, &ops) == 0)
		reactor_run(&h.reactor);
	_exit(EXIT_FAILURE);
}

static void reap(struct lane *l)
{
	for (size_t i = 0; i < KILLED_MAX; i++) {
		if (l->killed[i] && waitpid(l->killed[i], NULL, WNOHANG) != 0)
			l->killed[i] = 0;
	}
}

/* If the kernel does not let go of so many, the oldest becomes init's when we end. */
static void give_up_helper(struct lane *l)
{
	if (!l->helper)
		return;
	chan_done(&l->chan);
	kill(l->helper, SIGKILL);
	reap(l);
	for (size_t i = 0; i < KILLED_MAX; i++) {
		if (!l->killed[i] || i == KILLED_MAX - 1) {
			l->killed[i] = l->helper;
			break;
		}
	}
	l->helper = 0;
	reap(l);
}

static void answer(struct lane *l, const struct lane_reply *reply)
{
	reactor_timer_cancel(l->reactor, &l->late);
	l->busy = false;
	l->done(l->arg, reply);
}

static void answer_failure(struct lane *l, enum fence_fault fault, const char *why)
{
	struct lane_reply reply = {.id = l->id, .fault = fault};

	strncpy(reply.why, why, sizeof(reply.why) - 1);
	answer(l, &reply);
}

/* A helper reads what comes from the network: it may be somebody else's by now. */
static bool is_sound(const struct lane_reply *r)
{
	return r->fault < FENCE_FAULTS && r->count <= LANE_OBJECTS_MAX &&
		memchr(r->text, 0, sizeof(r->text)) && memchr(r->why, 0, sizeof(r->why));
}

static void lane_message(struct chan *c, uint32_t type, const void *body, size_t len, int fd)
{
	struct lane *l = container_of(c, struct lane, chan);
	const struct lane_reply *reply = body;

	fd_close(&fd);
	if (type == REPLY && len == sizeof(*reply) && l->busy && reply->id == l->id &&
		is_sound(reply))
		answer(l, reply);
}

static void lane_closed(struct chan *c)
{
	struct lane *l = container_of(c, struct lane, chan);

	give_up_helper(l);
	if (l->busy)
		answer_failure(l, FENCE_BROKEN, "the helper process ended");
}

static void lane_late(struct reactor_timer *t)
{
	struct lane *l = container_of(t, struct lane, late);

	give_up_helper(l);
	answer_failure(l, FENCE_SILENT, "the helper process was late and has been killed");
}

static int start_helper(struct lane *l)
{
	static const struct chan_ops ops = {.message = lane_message, .closed = lane_closed};
	pid_t parent = getpid();
	int fds[2], ret = chan_pair(fds);

	if (ret < 0)
		return ret;
	reap(l);
	l->helper = fork();
	if (l->helper == 0)
		run_helper(fds[1], parent, l->pdu);
	if (l->helper < 0) {
		ret = -errno;
		l->helper = 0;
		fd_close(&fds[0]);
	}
	fd_close(&fds[1]);
	if (ret < 0)
		return ret;
	ret = chan_init(&l->chan, l->reactor, fds[0], &ops);
	if (ret < 0) {
		kill(l->helper, SIGKILL);
		waitpid(l->helper, NULL, 0);
		l->helper = 0;
	}
	return ret;
}

struct lane *lane_new(struct reactor *r, const struct config_pdu *pdu,
	void (*done)(void *arg, const struct lane_reply *reply), void *arg)
{
	struct lane *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->reactor = r;
	l->pdu = pdu;
	l->done = done;
	l->arg = arg;
	l->late.fn = lane_late;
	start_helper(l); /* if it fails, it is tried again when there is a request */
	return l;
}

void lane_listen(struct lane *l, void (*done)(void *arg, const struct lane_reply *reply), void *arg)
{
	l->done = done;
	l->arg = arg;
}

void lane_abandon(struct lane *l)
{
	if (!l->busy)
		return;
	reactor_timer_cancel(l->reactor, &l->late);
	give_up_helper(l);
	l->busy = false;
}

void lane_free(struct lane *l)
{
	if (!l)
		return;
	reactor_timer_cancel(l->reactor, &l->late);
	give_up_helper(l);
	free(l);
}

int lane_send(struct lane *l, const struct lane_request *q)
{
	int ret = l->helper ? 0 : start_helper(l);

	reap(l);
	if (ret < 0)
		return ret;
	ret = reactor_timer_set(l->reactor, &l->late, lane_limit(l->pdu));
	if (ret == 0)
		ret = chan_send(&l->chan, REQUEST, q, sizeof(*q), -1);
	if (ret < 0) {
		reactor_timer_cancel(l->reactor, &l->late);
		give_up_helper(l);
		return ret;
	}
	l->busy = true;
	l->id = q->id;
	return 0;
}

size_t lane_pids(const struct lane *l, pid_t ret[LANE_PIDS_MAX])
{
	size_t n = 0;

	if (l->helper)
		ret[n++] = l->helper;
	for (size_t i = 0; i < KILLED_MAX; i++) {
		if (l->killed[i])
			ret[n++] = l->killed[i];
	}
	return n;
}
