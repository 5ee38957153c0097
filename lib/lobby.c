/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listeners and the handshakes they lead to, oldest first; see lobby.h. */
#include "lobby.h"

#include "log.h"
#include "util.h"

#include <errno.h>
#include <string.h>

enum { ACCEPT_TURN = 64, PAUSE_MS = 100 };

static void pause_over(struct reactor_timer *t);

int lobby_init(struct lobby *l, struct reactor *r, const struct lobby_ops *ops, size_t max)
{
	memset(l, 0, sizeof(*l));
	l->reactor = r;
	l->ops = ops;
	l->max = max;
	l->pause.fn = pause_over;
	l->step_ms = HANDSHAKE_OPTION_MS;
	l->slots = calloc(max, sizeof(*l->slots));
	return l->slots ? 0 : -ENOMEM;
}

static void remove_client(struct lobby_client *c)
{
	struct lobby *l = c->lobby;

	*(c->older ? &c->older->newer : &l->oldest) = c->newer;
	*(c->newer ? &c->newer->older : &l->newest) = c->older;
	l->slots[c->id % l->max] = NULL;
	l->count--;
	handshake_done(&c->handshake);
	free(c);
}

static void drop_client(struct lobby_client *c)
{
	if (c->lobby->ops->left)
		c->lobby->ops->left(c->lobby, c);
	remove_client(c);
}

static void client_lookup(struct handshake *h)
{
	struct lobby_client *c = container_of(h, struct lobby_client, handshake);

	c->lobby->ops->lookup(c->lobby, c);
}

static void client_finished(struct handshake *h, bool go)
{
	struct lobby_client *c = container_of(h, struct lobby_client, handshake);

	if (!go) {
		drop_client(c);
		return;
	}
	c->lobby->ops->enter(c->lobby, c);
	remove_client(c);
}

static const struct handshake_ops client_ops = {client_lookup, client_finished};

static void add_client(struct lobby *l, struct lobby_client *c)
{
	do
		c->id = ++l->last_id;
	while (l->slots[c->id % l->max]);
	l->slots[c->id % l->max] = c;
	c->older = l->newest;
	*(l->newest ? &l->newest->newer : &l->oldest) = c;
	l->newest = c;
	l->count++;
}

static void make_room(struct lobby *l)
{
	struct log_subject about = {0};

	if (l->count < l->max)
		return;
	about.peer = l->oldest->handshake.peer.name;
	log_client(LOG_LEVEL_WARN, &about,
		"handshake ended: %zu unfinished ones are the limit, this is the oldest", l->max);
	drop_client(l->oldest);
}

static void refuse_peer(const struct sock_peer *peer)
{
	const struct log_subject about = {.peer = peer->name};

	log_client(LOG_LEVEL_INFO, &about, "not served: the rules allow and deny say so");
}

int lobby_admit(struct lobby *l, int fd)
{
	struct lobby_client *c;
	struct sock_peer peer;
	int ret;

	sock_peer(fd, &peer);
	if (l->ops->admit && !l->ops->admit(l, &peer)) {
		refuse_peer(&peer);
		close(fd);
		return 0;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	make_room(l);
	c->lobby = l;
	ret = handshake_init(
		&c->handshake, l->reactor, fd, &peer, &client_ops, &l->env, l->oldstyle);
	if (ret < 0) {
		free(c);
		return ret;
	}
	if (l->step_ms != HANDSHAKE_OPTION_MS)
		handshake_set_timeout(&c->handshake, l->step_ms);
	add_client(l, c);
	return 0;
}

struct lobby_client *lobby_find(struct lobby *l, uint64_t id)
{
	struct lobby_client *c = l->slots[id % l->max];

	return c && c->id == id ? c : NULL;
}

static void watch_listeners(struct lobby *l, uint32_t events)
{
	for (size_t i = 0; i < l->listening; i++)
		reactor_change(l->reactor, &l->listeners[i].watch, events);
}

static void pause_over(struct reactor_timer *t)
{
	struct lobby *l = container_of(t, struct lobby, pause);

	watch_listeners(l, EPOLLIN);
}

/* Out of descriptors or memory: trying again at once would only burn the processor. */
static void accept_failed(struct lobby *l, int error)
{
	if (error == -EAGAIN || error == -ECONNABORTED || error == -EINTR)
		return;
	log_peer(LOG_LEVEL_ERROR, "accept: %s", strerror(-error));
	watch_listeners(l, 0);
	reactor_timer_set(l->reactor, &l->pause, PAUSE_MS);
}

static void incoming(struct reactor_watch *w, uint32_t events)
{
	struct lobby_listener *listener = container_of(w, struct lobby_listener, watch);

	(void)events;
	for (int i = 0; i < ACCEPT_TURN; i++) {
		int fd = sock_accept(listener->fd);

		if (fd < 0) {
			accept_failed(listener->lobby, fd);
			return;
		}
		lobby_admit(listener->lobby, fd);
	}
}

int lobby_listen(struct lobby *l, int fd)
{
	struct lobby_listener *listener = &l->listeners[l->listening];
	int ret;

	if (l->listening == SOCK_LISTEN_MAX) {
		close(fd);
		return -ENFILE;
	}
	listener->lobby = l;
	listener->fd = fd;
	ret = reactor_add(l->reactor, &listener->watch, fd, EPOLLIN, incoming);
	if (ret < 0)
		close(fd);
	else
		l->listening++;
	return ret;
}

void lobby_stop_listening(struct lobby *l)
{
	reactor_timer_cancel(l->reactor, &l->pause);
	while (l->listening > 0) {
		struct lobby_listener *listener = &l->listeners[--l->listening];

		reactor_remove(l->reactor, &listener->watch);
		close(listener->fd);
	}
}

void lobby_done(struct lobby *l)
{
	lobby_stop_listening(l);
	while (l->oldest)
		drop_client(l->oldest);
	free(l->slots);
	l->slots = NULL;
}
