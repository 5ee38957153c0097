/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See access.h. Who writes to an exclusive export is read off the lists of clients, of servers that
 * are ending too, so it cannot be forgotten or left behind. The entry remembers only since when,
 * and what was promised.
 */
#include "access.h"

#include "log.h"
#include "master.h"
#include "nbd.h"
#include "snapshots.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { KEEP_LIMIT_MIN = 64 };

/* In ms to the end: a difference of whole seconds would be another one each time it is shown. */
int64_t access_time(const struct master *m, uint64_t ms)
{
	struct timespec ts = {0};
	int64_t now;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	return (now - (int64_t)(m->reactor.now - MIN_OF(ms, m->reactor.now))) / 1000;
}

void access_print_time(int64_t seconds, char out[ACCESS_TIME_MAX])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(out, ACCESS_TIME_MAX, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(out, ACCESS_TIME_MAX, "?");
}

/* Limits. */

static bool is_of(const struct export_entry *e, const struct worker *w, const struct client *c)
{
	uint32_t server = snapshots_server(e);

	return w->export_id == server && c->snapshot == (server == e->id ? 0 : e->snapshot);
}

static uint64_t clients_of(const struct master *m, const struct export_entry *e)
{
	uint64_t n = 0;

	for (const struct worker *w = m->workers; w; w = w->next) {
		for (const struct client *c = w->clients; c; c = c->next)
			n += is_of(e, w, c);
	}
	return n;
}

static uint64_t clients_from(const struct master *m, const char *host)
{
	uint64_t n = 0;

	for (const struct worker *w = m->workers; w; w = w->next) {
		for (const struct client *c = w->clients; c; c = c->next)
			n += strcmp(c->peer.host, host) == 0;
	}
	return n;
}

static int full(uint64_t limit, const char *what, struct err *err)
{
	return err_set(err, EUSERS, "%llu clients%s are connected, that is the limit",
		(unsigned long long)limit, what);
}

/* Counting costs a walk, so it is done only when it could matter. */
int access_check_room(
	const struct master *m, const struct export_entry *e, const char *host, struct err *err)
{
	uint64_t of_all = m->options->max_clients, of_peer = m->options->max_clients_per_peer;
	uint64_t of_export = e->config.max_clients;

	if (m->client_count >= of_all)
		return full(of_all, "", err);
	if (of_export && m->client_count >= of_export && clients_of(m, e) >= of_export)
		return full(of_export, " of this export", err);
	if (m->client_count >= of_peer && clients_from(m, host) >= of_peer)
		return full(of_peer, " of this address", err);
	return 0;
}

static bool is_far(uint64_t count, uint64_t limit)
{
	return limit >= KEEP_LIMIT_MIN && count < limit / 2;
}

bool access_may_keep(const struct master *m, const struct export_entry *e)
{
	uint64_t limit = MIN_OF(m->options->max_clients, m->options->max_clients_per_peer);

	if (!is_far(m->client_count, limit))
		return false;
	if (!e)
		return true;
	return e->config.exclusive == EXCLUSIVE_NO &&
		(!e->config.max_clients || is_far(clients_of(m, e), e->config.max_clients));
}

/* The writer. */

/* An export that was removed and added again may still have writers of before, and so may a server
 * that is apart (adopt.h). */
static bool serves(const struct worker *w, const struct export_entry *e)
{
	return w->export_id == e->id || strcmp(w->export_name, e->config.name) == 0 ||
		(w->image && strcmp(w->image, e->config.image) == 0);
}

/* The one that came first; there can be several peers only if it was not exclusive before. */
static const struct client *find_writer(const struct master *m, const struct export_entry *e)
{
	const struct client *first = NULL;

	for (const struct worker *w = m->workers; w; w = w->next) {
		for (const struct client *c = serves(w, e) ? w->clients : NULL; c; c = c->next) {
			if (!c->readonly && !c->snapshot && (!first || c->since <= first->since))
				first = c;
		}
	}
	return first;
}

