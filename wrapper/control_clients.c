/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is connected, and ending them.
 *
 *	clients  [name]                            those in transmission, the oldest first
 *	evict    name [, client] [, peer] [, force]
 *
 * An eviction is answered when the clients have gone, as their server says; so who asks may rely on
 * it. The hold of an exclusive export ends then, not before: what is under way may still write.
 */
#include "access.h"
#include "control.h"
#include "log.h"
#include "master.h"
#include "snapshots.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { EVICT_MS = 30 * 1000 };

struct eviction {
	struct master *master;
	struct ctl_conn *conn; /* NULL: gone */
	struct eviction *next;
	struct reactor_timer end;
	char holder[SOCK_NAME_MAX]; /* who is kept out; "" = nobody */
	size_t count, left;
	uint64_t ids[]; /* of those left */
};

/* What C is connected to; borrowed. */
static const char *export_of(const struct worker *w, const struct client *c)
{
	const struct export_entry *e = c->snapshot
		? snapshots_find(w->master, w->export_id, c->snapshot)
		: exports_by_id(&w->master->exports, w->export_id);

	return e ? e->config.name : w->export_name;
}

/* Which clients. */

struct choice {
	const char *name; /* NULL = of all exports */
	uint64_t id;      /* 0 = all */
	const char *peer; /* NULL = all; a peer as `clients` shows it, or a rule */
	struct peers rule;
	char holder[SOCK_NAME_MAX]; /* and what this peer writes through; "" = nothing more */
};

static bool is_peer(const struct choice *x, const struct sock_peer *peer)
{
	return !x->peer || strcmp(x->peer, peer->name) == 0 || strcmp(x->peer, peer->host) == 0 ||
		peers_match(&x->rule, &peer->id);
}

static bool is_chosen(const struct choice *x, const struct worker *w, const struct client *c)
{
	if (x->name && strcmp(x->name, export_of(w, c)) != 0)
		return false;
	if (*x->holder && !c->readonly && strcmp(x->holder, c->peer.host) == 0)
		return true;
	return (!x->id || x->id == c->id) && is_peer(x, &c->peer);
}

static bool has_worker(const struct master *m, const char *name)
{
	for (const struct worker *w = m->workers; w; w = w->next) {
		if (strcmp(w->export_name, name) == 0)
			return true;
	}
	return false;
}

/* One that was removed has a name as long as it has clients. */
static int choose_name(const struct master *m, json_t *msg, struct choice *x, struct err *err)
{
	json_t *name = json_object_get(msg, "name");
	const struct export_entry *e, *s;

	if (name && !json_is_string(name))
		return err_set(err, EINVAL, "\"name\" must be a text");
	x->name = json_string_value(name);
	e = x->name ? exports_by_name(&m->exports, x->name) : NULL;
	s = e && e->newest ? snapshots_find(m, e->parent, e->snapshot) : NULL;
	if (s)
		x->name = s->config.name;
	if (x->name && !e && !has_worker(m, x->name))
		return err_set(err, ENOENT, "no such export; see --list");
	return 0;
}

/* "unix:uid=1000,pid=12" and "192.0.2.1:4711" are no rules, and all right. */
static int choose_peer(json_t *msg, struct choice *x, struct err *err)
{
	json_t *peer = json_object_get(msg, "peer"), *client = json_object_get(msg, "client");

	x->peer = json_string_value(peer);
	if ((peer && !x->peer) || (client && json_integer_value(client) <= 0))
		return err_set(err, EINVAL, "\"client\" must be a number, \"peer\" a text");
	x->id = (uint64_t)json_integer_value(client);
	if (x->peer)
		peers_add(&x->rule, x->peer, NULL);
	return 0;
}

typedef void client_fn(struct worker *w, struct client *c, void *arg);

static void for_each(struct master *m, const struct choice *x, client_fn *fn, void *arg)
{
	for (struct worker *w = m->workers; w; w = w->next) {
		for (struct client *c = w->clients; c; c = c->next) {
			if (is_chosen(x, w, c))
				fn(w, c, arg);
		}
	}
}

static void count(struct worker *w, struct client *c, void *arg)
{
	(void)w;
	(void)c;
	++*(size_t *)arg;
}

/* Showing them. */

