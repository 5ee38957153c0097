/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients on their way in: accepts connections and runs their handshakes, all in one thread, with
 * a limit. When the lobby is full the oldest unfinished handshake gives way to the new one, so a
 * crowd of silent clients costs memory, not service.
 */
#ifndef LIB_LOBBY_H
#define LIB_LOBBY_H

#include "handshake.h"
#include "reactor.h"
#include "sock.h"

struct lobby;

struct lobby_client {
	struct handshake handshake;
	struct lobby *lobby;
	uint64_t id;       /* unique while the lobby lives */
	uint64_t question; /* for the owner: number of its lookup */
	struct lobby_client *older, *newer;
};

struct lobby_ops {
	/* May this peer begin a handshake? NULL: all may. Those who may not are closed at once. */
	bool (*admit)(struct lobby *l, const struct sock_peer *peer);
	/* handshake.neg.lookup_id is wanted; answer by lobby_client's handshake, now or later. */
	void (*lookup)(struct lobby *l, struct lobby_client *c);
	/* The client may enter. The callee takes c->handshake.fd (sets it to -1) or it is closed.
	 */
	void (*enter)(struct lobby *l, struct lobby_client *c);
	/* The client left without entering; may be NULL. */
	void (*left)(struct lobby *l, struct lobby_client *c);
};

struct lobby_listener {
	struct lobby *lobby;
	struct reactor_watch watch;
	int fd;
};

struct lobby {
	struct reactor *reactor;
	const struct lobby_ops *ops;
	struct neg_env env; /* what handshakes may see; the owner keeps it current */
	const struct export_facts *oldstyle; /* non-NULL: greet in the old way with these */
	struct lobby_listener listeners[SOCK_LISTEN_MAX];
	size_t listening;
	struct reactor_timer pause; /* accept again after running out of descriptors */
	uint64_t step_ms;           /* deadline of each option, for those who come from now on */
	struct lobby_client *oldest, *newest;
	struct lobby_client **slots; /* id % max -> client */
	size_t count, max;
	uint64_t last_id;
	void *owner;
};

/* MAX handshakes at once. 0 or -ENOMEM. `env` and `oldstyle` are set by the caller afterwards. */
int lobby_init(struct lobby *l, struct reactor *r, const struct lobby_ops *ops, size_t max);
/* Drops all handshakes and closes all listeners. */
void lobby_done(struct lobby *l);

/* Takes the listening FD. 0 or -errno. */
int lobby_listen(struct lobby *l, int fd);
void lobby_stop_listening(struct lobby *l);

/* Takes a connected FD as if it had been accepted. 0 or -errno. */
int lobby_admit(struct lobby *l, int fd);

/* NULL if that client has left. */
struct lobby_client *lobby_find(struct lobby *l, uint64_t id);

#endif