const char *access_holder(const struct master *m, const struct export_entry *e, uint64_t *ret_since)
{
	const struct export_hold *h = &e->hold;
	const struct client *c;

	if (e->config.exclusive == EXCLUSIVE_NO)
		return NULL;
	c = find_writer(m, e);
	if (c) {
		*ret_since = h->since && strcmp(h->host, c->peer.host) == 0 ? h->since : c->since;
		return c->peer.host;
	}
	*ret_since = 0;
	return m->reactor.now < h->promised ? h->host : NULL;
}

static struct access_evicted *find_evicted(
	struct master *m, const struct export_entry *e, const char *host)
{
	for (size_t i = 0; i < ARRAY_LEN(m->evicted); i++) {
		struct access_evicted *x = &m->evicted[i];

		if (x->export_id == e->id && strcmp(x->host, host) == 0)
			return x;
	}
	return NULL;
}

static int refuse_evicted(const struct master *m, const struct access_evicted *x, struct err *err)
{
	return err_set(err, EPERM, "this peer was evicted, and may come back in %u s",
		(unsigned)((x->until - m->reactor.now + 999) / 1000));
}

static int refuse_other(const struct master *m, const char *holder, uint64_t since, struct err *err)
{
	char when[ACCESS_TIME_MAX];

	if (!since)
		return err_set(err, EBUSY, "exclusive, and promised to %.64s", holder);
	access_print_time(access_time(m, since), when);
	return err_set(err, EBUSY, "exclusive: %.64s writes to it since %s", holder, when);
}

/* Servers whose clients we do not know, or that have not even said what they serve. */
static int check_strangers(const struct master *m, const struct export_entry *e, struct err *err)
{
	for (const struct worker *w = m->workers; w; w = w->next) {
		if (w->adopting)
			return err_set(err, EBUSY,
				"exclusive, and a server of before has not told its clients yet");
		if (w->foreign_clients && serves(w, e))
			return err_set(err, EBUSY,
				"exclusive, and a server of before (pid %d) has %u clients that may write",
				(int)w->pid, w->foreign_clients);
	}
	return 0;
}

/* 0, -EPERM: HOST is kept out altogether, -EBUSY: another one writes. */
static int check_writer(
	struct master *m, const struct export_entry *e, const char *host, struct err *err)
{
	const struct access_evicted *x = find_evicted(m, e, host);
	const char *holder;
	uint64_t since;

	if (e->config.exclusive == EXCLUSIVE_NO)
		return 0;
	if (x && m->reactor.now < x->until)
		return refuse_evicted(m, x, err);
	holder = access_holder(m, e, &since);
	if (holder && strcmp(holder, host) != 0)
		return refuse_other(m, holder, since, err);
	return check_strangers(m, e, err);
}

static void promise(struct master *m, struct export_entry *e, const char *host)
{
	struct export_hold *h = &e->hold;

	if (e->config.exclusive == EXCLUSIVE_NO)
		return;
	if (strcmp(h->host, host) != 0) {
		h->since = 0;
		snprintf(h->host, sizeof(h->host), "%s", host);
	}
	h->promised = m->reactor.now + ACCESS_PROMISE_MS;
}

int access_ask(
	struct master *m, const struct ipc_lookup *who, struct export_facts *facts, struct err *err)
{
	struct export_entry *e = exports_by_id(&m->exports, who->export_id);
	int ret;

	if (!e)
		return err_set(err, ENOENT, "no such export");
	if (peers_match(&e->config.readonly_for, &who->id))
		export_make_readonly(facts);
	if (facts->flags & NBD_FLAG_READ_ONLY)
		return 0;
	ret = check_writer(m, e, who->host, err);
	if (ret == 0 && who->final)
		promise(m, e, who->host);
	if (ret == 0 ||
		(who->final &&
			(ret == -EPERM || e->config.exclusive != EXCLUSIVE_WRITER_OTHERS_READ)))
		return ret;
	export_make_readonly(facts);
	return 0;
}

