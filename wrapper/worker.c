/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Life of a worker: WORKER_STARTING until it answers "status" on its control socket, READY until
 * it says it is idle or dies, STOPPING until it is reaped. Whoever has to know that it takes
 * clients and commands, or none any more, is told in became_ready() and worker_leave(), once each.
 * Starting one is in worker_launch.c.
 */
#include "worker_inner.h"

#include "handshake.h"
#include "ipc.h"
#include "log.h"
#include "master.h"
#include "migrate.h"
#include "nbd.h"
#include "negotiate.h"
#include "proxy.h"
#include "relay.h"
#include "snapshots.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

struct worker *worker_for(struct master *m, uint32_t export_id)
{
	for (struct worker *w = m->workers; w; w = w->next) {
		if (w->export_id == export_id && w->state != WORKER_STOPPING)
			return w;
	}
	return NULL;
}

/* Clients. */

static void forget_client(struct worker *w, struct client **p)
{
	struct client *c = *p;

	*p = c->next;
	w->client_count--;
	w->master->client_count--;
	free(c);
}

static void client_gone(struct worker *w, uint64_t id)
{
	for (struct client **p = &w->clients; *p; p = &(*p)->next) {
		if ((*p)->id == id) {
			forget_client(w, p);
			return;
		}
	}
}

static void ask_again(struct worker *w)
{
	if (w->kept)
		link_ask_again(w->master, w->export_id);
	w->kept = false;
}

static void keep_none(struct master *m)
{
	for (struct worker *w = m->workers; w; w = w->next)
		ask_again(w);
}

void worker_give(struct worker *w, const struct sock_peer *peer, const struct features *features,
	uint64_t snapshot, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	char text[FEATURE_TEXT_MAX];
	json_t *msg;

	if (!c) {
		close(fd);
		return;
	}
	c->snapshot = snapshot;
	c->id = ++w->master->last_client;
	c->peer = *peer;
	c->features = *features;
	c->since = w->master->reactor.now;
	c->next = w->clients;
	w->clients = c;
	w->client_count++;
	w->master->client_count++;
	feature_format(features, text);
	msg = json_pack("{s:s, s:I, s:s, s:b, s:b}", "cmd", "client", "id", (json_int_t)c->id,
		"features", text, "fd", 1, "quiet", 1);
	if (snapshot)
		json_object_set_new(msg, "snapshot", json_integer((json_int_t)snapshot));
	if (ctl_send(&w->ctl, msg, fd) < 0)
		client_gone(w, c->id);
	if (!link_may_keep(w->master))
		keep_none(w->master);
}

/* Lookups. */

void worker_wait(struct worker *w, uint64_t client)
{
	if (w->waiting_count == w->waiting_room) {
		size_t room = w->waiting_room ? 2 * w->waiting_room : 8;
		void *p = realloc(w->waiting, room * sizeof(*w->waiting));

		if (!p) {
			master_refuse(w->master, client, NBD_REP_ERR_POLICY, "out of memory");
			return;
		}
		w->waiting = p;
		w->waiting_room = room;
	}
	w->waiting[w->waiting_count++] = client;
}

void worker_promise(struct worker *w, uint64_t client)
{
	w->promised_at = w->master->reactor.now;
	w->kept = w->kept || link_may_keep(w->master);
	master_facts(w->master, client, &w->facts, w->kept ? w->export_id : NEG_NO_EXPORT);
}

static void answer_waiting(struct worker *w)
{
	for (size_t i = 0; i < w->waiting_count; i++)
		worker_promise(w, w->waiting[i]);
	w->waiting_count = 0;
}

static void refuse_waiting(struct worker *w, const char *text)
{
	for (size_t i = 0; i < w->waiting_count; i++)
		master_refuse(w->master, w->waiting[i], NBD_REP_ERR_POLICY, text);
	w->waiting_count = 0;
}

/* What the worker says. */

static bool read_facts(json_t *msg, struct export_facts *ret)
{
	json_int_t size, flags, min, preferred, max;

	if (json_unpack(msg, "{s:I, s:I, s:I, s:I, s:I}", "size", &size, "flags", &flags,
		    "block_min", &min, "block_preferred", &preferred, "block_max", &max) < 0)
		return false;
	*ret = (struct export_facts){.size = (uint64_t)size,
		.flags = (uint16_t)flags,
		.block_min = (uint32_t)min,
		.block_preferred = (uint32_t)preferred,
		.block_max = (uint32_t)max};
	return true;
}

