/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the negotiator knows: a directory of exports, and a lobby full of clients. Lookups carry
 * the client's lobby id, so that an answer for a client who has left falls into nothing.
 */
#include "negotiator.h"

#include "chan.h"
#include "clock.h"
#include "directory.h"
#include "ipc.h"
#include "lobby.h"
#include "log.h"
#include "proc.h"
#include "sandbox.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

enum { HANDSHAKES_MAX = 16384, ID_TIME_SHIFT = 22, LEAVE_MS = 50 };

static struct negotiator {
	struct reactor reactor;
	struct chan master;
	struct lobby lobby;
	struct directory directory;
	struct reactor_timer leave; /* retired: is there anybody left? */
	uint64_t questions;         /* asked so far */
} self;

/* Exports, as the handshakes see them. */

static uint32_t find_export(void *ctx, const void *who, const char *name, size_t len)
{
	(void)ctx;
	return directory_find(&self.directory, who, name, len);
}

static bool export_at(void *ctx, const void *who, size_t index, struct neg_item *ret)
{
	(void)ctx;
	return directory_at(&self.directory, who, index, ret);
}

static bool export_by_id(void *ctx, uint32_t id, struct neg_item *ret)
{
	const struct directory_entry *e = directory_by_id(&self.directory, id);

	(void)ctx;
	if (e)
		directory_item(e, ret);
	return e;
}

/* Clients, towards the master. */

/* The facts as they are for this client. */
static void answer(struct handshake *h, const struct export_facts *facts)
{
	const struct directory_entry *e = directory_by_id(&self.directory, h->neg.lookup_id);
	struct export_facts own = e ? directory_facts(e, &h->peer.id, facts) : *facts;

	handshake_answer(h, &own);
}

static void client_lookup(struct lobby *l, struct lobby_client *c)
{
	struct ipc_lookup msg = {.client = c->id,
		.question = ++self.questions,
		.export_id = c->handshake.neg.lookup_id,
		.final = neg_lookup_is_final(&c->handshake.neg)};
	const struct directory_entry *e = directory_by_id(&self.directory, msg.export_id);
	int ret;

	(void)l;
	c->question = msg.question;
	if (e && e->keeps) {
		answer(&c->handshake, &e->facts);
		return;
	}
	memcpy(msg.host, c->handshake.peer.host, sizeof(msg.host));
	msg.id = c->handshake.peer.id;
	ret = chan_send(&self.master, IPC_LOOKUP, &msg, sizeof(msg), -1);
	if (ret == -ENOMEM)
		handshake_refuse(&c->handshake, NBD_REP_ERR_PLATFORM, "out of memory");
	else if (ret < 0)
		handshake_refuse(&c->handshake, NBD_REP_ERR_SHUTDOWN,
			"the server has just ended; try again");
}

static void client_enter(struct lobby *l, struct lobby_client *c)
{
	struct ipc_enter msg = {.export_id = c->handshake.neg.lookup_id,
		.features = c->handshake.neg.features,
		.told = c->handshake.neg.told,
		.readonly = c->handshake.neg.told_readonly};

	(void)l;
	chan_send(&self.master, IPC_ENTER, &msg, sizeof(msg), c->handshake.fd);
	c->handshake.fd = -1;
}

static bool client_admit(struct lobby *l, const struct sock_peer *peer)
{
	(void)l;
	return directory_admits(&self.directory, &peer->id);
}

static const struct lobby_ops lobby_ops = {
	.admit = client_admit, .lookup = client_lookup, .enter = client_enter};

/* Messages of the master. */

static struct handshake *waiting_client(uint64_t id, uint64_t question)
{
	struct lobby_client *c = lobby_find(&self.lobby, id);

	return c && c->handshake.looking && c->question == question ? &c->handshake : NULL;
}

static void take_facts(const struct ipc_facts *msg)
{
	struct handshake *h = waiting_client(msg->client, msg->question);
	struct directory_entry *e = directory_by_id(&self.directory, msg->keep);

	if (e) {
		e->keeps = true;
		e->facts = msg->facts;
	}
	if (h)
		answer(h, &msg->facts);
}

static void ask_again(uint32_t id)
{
	struct directory_entry *e = directory_by_id(&self.directory, id);

	if (e)
		e->keeps = false;
}

static void take_refusal(const struct ipc_refuse *msg)
{
	struct handshake *h = waiting_client(msg->client, msg->question);

	if (h)
		handshake_refuse(h, msg->reply, msg->text);
}

