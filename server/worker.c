/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main thread of a worker: who comes in, who has gone, and the end.
 *
 * The end: listeners close, every connection is ended between requests, after WORKER_DRAIN_MS
 * what is left is cut, then everything written is made durable.
 */
#include "worker.h"

#include "log.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* The lobby of a stand-alone server: it knows one export. */

enum { THE_EXPORT = 1 };

static struct worker *worker_of(void *ctx)
{
	return ctx;
}

static uint32_t find_export(void *ctx, const char *name, size_t len)
{
	const char *own = worker_of(ctx)->config.export_name;
	bool match = len == 0 || (len == strlen(own) && memcmp(name, own, len) == 0);

	return match ? THE_EXPORT : NEG_NO_EXPORT;
}

static bool export_at(void *ctx, size_t index, struct neg_item *ret)
{
	*ret = (struct neg_item){.name = worker_of(ctx)->config.export_name};
	return index == 0;
}

static bool export_by_id(void *ctx, uint32_t id, struct neg_item *ret)
{
	return id == THE_EXPORT && export_at(ctx, 0, ret);
}

static void lobby_lookup(struct lobby *l, struct lobby_client *c)
{
	struct worker *w = l->owner;

	handshake_answer(&c->handshake, &w->storage->facts);
}

static void lobby_enter(struct lobby *l, struct lobby_client *c)
{
	int fd = c->handshake.fd;

	c->handshake.fd = -1;
	worker_add_client(l->owner, fd, 0, &c->handshake.neg.features);
}

static void check_end(struct worker *w);

static void lobby_left(struct lobby *l, struct lobby_client *c)
{
	struct worker *w = l->owner;

	(void)c;
	if (w->config.one_client && w->clients == 0)
		worker_stop(w);
}

static const struct lobby_ops lobby_ops = {lobby_lookup, lobby_enter, lobby_left};

/* Clients. */

static void tell_master(struct worker *w, json_t *event)
{
	ctl_server_broadcast(&w->ctl, event);
	json_decref(event);
}

static void tell_gone(struct worker *w, uint64_t id)
{
	if (id)
		tell_master(w, json_pack("{s:s, s:I}", "event", "gone", "id", (json_int_t)id));
}

static unsigned least_loaded(const struct worker *w)
{
	unsigned best = 0;

	for (unsigned i = 1; i < w->lanes_ready; i++) {
		if (w->lanes[i].stats.connections < w->lanes[best].stats.connections)
			best = i;
	}
	return best;
}

void worker_add_client(struct worker *w, int fd, uint64_t id, const struct features *agreed)
{
	struct lane *l = &w->lanes[least_loaded(w)];
	struct conn *c;

	c = conn_new(fd, id, agreed, w->storage->facts.flags);
	if (!c) {
		log_peer(LOG_LEVEL_ERROR, "client refused: out of memory");
		tell_gone(w, id);
		return;
	}
	reactor_timer_cancel(&w->reactor, &w->idle);
	w->clients++;
	l->stats.connections++;
	log_peer(LOG_LEVEL_DEBUG, "%s: client connected", c->name);
	lane_adopt(l, c);
}

static void client_gone(struct reactor_task *t)
{
	struct conn *c = container_of(t, struct conn, adopt);
	struct worker *w = c->lane->owner;

	log_peer(LOG_LEVEL_DEBUG, "%s: client gone", c->name);
	c->lane->stats.connections--;
	if (c->id)
		tell_master(w, json_pack("{s:s, s:I}", "event", "gone", "id", (json_int_t)c->id));
	conn_free(c);
	w->clients--;
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

	if (w->ctl.count == 0) {
		worker_stop(w); /* no master either */
		return;
	}
	tell_master(w, json_pack("{s:s}", "event", "idle"));
	reactor_timer_set(&w->reactor, &w->idle, WORKER_IDLE_MS);
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
	else if (number == SIGUSR1 || number == SIGUSR2)
		log_warn("%s: snapshots and switching are not built yet; signal ignored",
			w->config.image);
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
		w->lanes_ready = i + 1;
	}
	return ret;
}

static const struct ctl_server_ops ctl_ops = {.request = worker_ctl_request};

int worker_init(
	struct worker *w, const struct worker_config *config, struct storage *st, struct err *err)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, 0};
	int ret;

	memset(w, 0, sizeof(*w));
	w->config = *config;
	w->storage = st;
	w->ctl.fd = w->signals.fd = -1;
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
	int ret = ctl_server_init(&w->ctl, &w->reactor, fd, &ctl_ops);

	if (path && strlen(path) < sizeof(w->ctl_path))
		strcpy(w->ctl_path, path);
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
	io_threads_free(w->threads);
	if (w->lobby.slots)
		lobby_done(&w->lobby);
	if (w->ctl_path[0]) /* while it still listens: see listen_remove_files() */
		unlink(w->ctl_path);
	ctl_server_done(&w->ctl);
	proc_signals_done(&w->signals);
	if (w->storage)
		w->storage->ops->close(w->storage);
	reactor_done(&w->reactor);
}
