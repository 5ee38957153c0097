/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listening side of the control protocol: who may come in, and how many. */
#include "ctl.h"

#include "sock.h"
#include "util.h"

#include <errno.h>
#include <sys/socket.h>

enum { PAUSE_MS = 100 };

struct ctl_client {
	struct ctl_conn conn;
	struct ctl_server *server;
	struct ctl_client *next;
};

static void client_message(struct ctl_conn *c, json_t *msg, int fd)
{
	struct ctl_client *client = container_of(c, struct ctl_client, conn);

	client->server->ops->request(client->server, c, msg, fd);
}

static void forget(struct ctl_client *client)
{
	struct ctl_server *s = client->server;
	struct ctl_client **p = &s->clients;

	while (*p != client)
		p = &(*p)->next;
	*p = client->next;
	s->count--;
	if (s->ops->gone)
		s->ops->gone(s, &client->conn);
	free(client);
}

static void client_closed(struct ctl_conn *c)
{
	forget(container_of(c, struct ctl_client, conn));
}

static const struct ctl_ops client_ops = {client_message, client_closed};

static void refuse(struct ctl_conn *c, const char *text)
{
	c->closing = true;
	ctl_send_error(c, text);
	if (!c->out)
		shutdown(c->fd, SHUT_RDWR); /* `ready` sees the end and closes */
}

static bool is_member(int fd, gid_t group)
{
	struct sock_peer peer;

	if (!sock_peer(fd, &peer))
		return false;
	for (uint32_t i = 0; i < peer.id.group_count; i++) {
		if (peer.id.groups[i] == group)
			return true;
	}
	return peer.id.gid == group;
}

static bool may_control(const struct ctl_server *s, const struct ctl_conn *c)
{
	return c->uid == 0 || c->uid == geteuid() || (s->shared && is_member(c->fd, s->group));
}

struct ctl_conn *ctl_server_admit(struct ctl_server *s, int fd)
{
	struct ctl_client *client = calloc(1, sizeof(*client));

	if (!client || ctl_conn_init(&client->conn, s->reactor, fd, &client_ops) < 0) {
		if (!client)
			close(fd);
		free(client);
		return NULL;
	}
	client->server = s;
	client->conn.patient = true;
	client->conn.gate = s->gate;
	client->next = s->clients;
	s->clients = client;
	s->count++;
	if (!may_control(s, &client->conn))
		refuse(&client->conn,
			s->shared
				? "permission denied: only root, the daemon's own user and members "
				  "of its group may control it"
				: "permission denied: only root or the daemon's own user may "
				  "control it");
	else if (s->count > CTL_CLIENTS_MAX)
		refuse(&client->conn, "too many control connections");
	return &client->conn;
}

static void incoming(struct reactor_watch *w, uint32_t events)
{
	struct ctl_server *s = container_of(w, struct ctl_server, watch);
	int fd;

	(void)events;
	while ((fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		ctl_server_admit(s, fd);
	if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
		return;
	/* Out of descriptors: trying again at once would only burn the processor. */
	reactor_change(s->reactor, &s->watch, 0);
	reactor_timer_set(s->reactor, &s->pause, PAUSE_MS);
}

static void pause_over(struct reactor_timer *t)
{
	struct ctl_server *s = container_of(t, struct ctl_server, pause);

	reactor_change(s->reactor, &s->watch, EPOLLIN);
}

int ctl_server_init(
	struct ctl_server *s, struct reactor *r, int fd, const struct ctl_server_ops *ops)
{
	int ret;

	*s = (struct ctl_server){.reactor = r, .ops = ops, .fd = fd, .pause.fn = pause_over};
	ret = reactor_add(r, &s->watch, fd, EPOLLIN, incoming);
	if (ret < 0)
		fd_close(&s->fd);
	return ret;
}

void ctl_server_share(struct ctl_server *s, gid_t group)
{
	s->shared = true;
	s->group = group;
}

void ctl_server_done(struct ctl_server *s)
{
	if (s->fd < 0)
		return;
	while (s->clients) {
		struct ctl_client *client = s->clients;

		ctl_conn_done(&client->conn);
		forget(client);
	}
	reactor_timer_cancel(s->reactor, &s->pause);
	reactor_remove(s->reactor, &s->watch);
	fd_close(&s->fd);
}

void ctl_server_settled(struct ctl_server *s)
{
	for (struct ctl_client *client = s->clients; client; client = client->next)
		ctl_send_queued(&client->conn);
}

void ctl_server_each(struct ctl_server *s, void (*fn)(void *arg, struct ctl_conn *c), void *arg)
{
	for (struct ctl_client *client = s->clients; client; client = client->next)
		fn(arg, &client->conn);
}

void ctl_server_broadcast(struct ctl_server *s, json_t *msg)
{
	for (struct ctl_client *client = s->clients; client; client = client->next)
		ctl_send(&client->conn, json_copy(msg), -1);
}
