/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the negotiator knows: a list of export names, and a lobby full of clients. Lookups carry
 * the client's lobby id, so that an answer for a client who has left falls into nothing.
 */
#include "negotiator.h"

#include "chan.h"
#include "clock.h"
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

enum { HANDSHAKES_MAX = 16384, ID_TIME_SHIFT = 22 };

struct known {
	uint32_t id;
	bool is_default, is_snapshot;
	bool keeps; /* `facts` are true until the master says otherwise */
	struct export_facts facts;
	size_t name_len;
	char *name, *description; /* one allocation, at name */
};

static struct negotiator {
	struct reactor reactor;
	struct chan master;
	struct lobby lobby;
	struct known *exports;
	size_t count, room;
} self;

/* Exports, as the handshakes see them. */

static void item_of(const struct known *k, struct neg_item *ret)
{
	ret->name = k->name;
	ret->description = *k->description ? k->description : NULL;
}

/* The only one is it too, whatever snapshots it has. */
static uint32_t find_default(void)
{
	uint32_t only = NEG_NO_EXPORT;
	size_t found = 0;

	for (size_t i = 0; i < self.count; i++) {
		if (self.exports[i].is_default)
			return self.exports[i].id;
		if (self.exports[i].is_snapshot)
			continue;
		only = self.exports[i].id;
		found++;
	}
	return found == 1 ? only : NEG_NO_EXPORT;
}

static uint32_t find_export(void *ctx, const char *name, size_t len)
{
	(void)ctx;
	if (len == 0)
		return find_default();
	for (size_t i = 0; i < self.count; i++) {
		const struct known *k = &self.exports[i];

		if (k->name_len == len && memcmp(k->name, name, len) == 0)
			return k->id;
	}
	return NEG_NO_EXPORT;
}

static bool export_at(void *ctx, size_t index, struct neg_item *ret)
{
	(void)ctx;
	if (index >= self.count)
		return false;
	item_of(&self.exports[index], ret);
	return true;
}

static struct known *known_by_id(uint32_t id)
{
	for (size_t i = 0; i < self.count; i++) {
		if (self.exports[i].id == id)
			return &self.exports[i];
	}
	return NULL;
}

static bool export_by_id(void *ctx, uint32_t id, struct neg_item *ret)
{
	const struct known *k = known_by_id(id);

	(void)ctx;
	if (k)
		item_of(k, ret);
	return k;
}

static void forget_export(uint32_t id)
{
	for (size_t i = 0; i < self.count; i++) {
		if (self.exports[i].id != id)
			continue;
		free(self.exports[i].name);
		memmove(&self.exports[i], &self.exports[i + 1],
			(--self.count - i) * sizeof(*self.exports));
		return;
	}
}

static bool reserve_export(void)
{
	size_t room = self.room ? 2 * self.room : 16;
	void *p;

	if (self.count < self.room)
		return true;
	p = realloc(self.exports, room * sizeof(*self.exports));
	if (!p)
		return false;
	self.exports = p;
	self.room = room;
	return true;
}

static void learn_export(const void *body, size_t len)
{
	const struct ipc_export *e = body;
	const char *strings = (const char *)(e + 1);
	char *copy = malloc((size_t)e->name_len + e->description_len + 2);

	if (len != sizeof(*e) + e->name_len + e->description_len || !copy || !reserve_export()) {
		log_error("negotiator: an export could not be taken over");
		free(copy);
		return;
	}
	memcpy(copy, strings, e->name_len);
	copy[e->name_len] = 0;
	memcpy(copy + e->name_len + 1, strings + e->name_len, e->description_len);
	copy[e->name_len + 1 + e->description_len] = 0;
	forget_export(e->id);
	self.exports[self.count++] = (struct known){.id = e->id,
		.is_default = e->is_default,
		.is_snapshot = e->is_snapshot,
		.name_len = e->name_len,
		.name = copy,
		.description = copy + e->name_len + 1};
}

/* Clients, towards the master. */

static void client_lookup(struct lobby *l, struct lobby_client *c)
{
	struct ipc_lookup msg = {.client = c->id,
		.export_id = c->handshake.neg.lookup_id,
		.final = neg_lookup_is_final(&c->handshake.neg)};

	const struct known *k = known_by_id(msg.export_id);

	(void)l;
	if (k && k->keeps) {
		handshake_answer(&c->handshake, &k->facts);
		return;
	}
	memcpy(msg.host, c->handshake.peer.host, sizeof(msg.host));
	if (chan_send(&self.master, IPC_LOOKUP, &msg, sizeof(msg), -1) < 0)
		handshake_refuse(&c->handshake, NBD_REP_ERR_PLATFORM, "out of memory");
}

static void client_enter(struct lobby *l, struct lobby_client *c)
{
	struct ipc_enter msg = {.export_id = c->handshake.neg.lookup_id,
		.features = c->handshake.neg.features,
		.peer = c->handshake.peer};

	(void)l;
	chan_send(&self.master, IPC_ENTER, &msg, sizeof(msg), c->handshake.fd);
	c->handshake.fd = -1;
}

static const struct lobby_ops lobby_ops = {client_lookup, client_enter, NULL};

/* Messages of the master. */

static struct handshake *waiting_client(uint64_t id)
{
	struct lobby_client *c = lobby_find(&self.lobby, id);

	return c && c->handshake.looking ? &c->handshake : NULL;
}

static void take_facts(const struct ipc_facts *msg)
{
	struct handshake *h = waiting_client(msg->client);
	struct known *k = known_by_id(msg->keep);

	if (k) {
		k->keeps = true;
		k->facts = msg->facts;
	}
	if (h)
		handshake_answer(h, &msg->facts);
}

static void ask_again(uint32_t id)
{
	struct known *k = known_by_id(id);

	if (k)
		k->keeps = false;
}

static void take_refusal(const struct ipc_refuse *msg)
{
	struct handshake *h = waiting_client(msg->client);

	if (h)
		handshake_refuse(h, msg->reply, msg->text);
}

static void shut_down(void)
{
	self.lobby.env.shutting_down = true;
	lobby_stop_listening(&self.lobby);
}

static void master_message(struct chan *c, uint32_t type, const void *body, size_t len, int fd)
{
	(void)c;
	if (type == IPC_LISTENER && fd >= 0) {
		lobby_listen(&self.lobby, fd);
		return;
	}
	fd_close(&fd);
	if (type == IPC_EXPORT && len >= sizeof(struct ipc_export))
		learn_export(body, len);
	else if (type == IPC_FORGET && len == sizeof(uint32_t))
		forget_export(*(const uint32_t *)body);
	else if (type == IPC_ASK && len == sizeof(uint32_t))
		ask_again(*(const uint32_t *)body);
	else if (type == IPC_FACTS && len == sizeof(struct ipc_facts))
		take_facts(body);
	else if (type == IPC_REFUSE && len == sizeof(struct ipc_refuse))
		take_refusal(body);
	else if (type == IPC_SHUTDOWN)
		shut_down();
}

static void master_gone(struct chan *c)
{
	(void)c;
	reactor_stop(&self.reactor);
}

static const struct chan_ops master_ops = {master_message, master_gone};

static void log_to_master(enum log_level level, const char *text)
{
	struct ipc_log msg = {.level = level};

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
	while (self.count > 0)
		forget_export(self.exports[0].id);
	free(self.exports);
	reactor_done(&self.reactor);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