static void shut_down(void)
{
	self.lobby.env.shutting_down = true;
	lobby_stop_listening(&self.lobby);
}

static void leave_if_empty(struct reactor_timer *t)
{
	if (self.lobby.count == 0 && !self.master.first)
		reactor_stop(&self.reactor);
	else
		reactor_timer_set(&self.reactor, t, LEAVE_MS);
}

/* A client that is answered at once may leave the list. */
static void retire(void)
{
	struct lobby_client *c, *next;

	lobby_stop_listening(&self.lobby);
	for (c = self.lobby.oldest; c; c = next) {
		next = c->newer;
		if (c->handshake.looking)
			client_lookup(&self.lobby, c);
	}
	self.leave.fn = leave_if_empty;
	reactor_timer_set(&self.reactor, &self.leave, 0);
}

static void learn(uint32_t type, const void *body, size_t len)
{
	struct directory *d = &self.directory;
	bool ok = type == IPC_EXPORT ? directory_learn(d, body, len)
		: type == IPC_COMMON ? directory_learn_common(d, body, len)
				     : directory_learn_rule(d, body, len);

	if (!ok)
		log_error("negotiator: an export or its rules could not be taken over");
}

static void master_message(struct chan *c, uint32_t type, const void *body, size_t len, int fd)
{
	if (type == IPC_LISTENER && fd >= 0) {
		lobby_listen(&self.lobby, fd);
		return;
	}
	fd_close(&fd);
	if (type == IPC_EXPORT || type == IPC_COMMON || type == IPC_RULE)
		learn(type, body, len);
	else if (type == IPC_FORGET && len == sizeof(uint32_t))
		directory_forget(&self.directory, *(const uint32_t *)body);
	else if (type == IPC_ASK && len == sizeof(uint32_t))
		ask_again(*(const uint32_t *)body);
	else if (type == IPC_FACTS && len == sizeof(struct ipc_facts))
		take_facts(body);
	else if (type == IPC_REFUSE && len == sizeof(struct ipc_refuse))
		take_refusal(body);
	else if (type == IPC_LOG_LEVEL && len == sizeof(uint32_t))
		log_level((enum log_level) * (const uint32_t *)body);
	else if (type == IPC_TIMEOUT && len == sizeof(uint32_t))
		self.lobby.step_ms = *(const uint32_t *)body;
	else if (type == IPC_SYNC && len == sizeof(uint64_t))
		chan_send(c, IPC_SYNCED, body, len, -1);
	else if (type == IPC_RETIRE)
		retire();
	else if (type == IPC_SHUTDOWN)
		shut_down();
}

static void master_gone(struct chan *c)
{
	(void)c;
	reactor_stop(&self.reactor);
}

static const struct chan_ops master_ops = {master_message, master_gone};

static void log_to_master(enum log_level level, const struct log_subject *about, const char *text)
{
	struct ipc_log msg = {.level = level};

	snprintf(msg.peer, sizeof(msg.peer), "%s", about->peer ? about->peer : "");
	snprintf(msg.text, sizeof(msg.text), "%s", text);
	chan_send(&self.master, IPC_LOG, &msg, sizeof(msg), -1);
}

int negotiator_main(int channel)
{
	struct err err = {0};
	int ret;

	prctl(PR_SET_NAME, "xnbd-negotiator");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* the terminal's; the master tells us when it is over */
	ret = reactor_init(&self.reactor);
	if (ret == 0)
		ret = lobby_init(&self.lobby, &self.reactor, &lobby_ops, HANDSHAKES_MAX);
	if (ret == 0)
		ret = chan_init(&self.master, &self.reactor, channel, &master_ops);
	if (ret < 0)
		return EXIT_FAILURE;
	/* An answer to a lookup of the negotiator before this one must not meet a client of ours.
	 */
	self.lobby.last_id = clock_ms() << ID_TIME_SHIFT;
	self.lobby.env =
		(struct neg_env){.find = find_export, .at = export_at, .by_id = export_by_id};
	log_to_function(log_to_master);
	if (sandbox_network_only(&err) < 0) {
		log_error("negotiator: %s", err.text);
		return EXIT_FAILURE;
	}
	ret = reactor_run(&self.reactor);
	lobby_done(&self.lobby);
	chan_done(&self.master);
	directory_done(&self.directory);
	reactor_done(&self.reactor);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
