/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main thread of a worker: who comes in, who has gone, and the end.
 *
 * The end: listeners close, every connection is ended between requests, after WORKER_DRAIN_MS
 * what is left is cut, then everything written is made durable.
 */
#include "worker.h"

#include "log.h"
#include "notify.h"
#include "snapshot.h"
#include "str.h"
#include "util.h"
#include "worker_inner.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/*
 * The lobby of a stand-alone server: it knows its export, and NAME@ID for each of its snapshots,
 * NAME@snapshot for the newest. Their numbers in the handshake are 1, and the snapshot's id.
 */

enum { THE_EXPORT = 1 };

static struct worker *worker_of(void *ctx)
{
	return ctx;
}

static const struct export_facts *facts_of(const struct worker *w, const struct snapshot *s)
{
	return s ? &s->layer.storage.facts : &w->storage->facts;
}

/* What follows the '@' of a name; 0 = no such snapshot. */
static uint32_t find_snapshot(struct worker *w, const char *text, size_t len)
{
	char number[24];
	uint64_t id = 0;
	struct snapshot *s;

	snprintf(number, sizeof(number), "%.*s", (int)MIN_OF(len, sizeof(number) - 1), text);
	if (strcmp(number, "snapshot") != 0 && str_number(number, 1, UINT32_MAX, &id) < 0)
		return NEG_NO_EXPORT;
	s = worker_find_snapshot(w, id);
	return s ? (uint32_t)s->id : NEG_NO_EXPORT;
}

static uint32_t find_export(void *ctx, const void *who, const char *name, size_t len)
{
	struct worker *w = worker_of(ctx);
	const char *own = w->config.export_name;
	size_t n = strlen(own);

	(void)who;
	if (len == 0 || (len == n && memcmp(name, own, n) == 0))
		return THE_EXPORT;
	if (len > n && memcmp(name, own, n) == 0 && name[n] == '@')
		return find_snapshot(w, name + n + 1, len - n - 1);
	return NEG_NO_EXPORT;
}

static bool export_at(void *ctx, const void *who, size_t index, struct neg_item *ret)
{
	struct worker *w = worker_of(ctx);
	const struct snapshot *s = index ? worker_snapshot_at(w, index - 1) : NULL;

	(void)who;
	*ret = (struct neg_item){.name = s ? s->name : w->config.export_name};
	return index == 0 || s;
}

static bool export_by_id(void *ctx, uint32_t id, struct neg_item *ret)
{
	const struct snapshot *s;

	if (id == THE_EXPORT)
		return export_at(ctx, NULL, 0, ret);
	s = worker_find_snapshot(ctx, id);
	*ret = (struct neg_item){.name = s ? s->name : ""};
	return s;
}

static struct snapshot *snapshot_wanted(struct worker *w, uint32_t id)
{
	return id == THE_EXPORT ? NULL : worker_find_snapshot(w, id);
}

static void lobby_lookup(struct lobby *l, struct lobby_client *c)
{
	struct worker *w = l->owner;
	struct snapshot *s = snapshot_wanted(w, c->handshake.neg.lookup_id);

	handshake_answer(&c->handshake, facts_of(w, s));
}

static void lobby_enter(struct lobby *l, struct lobby_client *c)
{
	struct worker *w = l->owner;
	struct snapshot *s = snapshot_wanted(w, c->handshake.neg.lookup_id);
	int fd = c->handshake.fd;

	if (!s && c->handshake.neg.lookup_id != THE_EXPORT && c->handshake.neg.lookup_id)
		return; /* dropped since: the connection is closed */
	c->handshake.fd = -1;
	worker_add_client(w,
		&(struct worker_client){.fd = fd,
			.agreed = c->handshake.neg.features,
			.snapshot = s,
			.told = c->handshake.neg.told});
}

static void check_end(struct worker *w);

static void lobby_left(struct lobby *l, struct lobby_client *c)
{
	struct worker *w = l->owner;

	(void)c;
	if (w->config.one_client && w->clients == 0)
		worker_stop(w);
}