/*
 * Not while a client that was promised entry may still be on its way, by us or by the negotiator,
 * nor under a command; the worker says so again later.
 */
static void idle(struct worker *w)
{
	bool expecting = w->kept || w->master->reactor.now - w->promised_at < HANDSHAKE_OPTION_MS ||
		relay_busy(w->master, w->export_id);

	if (w->client_count == 0)
		ask_again(w);
	if (w->client_count == 0 && w->state == WORKER_READY && !expecting)
		worker_stop(w);
}

static void became_ready(struct worker *w, json_t *msg)
{
	const char *mode = json_string_value(json_object_get(msg, "mode"));

	w->state = WORKER_READY;
	w->ready_at = w->master->reactor.now;
	reactor_timer_cancel(&w->master->reactor, &w->deadline);
	/* The wrapper before us may have ended between the switch and saving that. */
	if (mode && strcmp(mode, "target") == 0)
		proxy_switched(w->master, w->export_id);
	answer_waiting(w);
	relay_worker_ready(w);
	proxy_worker_ready(w);
	migrate_poke(w->master, w->export_id);
}

/* It takes no more clients and commands. Called as often as you like. */
void worker_leave(struct worker *w)
{
	bool was_there = w->state != WORKER_STOPPING;

	w->state = WORKER_STOPPING;
	ask_again(w);
	if (!was_there)
		return;
	relay_worker_failed(w);
	snapshots_worker_gone(w);
	proxy_worker_gone(w);
}

static void says_gone(struct worker *w, json_t *msg)
{
	client_gone(w, (uint64_t)json_integer_value(json_object_get(msg, "id")));
}

static void says_idle(struct worker *w, json_t *msg)
{
	(void)msg;
	idle(w);
}

static void says_switched(struct worker *w, json_t *msg)
{
	(void)msg;
	proxy_switched(w->master, w->export_id);
}

static void says_origin(struct worker *w, json_t *msg)
{
	(void)msg;
	migrate_poke(w->master, w->export_id);
}

/* By xnbd-bgctl perhaps, and not through us. */
static void says_reconnected(struct worker *w, json_t *msg)
{
	const struct export_spec origin = {.uri = json_string_value(json_object_get(msg, "uri")),
		.host = json_string_value(json_object_get(msg, "host")),
		.port = json_string_value(json_object_get(msg, "port")),
		.exportname = json_string_value(json_object_get(msg, "exportname"))};
	const struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);

	if (e && exports_check_origin(&origin, NULL) == 0 && !exports_same_origin(e, &origin))
		proxy_reconnected(w->master, w->export_id, &origin);
}

static const struct {
	const char *name;
	void (*fn)(struct worker *w, json_t *msg);
} events[] = {
	{"gone", says_gone},
	{"idle", says_idle},
	{"switched", says_switched},
	{"snapshot", snapshots_event},
	{"copy", proxy_copy_event},
	{"origin", says_origin},
	{"reconnected", says_reconnected},
};

static void take_event(struct worker *w, const char *event, json_t *msg)
{
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		if (strcmp(event, events[i].name) == 0) {
			events[i].fn(w, msg);
			return;
		}
	}
}

/* Its last word, if it cannot start. */
static void take_error(struct worker *w, const char *text)
{
	log_warn("%s: its server says: %s", w->export_name, text);
	if (w->state == WORKER_STARTING && text)
		snprintf(w->why, sizeof(w->why), "%s", text);
}

static void worker_says(struct ctl_conn *c, json_t *msg, int fd)
{
	struct worker *w = container_of(c, struct worker, ctl);
	const char *event = json_string_value(json_object_get(msg, "event"));

	fd_close(&fd);
	if (event)
		take_event(w, event, msg);
	else if (json_is_false(json_object_get(msg, "ok")))
		take_error(w, json_string_value(json_object_get(msg, "error")));
	else if (w->state == WORKER_STARTING && read_facts(msg, &w->facts))
		became_ready(w, msg);
}

/* The control connection ended: it is dying or dead; SIGCHLD tells the rest. */
static void worker_hung_up(struct ctl_conn *c)
{
	struct worker *w = container_of(c, struct worker, ctl);

	if (w->state == WORKER_STARTING)
		worker_failed(w);
	worker_leave(w);
}

