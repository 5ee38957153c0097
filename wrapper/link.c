/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The master's side of the negotiator: starts it, teaches it the exports, answers its lookups,
 * takes the clients it lets in, and starts it again if it ever dies (the listeners are the
 * master's too, so that meanwhile clients just wait in the backlog).
 */
#include "master.h"

#include "access.h"
#include "adopt.h"
#include "command.h"
#include "drain.h"
#include "ipc.h"
#include "log.h"
#include "nbd.h"
#include "negotiate.h"
#include "probe.h"
#include "retired.h"
#include "retry.h"
#include "serial.h"
#include "settle.h"
#include "snapshots.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { RESPAWN_MS = 1000, QUICK_DEATH_MS = 5000 };

/* Those that are retired take part in everything. */
static void tell(struct master *m, enum ipc_type type, const void *body, size_t len)
{
	chan_send(&m->negotiator, type, body, len, -1);
	retired_tell(m, type, body, len);
}

/* What is kept is what it is for everybody; the negotiator knows by itself who only reads. */
void master_facts(struct master *m, const struct ipc_lookup *who, const struct export_facts *facts,
	uint32_t keep)
{
	struct ipc_facts msg = {
		.client = who->client, .question = who->question, .keep = keep, .facts = *facts};
	struct err err;

	if (access_ask(m, who, &msg.facts, &err) < 0) {
		master_refuse(m, who, master_refusal(err.code), err.text);
		return;
	}
	if (keep != NEG_NO_EXPORT)
		msg.facts = *facts;
	tell(m, IPC_FACTS, &msg, sizeof(msg));
}

void master_refuse(struct master *m, const struct ipc_lookup *who, uint32_t reply, const char *text)
{
	struct ipc_refuse msg = {.client = who->client, .question = who->question, .reply = reply};

	snprintf(msg.text, sizeof(msg.text), "%s", text);
	tell(m, IPC_REFUSE, &msg, sizeof(msg));
}

uint32_t master_refusal(int error)
{
	return error == ENOENT ? NBD_REP_ERR_UNKNOWN : NBD_REP_ERR_POLICY;
}

void master_refuse_image(struct master *m, const struct ipc_lookup *who, int error)
{
	char text[128];

	snprintf(text, sizeof(text), "the image cannot be served: %s", strerror(error));
	master_refuse(m, who, master_refusal(error), text);
}

static void send_rules(struct master *m, enum ipc_rule_list list, const struct peers *rules)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct ipc_rule msg = {.list = list, .rule = rules->rules[i]};

		tell(m, IPC_RULE, &msg, sizeof(msg));
	}
}

void link_send_common(struct master *m)
{
	const struct peers *allow = &m->allow, *deny = &m->deny;
	uint32_t count = (uint32_t)(allow->count + deny->count);

	settle_changed(m);
	tell(m, IPC_COMMON, &count, sizeof(count));
	send_rules(m, IPC_RULE_ALLOW, allow);
	send_rules(m, IPC_RULE_DENY, deny);
}

void link_send_export(struct master *m, const struct export_entry *e)
{
	char description[NBD_STRING_MAX + 1];
	struct ipc_export head = {.id = e->id,
		.is_default = e->config.is_default,
		.is_snapshot = e->parent != 0,
		.rules = (uint32_t)(e->config.allow.count + e->config.deny.count +
			e->config.readonly_for.count),
		.name_len = (uint16_t)strlen(e->config.name)};
	uint8_t body[sizeof(head) + 2 * NBD_STRING_MAX];

	if (drain_hides(m, e))
		return;
	serial_describe(e, description);
	head.description_len = (uint16_t)strlen(description);
	memcpy(body, &head, sizeof(head));
	memcpy(body + sizeof(head), e->config.name, head.name_len);
	memcpy(body + sizeof(head) + head.name_len, description, head.description_len);
	settle_changed(m);
	tell(m, IPC_EXPORT, body, sizeof(head) + head.name_len + head.description_len);
	send_rules(m, IPC_RULE_ALLOW, &e->config.allow);
	send_rules(m, IPC_RULE_DENY, &e->config.deny);
	send_rules(m, IPC_RULE_READONLY, &e->config.readonly_for);
	worker_ask_again(m, e->id); /* with the entry before went what it kept */
}