static const struct lobby_ops lobby_ops = {
	.lookup = lobby_lookup, .enter = lobby_enter, .left = lobby_left};

/* Clients. */

void worker_tell(struct worker *w, json_t *event)
{
	for (unsigned i = 0; i < w->ctl_count; i++)
		ctl_server_broadcast(&w->ctl[i].server, event);
	json_decref(event);
}

static void tell_gone(struct worker *w, uint64_t id)
{
	if (id)
		worker_tell(w, json_pack("{s:s, s:I}", "event", "gone", "id", (json_int_t)id));
}

static unsigned least_loaded(const struct worker *w)
{
	unsigned best = 0;

	for (unsigned i = 1; i < w->lanes_ready; i++) {
		if (w->lanes[i].connections < w->lanes[best].connections)
			best = i;
	}
	return best;
}

/* What this client is served. */
static int give_storage(struct worker *w, struct conn *c, struct err *err)
{
	struct storage *st = w->storage;

	if (c->snapshot) {
		c->storage = &c->snapshot->layer.storage;
		c->snapshot->users++;
		return 0;
	}
	c->storage = st->ops->for_client ? st->ops->for_client(st, err) : st;
	return c->storage ? 0 : -err->code;
}

static int close_storage(struct io *io)
{
	struct conn *c = io->owner;

	c->storage->ops->close(c->storage);
	return 0;
}

static void storage_closed(struct io *io)
{
	conn_free(io->owner);
}

/* Closing a storage of its own can take long: the blocks of its file are freed. */
static void free_client(struct worker *w, struct conn *c)
{
	if (c->snapshot)
		worker_leave_snapshot(c->snapshot);
	if (c->storage == w->storage || c->snapshot) {
		conn_free(c);
		return;
	}
	fd_close(&c->fd);
	c->closing = (struct io){
		.op = IO_CALL, .call = close_storage, .done = storage_closed, .owner = c};
	io_threads_queue(w->threads, NULL, &c->closing);
}

static void list_client(struct worker *w, struct conn *c)
{
	c->of_master = c->id != 0;
	w->last_id = c->id ? MAX_OF(w->last_id, c->id) : w->last_id + 1;
	if (!c->of_master)
		c->id = w->last_id;
	c->since = (uint64_t)time(NULL);
	c->number = ++w->clients_seen;
	c->earlier = w->last_client;
	*w->last_client = c;
	w->last_client = &c->later;
	w->clients++;
}

static void unlist_client(struct worker *w, struct conn *c)
{
	worker_count_gone(w, c);
	*c->earlier = c->later;
	if (c->later)
		c->later->earlier = c->earlier;
	else
		w->last_client = c->earlier;
	w->clients--;
}

static struct conn *new_conn(struct worker *w, const struct worker_client *client)
{
	const struct export_facts *f = facts_of(w, client->snapshot);
	uint16_t flags = f->flags | (client->readonly ? NBD_FLAG_READ_ONLY : 0);
	struct conn *c = conn_new(client->fd, client->id, &client->agreed, flags);

	if (!c)
		return NULL;
	c->snapshot = client->snapshot;
	c->outdated = client->told && client->told != f->size;
	return c;
}

void worker_add_client(struct worker *w, const struct worker_client *client)
{
	struct lane *l = &w->lanes[least_loaded(w)];
	struct conn *c = new_conn(w, client);
	struct err err = {0};

	if (!c || give_storage(w, c, &err) < 0) {
		const struct log_subject about = {
			.client = client->id, .peer = c ? c->name : "unknown"};

		log_client(LOG_LEVEL_ERROR, &about, "refused: %s", c ? err.text : "out of memory");
		conn_free(c);
		tell_gone(w, client->id);
		return;
	}
	reactor_timer_cancel(&w->reactor, &w->idle);
	list_client(w, c);
	l->connections++;
	conn_log(c, LOG_LEVEL_DEBUG, "connected");
	lane_adopt(l, c);
}

