/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The master's side of the negotiator: starts it, teaches it the exports, answers its lookups,
 * takes the clients it lets in, and starts it again if it ever dies (the listeners are the
 * master's too, so that meanwhile clients just wait in the backlog).
 */
#include "master.h"

#include "command.h"
#include "ipc.h"
#include "log.h"
#include "nbd.h"
#include "negotiate.h"
#include "probe.h"
#include "snapshots.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { RESPAWN_MS = 1000, QUICK_DEATH_MS = 5000, KEEP_LIMIT_MIN = 64 };

void master_facts(
	struct master *m, uint64_t client, const struct export_facts *facts, uint32_t keep)
{
	struct ipc_facts msg = {.client = client, .keep = keep, .facts = *facts};

	chan_send(&m->negotiator, IPC_FACTS, &msg, sizeof(msg), -1);
}

void master_refuse(struct master *m, uint64_t client, uint32_t reply, const char *text)
{
	struct ipc_refuse msg = {.client = client, .reply = reply};

	snprintf(msg.text, sizeof(msg.text), "%s", text);
	chan_send(&m->negotiator, IPC_REFUSE, &msg, sizeof(msg), -1);
}

uint32_t master_refusal(int error)
{
	return error == ENOENT ? NBD_REP_ERR_UNKNOWN : NBD_REP_ERR_POLICY;
}

void link_send_export(struct master *m, const struct export_entry *e)
{
	const char *description = e->description ? e->description : "";
	struct ipc_export head = {.id = e->id,
		.is_default = e->is_default,
		.is_snapshot = e->parent != 0,
		.name_len = (uint16_t)strlen(e->name),
		.description_len = (uint16_t)strlen(description)};
	uint8_t body[sizeof(head) + 2 * NBD_STRING_MAX];

	memcpy(body, &head, sizeof(head));
	memcpy(body + sizeof(head), e->name, head.name_len);
	memcpy(body + sizeof(head) + head.name_len, description, head.description_len);
	chan_send(&m->negotiator, IPC_EXPORT, body,
		sizeof(head) + head.name_len + head.description_len, -1);
}

void link_forget_export(struct master *m, uint32_t id)
{
	chan_send(&m->negotiator, IPC_FORGET, &id, sizeof(id), -1);
}

void link_ask_again(struct master *m, uint32_t id)
{
	chan_send(&m->negotiator, IPC_ASK, &id, sizeof(id), -1);
}

/* Limits. */

bool link_may_keep(const struct master *m)
{
	uint64_t limit = MIN_OF(m->options->max_clients, m->options->max_clients_per_peer);

	return limit >= KEEP_LIMIT_MIN && m->client_count < limit / 2;
}

static unsigned clients_of(const struct master *m, const char *host)
{
	unsigned n = 0;

	for (const struct worker *w = m->workers; w; w = w->next) {
		for (const struct client *c = w->clients; c; c = c->next)
			n += strcmp(c->peer.host, host) == 0;
	}
	return n;
}

static bool over_limit(const struct master *m, const char *host, char *text, size_t room)
{
	if (m->client_count >= m->options->max_clients) {
		snprintf(text, room, "%llu clients are connected, that is the limit",
			(unsigned long long)m->options->max_clients);
		return true;
	}
	/* Counting costs a walk, so it is done only when it could matter. */
	if (m->client_count < m->options->max_clients_per_peer ||
		clients_of(m, host) < m->options->max_clients_per_peer)
		return false;
	snprintf(text, room, "%llu clients of this address are connected, that is the limit",
		(unsigned long long)m->options->max_clients_per_peer);
	return true;
}

/* Lookups. */

struct question {
	struct master *master;
	uint64_t client;
};

static void probe_answer(void *arg, const struct probe_result *result)
{
	struct question *q = arg;
	char text[128];

	if (result->code) {
		snprintf(text, sizeof(text), "the image cannot be served: %s",
			strerror(result->code));
		master_refuse(q->master, q->client, master_refusal(result->code), text);
	} else {
		master_facts(q->master, q->client, &result->facts, NEG_NO_EXPORT);
	}
	free(q);
}

/* Facts of a plain file can be had without a worker; layers and proxies know their own best. */
static bool needs_worker(const struct master *m, const struct export_entry *e)
{
	return command_kind(m->options, e) != EXPORT_TARGET;
}

/* INFO of an export nobody uses: no worker is started for it. */
static void ask_probe(struct master *m, uint64_t client, const struct export_entry *e)
{
	struct question *q = malloc(sizeof(*q));

	if (q) {
		*q = (struct question){m, client};
		if (probe_start(&m->probes, e->image, master_readonly(m, e), probe_answer, q))
			return;
	}
	free(q);
	master_refuse(m, client, NBD_REP_ERR_POLICY, "out of memory or processes");
}

/* A snapshot is looked at through the server that took it, and never kept. */
static void ask_parent(struct master *m, uint64_t client, const struct export_entry *e)
{
	struct worker *w = worker_for(m, e->parent);
	struct export_facts facts;

	if (!w || w->state != WORKER_READY) {
		master_refuse(
			m, client, NBD_REP_ERR_POLICY, "the server of this snapshot is ending");
		return;
	}
	facts = snapshots_facts(&w->facts);
	w->promised_at = m->reactor.now;
	master_facts(m, client, &facts, NEG_NO_EXPORT);
}

static void ask_worker(struct master *m, uint64_t client, uint32_t export_id)
{
	struct worker *w = worker_for(m, export_id);

	if (!w)
		w = worker_start(m, export_id);
	if (!w)
		master_refuse(m, client, NBD_REP_ERR_POLICY,
			"the server of this export could not be started");
	else if (w->state == WORKER_STARTING)
		worker_wait(w, client);
	else
		worker_promise(w, client);
}

static void lookup(struct master *m, const struct ipc_lookup *msg)
{
	const struct export_entry *e = exports_by_id(&m->exports, msg->export_id);
	struct worker *w = worker_for(m, msg->export_id);
	char text[128];

	if (m->ending)
		master_refuse(m, msg->client, NBD_REP_ERR_SHUTDOWN, "the server is shutting down");
	else if (!e)
		master_refuse(m, msg->client, NBD_REP_ERR_UNKNOWN, "no such export");
	else if (msg->final && over_limit(m, msg->host, text, sizeof(text)))
		master_refuse(m, msg->client, NBD_REP_ERR_POLICY, text);
	else if (e->parent && !e->detached)
		ask_parent(m, msg->client, e);
	else if (w && w->state == WORKER_READY && !msg->final)
		master_facts(m, msg->client, &w->facts, NEG_NO_EXPORT);
	else if (msg->final || needs_worker(m, e))
		ask_worker(m, msg->client, msg->export_id);
	else
		ask_probe(m, msg->client, e);
}

/*
 * Between the answer and this the worker may have ended (idle, or dead), or the export have been
 * removed: then the connection is closed, and the client's next try finds the new state.
 */
static void enter(struct master *m, const struct ipc_enter *msg, int fd)
{
	const struct export_entry *e = exports_by_id(&m->exports, msg->export_id);
	uint32_t server = e ? snapshots_server(e) : msg->export_id;
	struct worker *w = worker_for(m, server);
	char text[128];

	if (m->ending || !w || w->state != WORKER_READY ||
		over_limit(m, msg->peer.host, text, sizeof(text))) {
		close(fd);
		return;
	}
	worker_give(w, &msg->peer, &msg->features, server == msg->export_id ? 0 : e->snapshot, fd);
}

static void take_log(const struct ipc_log *msg)
{
	char text[sizeof(msg->text)];

	str_printable(text, sizeof(text), msg->text, strnlen(msg->text, sizeof(msg->text)));
	log_line(MIN_OF(msg->level, (uint32_t)LOG_LEVEL_DEBUG), text);
}

static void end_text(char *text, size_t room)
{
	text[room - 1] = 0;
}

static void take_enter(struct master *m, const struct ipc_enter *body, int fd)
{
	struct ipc_enter msg = *body;

	end_text(msg.peer.name, sizeof(msg.peer.name));
	end_text(msg.peer.host, sizeof(msg.peer.host));
	enter(m, &msg, fd);
}

static void take_lookup(struct master *m, const struct ipc_lookup *body)
{
	struct ipc_lookup msg = *body;

	end_text(msg.host, sizeof(msg.host));
	lookup(m, &msg);
}

/* Strangers talk to it, so it may have been taken over: nothing it says is trusted to be sane. */
static void negotiator_says(struct chan *c, uint32_t type, const void *body, size_t len, int fd)
{
	struct master *m = container_of(c, struct master, negotiator);

	if (type == IPC_ENTER && len == sizeof(struct ipc_enter) && fd >= 0) {
		take_enter(m, body, fd);
		return;
	}
	fd_close(&fd);
	if (type == IPC_LOOKUP && len == sizeof(struct ipc_lookup))
		take_lookup(m, body);
	else if (type == IPC_LOG && len == sizeof(struct ipc_log))
		take_log(body);
}

static void negotiator_hung_up(struct chan *c)
{
	chan_done(c); /* SIGCHLD follows */
}

static const struct chan_ops link_ops = {negotiator_says, negotiator_hung_up};

static int spawn(struct master *m, int fd)
{
	static const char *const argv[] = {"/proc/self/exe", "--negotiator-fd", "3", NULL};
	pid_t pid = proc_spawn((char *const *)(uintptr_t)argv, &fd, 1, true);

	if (pid < 0)
		return pid;
	m->negotiator_pid = pid;
	m->negotiator_began = m->reactor.now;
	return 0;
}

static void teach(struct master *m)
{
	for (size_t i = 0; i < m->exports.count; i++)
		link_send_export(m, &m->exports.entries[i]);
	for (size_t i = 0; i < m->listeners.sockets.count; i++)
		chan_send(&m->negotiator, IPC_LISTENER, NULL, 0,
			fcntl(m->listeners.sockets.fds[i], F_DUPFD_CLOEXEC, 0));
}

static void respawn(struct reactor_timer *t)
{
	struct master *m = container_of(t, struct master, respawn);
	struct err err = {0};

	if (link_start(m, &err) < 0) {
		log_error("%s", err.text);
		reactor_timer_set(&m->reactor, t, RESPAWN_MS);
	}
}

int link_start(struct master *m, struct err *err)
{
	int fds[2], ret = chan_pair(fds);

	if (ret < 0)
		return err_sys(err, -ret, "negotiator");
	m->respawn.fn = respawn;
	ret = spawn(m, fds[1]);
	close(fds[1]);
	if (ret < 0) {
		close(fds[0]);
		return err_sys(err, -ret, "negotiator");
	}
	ret = chan_init(&m->negotiator, &m->reactor, fds[0], &link_ops);
	if (ret < 0)
		return err_sys(err, -ret, "negotiator");
	teach(m);
	return 0;
}

void link_stop(struct master *m)
{
	if (m->negotiator.fd >= 0)
		chan_send(&m->negotiator, IPC_SHUTDOWN, NULL, 0, -1);
}

bool link_reaped(struct master *m, pid_t pid, int status)
{
	if (pid != m->negotiator_pid)
		return false;
	m->negotiator_pid = 0;
	chan_done(&m->negotiator);
	if (m->ending)
		return true;
	log_error("the negotiator ended (%s %d); starting it again",
		WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	/* One that dies at once would die again at once. */
	reactor_timer_set(&m->reactor, &m->respawn,
		m->reactor.now - m->negotiator_began < QUICK_DEATH_MS ? RESPAWN_MS : 0);
	return true;
}