void link_forget_export(struct master *m, uint32_t id)
{
	settle_changed(m);
	tell(m, IPC_FORGET, &id, sizeof(id));
}

void link_ask_again(struct master *m, uint32_t id)
{
	settle_changed(m);
	tell(m, IPC_ASK, &id, sizeof(id));
}

/* Lookups. */

struct question {
	struct master *master;
	struct ipc_lookup who;
};

static void probe_answer(void *arg, const struct probe_result *result)
{
	struct question *q = arg;

	if (result->code)
		master_refuse_image(q->master, &q->who, result->code);
	else
		master_facts(q->master, &q->who, &result->facts, NEG_NO_EXPORT);
	free(q);
}

/* Facts of a plain file can be had without a worker; layers and proxies know their own best. */
static bool needs_worker(const struct master *m, const struct export_entry *e)
{
	return command_kind(m->options, e) != EXPORT_TARGET;
}

/* INFO of an export nobody uses: no worker is started for it. */
static void ask_probe(struct master *m, const struct ipc_lookup *who, const struct export_entry *e)
{
	struct question *q = malloc(sizeof(*q));

	if (q) {
		*q = (struct question){m, *who};
		if (probe_start(
			    &m->probes, e->config.image, master_readonly(m, e), probe_answer, q))
			return;
	}
	free(q);
	master_refuse(m, who, NBD_REP_ERR_POLICY, "out of memory or processes");
}

/* A snapshot is looked at through the server that took it, and never kept. */
static void ask_parent(struct master *m, const struct ipc_lookup *who, const struct export_entry *e)
{
	struct worker *w = worker_for(m, e->parent);
	struct export_facts facts;

	if (!w || w->state != WORKER_READY) {
		master_refuse(m, who, NBD_REP_ERR_POLICY, "the server of this snapshot is ending");
		return;
	}
	facts = snapshots_facts(&w->facts, e->size);
	w->promised_at = m->reactor.now;
	master_facts(m, who, &facts, NEG_NO_EXPORT);
}

static void ask_worker(struct master *m, const struct ipc_lookup *who, const struct export_entry *e)
{
	struct worker *w = worker_for(m, who->export_id);
	struct err err;

	if (!w && adopt_check_free(m, e, &err) < 0) {
		master_refuse(m, who, NBD_REP_ERR_POLICY, err.text);
		return;
	}
	if (retry_later(m, who))
		return;
	if (!w)
		w = worker_start(m, who->export_id);
	if (!w)
		master_refuse(m, who, NBD_REP_ERR_POLICY,
			"the server of this export could not be started");
	else if (w->state == WORKER_STARTING)
		worker_wait(w, who);
	else
		worker_promise(w, who);
}

void link_look_up(struct master *m, const struct ipc_lookup *who)
{
	const struct export_entry *e = exports_by_id(&m->exports, who->export_id);
	struct worker *w = worker_for(m, who->export_id);
	struct err err;

	if (m->ending)
		master_refuse(m, who, NBD_REP_ERR_SHUTDOWN, "the server is shutting down");
	else if (!e || drain_hides(m, e))
		master_refuse(m, who, NBD_REP_ERR_UNKNOWN, "no such export");
	else if (who->final && access_check_room(m, e, who->host, &err) < 0)
		master_refuse(m, who, NBD_REP_ERR_POLICY, err.text);
	else if (e->parent && !e->detached)
		ask_parent(m, who, e);
	else if (w && w->state == WORKER_READY && !who->final)
		master_facts(m, who, &w->facts, NEG_NO_EXPORT);
	else if (who->final || needs_worker(m, e))
		ask_worker(m, who, e);
	else
		ask_probe(m, who, e);
}

/* 0, or why it is not let in. */
static int check_entry(
	struct master *m, struct export_entry *e, const struct client *c, struct err *err)
{
	const struct worker *w = e ? worker_for(m, snapshots_server(e)) : NULL;
	int ret;

	if (m->ending || !w || w->state != WORKER_READY)
		return err_set(err, ESHUTDOWN, "its server has ended meanwhile");
	if (drain_hides(m, e))
		return err_set(
			err, ENOENT, "the export goes, or changes, and waits for clients to leave");
	ret = access_check_room(m, e, c->peer.host, err);
	return ret < 0 ? ret : access_enter(m, e, c, err);
}