static void client_gone(struct reactor_task *t)
{
	struct conn *c = container_of(t, struct conn, adopt);
	struct worker *w = c->lane->owner;

	conn_log(c, LOG_LEVEL_DEBUG, "gone");
	c->lane->connections--;
	if (c->of_master)
		tell_gone(w, c->id);
	unlist_client(w, c);
	free_client(w, c);
	check_end(w);
}

/* In the lane's thread. */
static void lane_ended(struct lane *l, struct conn *c)
{
	struct worker *w = l->owner;

	c->adopt.fn = client_gone;
	reactor_post(&w->reactor, &c->adopt);
}

/* The end. */

static void check_end(struct worker *w)
{
	if (w->clients > 0)
		return;
	if (w->state != WORKER_RUNS)
		reactor_stop(&w->reactor);
	else if (w->config.one_client)
		worker_stop(w);
	else if (w->config.of_master)
		reactor_timer_set(&w->reactor, &w->idle, WORKER_IDLE_MS);
}

static void idle_too_long(struct reactor_timer *t)
{
	struct worker *w = container_of(t, struct worker, idle);

	if (!worker_has_master(w) && !worker_is_saving(w)) {
		worker_stop(w);
		return;
	}
	if (!worker_is_copying(w) && !worker_is_saving(w))
		worker_tell(w, json_pack("{s:s}", "event", "idle"));
	reactor_timer_set(&w->reactor, &w->idle, WORKER_IDLE_MS);
}

/* Whoever waits for something far away, a client's request or an errand, waits no longer. */
static void interrupt(struct worker *w)
{
	if (w->storage && w->storage->ops->interrupt)
		w->storage->ops->interrupt(w->storage);
}

static void grace_over(struct reactor_timer *t)
{
	struct worker *w = container_of(t, struct worker, grace);

	if (w->state == WORKER_KILLS) {
		log_error("%s: %u clients have requests that do not finish; leaving anyway",
			w->config.image, w->clients);
		_exit(1);
	}
	log_warn("%s: %u clients did not end in time and are cut", w->config.image, w->clients);
	w->state = WORKER_KILLS;
	interrupt(w);
	for (unsigned i = 0; i < w->lanes_ready; i++)
		lane_kill(&w->lanes[i]);
	reactor_timer_set(&w->reactor, &w->grace, WORKER_DRAIN_MS);
}

void worker_stop(struct worker *w)
{
	if (w->state != WORKER_RUNS)
		return;
	w->state = WORKER_DRAINS;
	w->lobby.env.shutting_down = true;
	if (w->notify)
		notify_stopping(w->notify, "ending, requests in flight are finished");
	if (w->files)
		listen_remove_files(w->files);
	lobby_stop_listening(&w->lobby);
	for (unsigned i = 0; i < w->lanes_ready; i++)
		lane_drain(&w->lanes[i]);
	reactor_timer_set(&w->reactor, &w->grace, WORKER_DRAIN_MS);
	check_end(w);
}

static void on_signal(struct proc_signals *s, int number)
{
	struct worker *w = container_of(s, struct worker, signals);

	if (number == SIGHUP && !log_on_stderr())
		log_reopen();
	else if (number == SIGUSR1)
		worker_snapshot(w);
	else if (number == SIGUSR2)
		worker_switch(w);
	else
		worker_stop(w);
}

/* Set-up. */

static int init_lanes(struct worker *w, struct err *err)
{
	struct lane_limits limits = w->config.limits;
	int ret = 0;

	limits.buffer_bytes /= w->config.lanes;
	limits.windows = WINDOWS_MAX;
	while (limits.windows * w->config.lanes > WORKER_WINDOWS_MAX)
		limits.windows /= 2;
	for (unsigned i = 0; ret == 0 && i < w->config.lanes; i++) {
		struct lane *l = &w->lanes[i];

		ret = lane_init(l, w->storage, w->config.engine, w->threads, &limits, err);
		l->owner = w;
		l->ended = lane_ended;
		l->throttle = throttle_is_on(&w->throttle) ? &w->throttle : NULL;
		w->lanes_ready = i + 1;
	}
	return ret;
}

static void control_gone(struct ctl_server *s, struct ctl_conn *c)
{
	worker_master_gone(s->owner, c);
	errand_forget(s->owner, c);
	worker_survey_forget(s->owner, c);
}