static int check_rules(const struct master *m, const struct export_entry *e,
	const struct client *client, struct err *err)
{
	const struct peers_id *id = &client->peer.id;

	if (!peers_admit(&m->allow, &m->deny, id) ||
		!peers_admit(&e->config.allow, &e->config.deny, id))
		return err_set(err, EACCES, "the rules allow and deny say so");
	if (!client->readonly && peers_match(&e->config.readonly_for, id))
		return err_set(err, EROFS, "it was told that it may write, and may not any more");
	return 0;
}

static void take_hold(struct master *m, struct export_entry *e, const char *host)
{
	struct export_hold *h = &e->hold;
	uint64_t since = 0;

	if (e->config.exclusive == EXCLUSIVE_NO)
		return;
	access_holder(m, e, &since); /* the same peer, or nobody */
	h->since = since ? since : m->reactor.now;
	h->promised = 0;
	snprintf(h->host, sizeof(h->host), "%s", host);
}

int access_enter(
	struct master *m, struct export_entry *e, const struct client *client, struct err *err)
{
	int ret = check_rules(m, e, client, err);

	if (ret < 0 || client->readonly)
		return ret;
	ret = check_writer(m, e, client->peer.host, err);
	if (ret == 0)
		take_hold(m, e, client->peer.host);
	return ret;
}

/* Ends. */

/* The one that may come back first. */
static struct access_evicted *first_evicted(struct master *m)
{
	struct access_evicted *first = &m->evicted[0];

	for (size_t i = 1; i < ARRAY_LEN(m->evicted); i++) {
		if (m->evicted[i].until < first->until)
			first = &m->evicted[i];
	}
	return first;
}

void access_keep_out(struct master *m, struct export_entry *e, const char *host)
{
	struct access_evicted *x = find_evicted(m, e, host);

	if (!x)
		x = first_evicted(m);
	x->export_id = e->id;
	x->until = m->reactor.now + ACCESS_EVICTED_MS;
	snprintf(x->host, sizeof(x->host), "%s", host);
	if (strcmp(e->hold.host, host) == 0)
		e->hold.promised = 0;
}

static bool is_exclusive_writer(const struct export_entry *e, const struct client *c)
{
	return e && e->config.exclusive != EXCLUSIVE_NO && !c->readonly && !c->snapshot;
}

void access_evict(struct worker *w, struct client *c, bool now)
{
	struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);

	c->evicted = true;
	if (is_exclusive_writer(e, c))
		access_keep_out(w->master, e, c->peer.host);
	worker_end_client(w, c, now);
}

/* What it waited for may have taken longer than it is kept out. */
void access_client_gone(struct worker *w, const struct client *c)
{
	struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);

	if (c->evicted && is_exclusive_writer(e, c))
		access_keep_out(w->master, e, c->peer.host);
}

/* What C is a client of, NULL if that was removed. */
static const struct export_entry *entry_of(const struct worker *w, const struct client *c)
{
	return c->snapshot ? snapshots_find(w->master, w->export_id, c->snapshot)
			   : exports_by_id(&w->master->exports, w->export_id);
}

static void enforce(struct worker *w, struct client *c)
{
	static const struct export_entry removed;
	const struct export_entry *e = entry_of(w, c);
	const struct log_subject about = {
		.export = w->export_name, .client = c->id, .peer = c->peer.name};
	struct err err;

	if (check_rules(w->master, e ? e : &removed, c, &err) == 0)
		return;
	log_client(LOG_LEVEL_INFO, &about, "ended: the rules have changed");
	worker_end_client(w, c, false);
}

void access_changed(struct master *m, const struct export_entry *e)
{
	link_send_export(m, e);
	snapshots_inherit(m, e->id);
}

void access_enforce(struct master *m)
{
	for (struct worker *w = m->workers; w; w = w->next) {
		for (struct client *c = w->clients; c; c = c->next)
			enforce(w, c);
	}
}