/*
 * Between the answer and this the worker may have ended (idle, or dead), the export have been
 * removed, its rules have changed or another client have taken its place: then the connection is
 * closed, and the client's next try finds the new state. Who the client is we see for ourselves.
 */
static void enter(struct master *m, const struct ipc_enter *msg, int fd)
{
	struct export_entry *e = exports_by_id(&m->exports, msg->export_id);
	struct client client = {
		.features = msg->features, .told = msg->told, .readonly = msg->readonly};
	const struct log_subject about = {
		.export = e ? e->config.name : NULL, .peer = client.peer.name};
	struct err err;

	if (!sock_peer(fd, &client.peer)) {
		close(fd); /* gone already */
		return;
	}
	if (check_entry(m, e, &client, &err) < 0) {
		log_client(LOG_LEVEL_INFO, &about, "not let in: %s", err.text);
		close(fd);
		return;
	}
	client.snapshot = snapshots_server(e) == e->id ? 0 : e->snapshot;
	worker_give(worker_for(m, snapshots_server(e)), &client, fd);
}

static void take_log(const struct ipc_log *msg)
{
	char text[sizeof(msg->text)], peer[sizeof(msg->peer)];
	const struct log_subject about = {.peer = msg->peer[0] ? peer : NULL};

	str_printable(text, sizeof(text), msg->text, strnlen(msg->text, sizeof(msg->text)));
	str_printable(peer, sizeof(peer), msg->peer, strnlen(msg->peer, sizeof(msg->peer)));
	log_line(MIN_OF(msg->level, (uint32_t)LOG_LEVEL_DEBUG), &about, text);
}

static void end_text(char *text, size_t room)
{
	text[room - 1] = 0;
}

static void take_lookup(struct master *m, const struct ipc_lookup *body)
{
	struct ipc_lookup msg = *body;

	end_text(msg.host, sizeof(msg.host));
	link_look_up(m, &msg);
}

/* Strangers talk to it, so it may have been taken over: nothing it says is trusted to be sane. */
void link_message(struct master *m, uint32_t type, const void *body, size_t len, int fd)
{
	if (type == IPC_ENTER && len == sizeof(struct ipc_enter) && fd >= 0) {
		enter(m, body, fd);
		return;
	}
	fd_close(&fd);
	if (type == IPC_LOOKUP && len == sizeof(struct ipc_lookup))
		take_lookup(m, body);
	else if (type == IPC_LOG && len == sizeof(struct ipc_log))
		take_log(body);
}

static void negotiator_says(struct chan *c, uint32_t type, const void *body, size_t len, int fd)
{
	struct master *m = container_of(c, struct master, negotiator);

	if (type == IPC_SYNCED && len == sizeof(uint64_t))
		settle_synced(m, *(const uint64_t *)body);
	link_message(m, type, body, len, fd);
}

/* The next one hears of everything before it hears of clients. */
static void negotiator_hung_up(struct chan *c)
{
	chan_done(c); /* SIGCHLD follows */
	settle_open(container_of(c, struct master, negotiator));
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

void link_send_log_level(struct master *m)
{
	uint32_t level = (uint32_t)log_level_now();

	tell(m, IPC_LOG_LEVEL, &level, sizeof(level));
}

void link_send_timeout(struct master *m)
{
	uint32_t ms = (uint32_t)m->options->handshake_timeout * 1000;

	tell(m, IPC_TIMEOUT, &ms, sizeof(ms));
}

static void teach(struct master *m)
{
	link_send_common(m);
	link_send_log_level(m);
	link_send_timeout(m);
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

void link_retire(struct master *m)
{
	m->retiring = true;
	tell(m, IPC_RETIRE, NULL, 0);
}

void link_stop(struct master *m)
{
	if (m->negotiator.fd >= 0)
		tell(m, IPC_SHUTDOWN, NULL, 0);
}

bool link_reaped(struct master *m, pid_t pid, int status)
{
	if (pid != m->negotiator_pid)
		return retired_reaped(m, pid);
	m->negotiator_pid = 0;
	if (m->retiring)
		return true; /* its last clients may still be in the channel */
	chan_done(&m->negotiator);
	settle_open(m);
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