static const struct ctl_server_ops ctl_ops = {.request = worker_ctl_request, .gone = control_gone};

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, 0};

void worker_hold_signals(void)
{
	proc_signals_hold(signals);
}

int worker_init(
	struct worker *w, const struct worker_config *config, struct storage *st, struct err *err)
{
	int ret;

	memset(w, 0, sizeof(*w));
	w->config = *config;
	w->storage = st;
	w->began_as = storage_mode(st);
	w->last_client = &w->first_client;
	throttle_set(&w->throttle, THROTTLE_REQUESTS, config->limit_requests);
	throttle_set(&w->throttle, THROTTLE_BYTES, config->limit_bandwidth);
	w->since = (uint64_t)time(NULL);
	w->signals.fd = -1;
	w->idle.fn = idle_too_long;
	w->grace.fn = grace_over;
	w->threads = io_threads_new(16);
	ret = reactor_init(&w->reactor);
	if (ret == 0)
		ret = proc_signals_init(&w->signals, &w->reactor, signals, on_signal);
	if (ret == 0)
		ret = lobby_init(&w->lobby, &w->reactor, &lobby_ops, WORKER_HANDSHAKES_MAX);
	if (ret < 0 || !w->threads)
		return err_sys(err, ret < 0 ? -ret : ENOMEM, "start");
	w->lobby.owner = w;
	w->lobby.env = (struct neg_env){
		.ctx = w, .find = find_export, .at = export_at, .by_id = export_by_id};
	return init_lanes(w, err);
}

int worker_control(struct worker *w, int fd, const char *path, struct err *err)
{
	struct worker_ctl *c = &w->ctl[w->ctl_count];
	int ret = ctl_server_init(&c->server, &w->reactor, fd, &ctl_ops);

	if (ret == 0)
		w->ctl_count++;
	c->server.owner = w;
	if (path && strlen(path) < sizeof(c->path))
		strcpy(c->path, path);
	return ret < 0 ? err_sys(err, -ret, "control socket") : 0;
}

static int start_lanes(struct worker *w)
{
	for (unsigned i = 0; i < w->lanes_ready; i++) {
		int ret = lane_start(&w->lanes[i]);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Every connection has ended; what they wrote shall survive a power cut from here on. */
static int flush_at_end(struct worker *w)
{
	int ret;

	if (w->storage->facts.flags & NBD_FLAG_READ_ONLY)
		return 0;
	ret = w->storage->ops->flush(w->storage);
	if (ret < 0)
		log_error("%s: last flush: %s", w->config.image, strerror(-ret));
	return ret;
}

int worker_run(struct worker *w)
{
	int ret = start_lanes(w);

	worker_watch_proxy(w);
	if (ret == 0 && w->config.of_master)
		reactor_timer_set(&w->reactor, &w->idle, 2 * WORKER_IDLE_MS);
	if (ret == 0)
		ret = reactor_run(&w->reactor);
	if (ret < 0)
		log_error("%s: %s", w->config.image, strerror(-ret));
	else
		ret = flush_at_end(w);
	return ret;
}

void worker_done(struct worker *w)
{
	for (unsigned i = 0; i < w->lanes_ready; i++)
		lane_done(&w->lanes[i]);
	interrupt(w); /* or an errand would hold up its thread, and that the end */
	io_threads_free(w->threads);
	errand_free_all(w);
	worker_end_surveys(w);
	worker_end_resize(w);
	worker_end_orders(w);
	worker_end_snapshots(w);
	if (w->lobby.slots)
		lobby_done(&w->lobby);
	w->master = w->adopting = NULL;
	for (unsigned i = 0; i < w->ctl_count; i++) {
		if (w->ctl[i].path[0]) /* while it still listens: see listen_remove_files() */
			unlink(w->ctl[i].path);
		ctl_server_done(&w->ctl[i].server);
	}
	proc_signals_done(&w->signals);
	if (w->storage)
		w->storage->ops->close(w->storage);
	reactor_done(&w->reactor);
}
