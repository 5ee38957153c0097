/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The master of a worker: whose clients it serves, and who hears when it is idle.
 *
 *	adopt protocol    makes this connection the master's; answers all that a master must know
 *
 * There is one master at a time. When its connection ends the worker goes on alone; then the next
 * one may come. What the last one has sent is carried out before the new one hears anything, so its
 * list of clients is complete. Everything here runs in the main thread.
 */
#include "log.h"
#include "proxy.h"
#include "snapshot.h"
#include "str.h"
#include "util.h"
#include "worker_inner.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Of what "adopt" asks and answers. Others are refused, so that both sides can do without. */
enum { ADOPT_PROTOCOL = 1 };

/* Whoever connects to the socket of one that was never adopted may be its master. */
bool worker_has_master(const struct worker *w)
{
	return w->master || (!w->was_adopted && w->ctl[0].server.count > 0);
}

static pid_t peer_pid(const struct ctl_conn *c)
{
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);

	getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	return cred.pid;
}

/* It may have sent something before, which is still to be read. */
static bool has_hung_up(const struct ctl_conn *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLRDHUP | POLLERR));
}

/* What is served. */

static json_t *describe_export(const struct worker *w)
{
	const struct export_facts *f = &w->storage->facts;

	return json_pack("{s:i, s:s, s:i, s:s, s:s, s:s, s:I, s:i, s:i, s:i, s:i, s:b, s:b}",
		"protocol", ADOPT_PROTOCOL, "version", XNBD_VERSION, "pid", (int)getpid(), "mode",
		storage_mode(w->storage), "began_as", w->began_as, "export", w->config.export_name,
		"size", (json_int_t)f->size, "flags", f->flags, "block_min", (int)f->block_min,
		"block_preferred", (int)f->block_preferred, "block_max", (int)f->block_max,
		"told_readonly", w->config.readonly, "ending", w->state != WORKER_RUNS);
}

/* Names of files are bytes. */
static json_t *path_of(const char *bytes)
{
	char printable[PATH_MAX];
	json_t *text = json_string(bytes);

	if (text)
		return text;
	str_printable(printable, sizeof(printable), bytes, strlen(bytes));
	return json_string(printable);
}

/* What a master has asked for, as far as it is not over. */
static json_t *describe_copy(const struct worker *w)
{
	struct proxy *p = proxy_of(w->storage);
	struct proxy_status s = {.copy.state = COPIER_NONE};

	if (p)
		proxy_status(p, &s);
	return json_pack("{s:s, s:I}", "copy", copier_state_name(s.copy.state), "copy_rate",
		(json_int_t)s.copy.limit);
}

/* Its clients. */

static json_t *groups_of(const struct peers_id *id)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < id->group_count; i++)
		json_array_append_new(all, json_integer(id->groups[i]));
	return all;
}

/* An address says by itself who it is, a user of a unix socket does not. */
static json_t *describe_client(const struct conn *c)
{
	char features[FEATURE_TEXT_MAX];
	struct sock_peer peer;
	json_t *ret;

	sock_peer(c->fd, &peer);
	feature_format(&c->rules.agreed, features);
	ret = json_pack("{s:I, s:s, s:s, s:s, s:I, s:b}", "id", (json_int_t)c->id, "peer", c->name,
		"host", peer.host, "features", features, "since", (json_int_t)c->since, "readonly",
		!!(c->rules.flags & NBD_FLAG_READ_ONLY));
	if (c->snapshot)
		json_object_set_new(ret, "snapshot", json_integer((json_int_t)c->snapshot->id));
	if (peer.id.kind == PEERS_UNIX)
		json_object_update_new(ret,
			json_pack("{s:I, s:I, s:o}", "uid", (json_int_t)peer.id.uid, "gid",
				(json_int_t)peer.id.gid, "groups", groups_of(&peer.id)));
	return ret;
}

static json_t *describe_clients(const struct worker *w)
{
	json_t *all = json_array();

	for (const struct conn *c = w->first_client; c; c = c->later)
		json_array_append_new(all, describe_client(c));
	return all;
}

static void answer(struct worker *w, struct ctl_conn *c)
{
	json_t *all = ctl_ok();

	json_object_update_new(all, describe_export(w));
	json_object_set_new(all, "image", path_of(w->config.image));
	json_object_set_new(all, "control", path_of(w->ctl_count > 1 ? w->ctl[1].path : ""));
	json_object_update_new(all, describe_copy(w));
	json_object_set_new(all, "since", json_integer((json_int_t)w->since));
	json_object_set_new(all, "last_client", json_integer((json_int_t)w->last_id));
	json_object_set_new(all, "clients", describe_clients(w));
	json_object_set_new(all, "snapshots", worker_snapshots(w));
	ctl_send(c, all, -1);
}

/* Who is the master. */

static void take_master(struct worker *w, struct ctl_conn *c)
{
	if (w->was_adopted && w->master != c)
		log_info(
			"%s: adopted by the master with pid %d", w->config.image, (int)peer_pid(c));
	w->master = c;
	w->was_adopted = true;
	answer(w, c);
}

static void refuse_protocol(struct ctl_conn *c)
{
	char text[64];

	snprintf(text, sizeof(text), "adopt: \"protocol\" must be %d", ADOPT_PROTOCOL);
	ctl_send_error(c, text);
}

/* It belongs to somebody: to the one at the other end of HAS. */
static void refuse_taken(struct ctl_conn *c, const struct ctl_conn *has)
{
	pid_t pid = peer_pid(has);
	char text[64];

	snprintf(text, sizeof(text), "adopt: there is a master already, with pid %d", (int)pid);
	ctl_send(c, json_pack("{s:b, s:s, s:i}", "ok", 0, "error", text, "master", (int)pid), -1);
}

static void do_adopt(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	json_int_t protocol = json_integer_value(json_object_get(msg, "protocol"));

	fd_close(&fd);
	if (!w->config.of_master)
		ctl_send_error(c, "adopt: this server was not started by a master");
	else if (protocol != ADOPT_PROTOCOL)
		refuse_protocol(c);
	else if (!w->master || w->master == c)
		take_master(w, c);
	else if (!has_hung_up(w->master))
		refuse_taken(c, w->master);
	else if (w->adopting)
		refuse_taken(c, w->adopting);
	else {
		w->adopting = c;
		ctl_pause(c);
	}
}

void worker_master_gone(struct worker *w, const struct ctl_conn *c)
{
	struct ctl_conn *next = w->adopting;

	if (next == c)
		w->adopting = NULL;
	if (w->master != c)
		return;
	w->master = NULL;
	/* The next one has some time to come. */
	if (w->idle.slot)
		reactor_timer_set(&w->reactor, &w->idle, WORKER_ORPHAN_MS);
	if (!next)
		return;
	w->adopting = NULL;
	take_master(w, next);
	ctl_resume(next);
}

const struct worker_command worker_adopt_commands[] = {
	{"adopt", do_adopt},
	{NULL, NULL},
};