struct shown {
	struct worker *worker;
	struct client *client;
};

struct page {
	size_t count;
	struct shown *all;
};

static void add(struct worker *w, struct client *c, void *arg)
{
	struct page *p = arg;

	p->all[p->count++] = (struct shown){w, c};
}

static int by_id(const void *a, const void *b)
{
	const struct client *x = ((const struct shown *)a)->client;
	const struct client *y = ((const struct shown *)b)->client;

	return (x->id > y->id) - (x->id < y->id);
}

static void add_hold(json_t *object, const struct worker *w, const struct client *c)
{
	const struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);
	uint64_t since = 0;
	const char *holder = e && !c->readonly ? access_holder(w->master, e, &since) : NULL;

	if (!holder || c->snapshot || strcmp(holder, c->peer.host) != 0)
		return;
	json_object_set_new(object, "holder", json_true());
	json_object_set_new(object, "holder_since", json_integer(access_time(w->master, since)));
}

static json_t *describe(const struct worker *w, const struct client *c)
{
	const struct master *m = w->master;
	char features[FEATURE_TEXT_MAX];
	json_t *object;

	feature_format(&c->features, features);
	object = json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:b, s:s, s:b}", "id", (json_int_t)c->id,
		"export", export_of(w, c), "peer", c->peer.name, "address", c->peer.host, "since",
		(json_int_t)access_time(m, c->since), "seconds",
		(json_int_t)((m->reactor.now - c->since) / 1000), "readonly",
		c->readonly || c->snapshot, "features", features, "holder", 0);
	add_hold(object, w, c);
	if (c->evicted)
		json_object_set_new(object, "evicted", json_true());
	return object;
}

static void show(struct master *m, struct ctl_conn *c, const struct choice *x, size_t room)
{
	struct page page = {.all = calloc(room + 1, sizeof(*page.all))};
	json_t *list = json_array(), *reply = ctl_ok();

	if (page.all)
		for_each(m, x, add, &page);
	qsort(page.all, page.count, sizeof(*page.all), by_id);
	for (size_t i = 0; i < page.count; i++)
		json_array_append_new(list, describe(page.all[i].worker, page.all[i].client));
	free(page.all);
	json_object_set_new(reply, "clients", list);
	ctl_send(c, reply, -1);
}

static void do_clients(struct master *m, struct ctl_conn *c, json_t *msg)
{
	struct choice x = {0};
	struct err err = {0};
	size_t n = 0;

	if (choose_name(m, msg, &x, &err) < 0) {
		ctl_send_error(c, err.text);
		return;
	}
	for_each(m, &x, count, &n);
	show(m, c, &x, n);
}

/* Ending them. */

static void unlink_eviction(struct eviction *v)
{
	struct eviction **p = &v->master->evictions;

	while (*p != v)
		p = &(*p)->next;
	*p = v->next;
	reactor_timer_cancel(&v->master->reactor, &v->end);
	free(v);
}

static void describe_end(const struct eviction *v, char *out, size_t room)
{
	int len;

	if (v->left)
		len = snprintf(out, room,
			"%zu of %zu clients have not ended, for their requests have not", v->left,
			v->count);
	else
		len = snprintf(out, room, "%zu client%s ended", v->count, v->count == 1 ? "" : "s");
	if (*v->holder)
		snprintf(out + len, room - (size_t)len, "; %s may not come back for %d s",
			v->holder, ACCESS_EVICTED_MS / 1000);
}

static json_t *outcome(const struct eviction *v)
{
	json_t *reply = v->left ? json_pack("{s:b}", "ok", 0) : ctl_ok();
	char text[ERR_TEXT_MAX];

	describe_end(v, text, sizeof(text));
	json_object_set_new(reply, v->left ? "error" : "text", json_string(text));
	json_object_set_new(reply, "ended", json_integer((json_int_t)(v->count - v->left)));
	json_object_set_new(reply, "left", json_integer((json_int_t)v->left));
	return reply;
}

/* All have gone, or it has taken too long. */
static void finish(struct reactor_timer *t)
{
	struct eviction *v = container_of(t, struct eviction, end);
	struct ctl_conn *c = v->conn;
	json_t *reply = outcome(v);

	unlink_eviction(v);
	if (!c) {
		json_decref(reply);
		return;
	}
	ctl_send(c, reply, -1);
	ctl_resume(c);
}