const struct ctl_ops worker_ops = {worker_says, worker_hung_up};

/* It could not open the image, most likely: ask a probe for the words, for the clients who wait. */
struct failure {
	struct master *master;
	size_t count;
	uint64_t clients[];
};

static void tell_failure(void *arg, const struct probe_result *result)
{
	struct failure *f = arg;
	char text[128];

	if (result->code)
		snprintf(text, sizeof(text), "the image cannot be served: %s",
			strerror(result->code));
	else
		snprintf(text, sizeof(text), "the server of this export could not be started");
	for (size_t i = 0; i < f->count; i++)
		master_refuse(f->master, f->clients[i], master_refusal(result->code), text);
	free(f);
}

void worker_failed(struct worker *w)
{
	struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);
	struct failure *f;

	if (e && e->kind == EXPORT_PROXY) {
		refuse_waiting(
			w, w->why[0] ? w->why : "the proxy could not be started; its log says why");
		return;
	}
	f = malloc(sizeof(*f) + w->waiting_count * sizeof(f->clients[0]));
	if (!e || !f) {
		free(f);
		refuse_waiting(w, "the export cannot be served now");
		return;
	}
	f->master = w->master;
	f->count = w->waiting_count;
	memcpy(f->clients, w->waiting, f->count * sizeof(f->clients[0]));
	w->waiting_count = 0;
	if (!probe_start(&w->master->probes, e->image, master_probes_readonly(w->master, e),
		    tell_failure, f)) {
		struct probe_result unknown = {0};

		tell_failure(f, &unknown);
	}
}

/* Start and end. */

void worker_too_late(struct reactor_timer *t)
{
	struct worker *w = container_of(t, struct worker, deadline);

	log_error("%s: its server (pid %d) does not %s; killed", w->export_name, (int)w->pid,
		w->state == WORKER_STARTING ? "start" : "end");
	if (w->pid > 0)
		kill(w->pid, SIGKILL);
	if (w->state == WORKER_STARTING)
		worker_failed(w);
	worker_leave(w);
	if (w->held)
		worker_forget(w);
}

void worker_stop(struct worker *w)
{
	if (w->state == WORKER_STARTING)
		refuse_waiting(w, "the server is shutting down");
	if (w->state != WORKER_STOPPING || !w->deadline.slot)
		reactor_timer_set(&w->master->reactor, &w->deadline, WORKER_STOP_MS);
	worker_leave(w);
	if (w->held)
		worker_forget(w);
	else if (w->ctl.fd >= 0)
		ctl_send(&w->ctl, json_pack("{s:s}", "cmd", "stop"), -1);
	else if (w->pid > 0)
		kill(w->pid, SIGTERM);
}

void worker_forget(struct worker *w)
{
	struct worker **p = &w->master->workers;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	ask_again(w);
	while (w->clients)
		forget_client(w, &w->clients);
	reactor_timer_cancel(&w->master->reactor, &w->deadline);
	ctl_conn_done(&w->ctl);
	if (w->pid == 0) { /* its own doing, unless it died */
		unlink(w->ctl_path);
		unlink(w->proxy_path);
	}
	free(w->waiting);
	free(w->export_name);
	free(w);
}

static void log_end(const struct worker *w, int status)
{
	if (WIFSIGNALED(status))
		log_error("%s: its server (pid %d) was killed by signal %d; %u clients lost",
			w->export_name, (int)w->pid, WTERMSIG(status), w->client_count);
	else if (WEXITSTATUS(status) == 127)
		log_error("%s: %s could not be run", w->export_name, w->master->server);
	else if (WEXITSTATUS(status) != 0)
		log_error("%s: its server (pid %d) %s with status %d", w->export_name, (int)w->pid,
			w->state == WORKER_READY ? "ended" : "did not start or end well,",
			WEXITSTATUS(status));
}

bool worker_reaped(struct master *m, pid_t pid, int status)
{
	struct worker *w = m->workers;
	uint32_t id;

	while (w && w->pid != pid)
		w = w->next;
	if (!w)
		return false;
	log_end(w, status);
	w->pid = 0;
	if (w->state == WORKER_STARTING)
		worker_failed(w);
	worker_leave(w);
	id = w->export_id;
	worker_forget(w);
	worker_launch_held(m, id);
	return true;
}