void control_client_left(struct master *m, uint64_t id)
{
	for (struct eviction *v = m->evictions; v; v = v->next) {
		for (size_t i = 0; i < v->left; i++) {
			if (v->ids[i] != id)
				continue;
			v->ids[i] = v->ids[--v->left];
			if (!v->left) /* not from in here: whoever calls us walks lists */
				reactor_timer_set(&m->reactor, &v->end, 0);
			break;
		}
	}
}

struct ending {
	struct eviction *eviction;
	bool force;
};

static void end(struct worker *w, struct client *c, void *arg)
{
	const struct log_subject about = {
		.export = export_of(w, c), .client = c->id, .peer = c->peer.name};
	struct ending *x = arg;

	log_about(LOG_LEVEL_INFO, &about, "evicted%s", x->force ? ", by force" : "");
	x->eviction->ids[x->eviction->left++] = c->id;
	access_evict(w, c, x->force);
}

static void find_holder(struct worker *w, struct client *c, void *arg)
{
	const struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);
	struct choice *x = arg;
	uint64_t since;
	const char *holder =
		e && !c->readonly && !c->snapshot ? access_holder(w->master, e, &since) : NULL;

	if (holder && strcmp(holder, c->peer.host) == 0)
		snprintf(x->holder, sizeof(x->holder), "%s", holder);
}

/* One that has not come yet is kept out too. */
static void find_promised(struct master *m, struct choice *x)
{
	struct export_entry *e = exports_by_name(&m->exports, x->name);
	uint64_t since;
	const char *holder = e ? access_holder(m, e, &since) : NULL;

	if (!holder || since || x->id || (x->peer && strcmp(x->peer, holder) != 0))
		return;
	snprintf(x->holder, sizeof(x->holder), "%s", holder);
	access_keep_out(m, e, x->holder);
}

static void evict(struct master *m, struct ctl_conn *c, const struct choice *x, bool force)
{
	struct ending how = {.force = force};
	struct eviction *v;
	size_t n = 0;

	for_each(m, x, count, &n);
	v = calloc(1, sizeof(*v) + n * sizeof(v->ids[0]));
	if (!v) {
		ctl_send_error(c, "out of memory");
		return;
	}
	how.eviction = v;
	for_each(m, x, end, &how);
	v->count = v->left;
	v->master = m;
	v->conn = c;
	v->next = m->evictions;
	v->end.fn = finish;
	memcpy(v->holder, x->holder, sizeof(v->holder));
	m->evictions = v;
	ctl_pause(c);
	reactor_timer_set(&m->reactor, &v->end, v->left ? EVICT_MS : 0);
}

static int choose(struct master *m, json_t *msg, struct choice *x, struct err *err)
{
	size_t n = 0;
	int ret = choose_name(m, msg, x, err);

	if (ret == 0 && !x->name)
		ret = err_set(err, EINVAL, "a \"name\" is needed");
	if (ret == 0)
		ret = choose_peer(msg, x, err);
	if (ret < 0 || !x->id)
		return ret;
	for_each(m, x, count, &n);
	return n ? 0
		 : err_set(err, ENOENT, "no client of '%.100s' has the number %llu", x->name,
			   (unsigned long long)x->id);
}

static void do_evict(struct master *m, struct ctl_conn *c, json_t *msg)
{
	struct choice x = {0};
	struct err err;

	if (choose(m, msg, &x, &err) < 0) {
		ctl_send_error(c, err.text);
	} else {
		for_each(m, &x, find_holder, &x);
		if (!*x.holder)
			find_promised(m, &x);
		evict(m, c, &x, json_is_true(json_object_get(msg, "force")));
	}
	peers_done(&x.rule);
}

void control_clients_gone(struct master *m, struct ctl_conn *c)
{
	for (struct eviction *v = m->evictions; v; v = v->next) {
		if (v->conn == c)
			v->conn = NULL;
	}
}

void control_clients_end(struct master *m)
{
	while (m->evictions)
		unlink_eviction(m->evictions);
}

const struct control_command control_clients_commands[] = {
	{"clients", do_clients},
	{"evict", do_evict},
	{NULL, NULL},
};
