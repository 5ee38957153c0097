/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Life of a worker: WORKER_STARTING until it answers "status" on its control socket, READY until
 * it says it is idle or dies, STOPPING until it is reaped. Whoever has to know that it takes
 * clients and commands, or none any more, is told in became_ready() and worker_leave(), once each.
 * Starting one is in worker_launch.c.
 */
#include "worker_inner.h"

#include "access.h"
#include "await.h"
#include "control.h"
#include "drain.h"
#include "handshake.h"
#include "ipc.h"
#include "log.h"
#include "master.h"
#include "migrate.h"
#include "nbd.h"
#include "negotiate.h"
#include "proxy.h"
#include "relay.h"
#include "resize.h"
#include "snapshots.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The way through a negotiator and a master that may be held up just then. */
enum { PROMISE_MIN_MS = 5000 };

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
	access_client_gone(w, c);
	control_client_left(w->master, c->id);
	drain_client_left(w->master);
	w->client_count--;
	w->master->client_count--;
	free(c);
	if (w->retires && w->client_count == 0 && w->ctl.fd >= 0)
		ctl_send(&w->ctl, json_pack("{s:s}", "cmd", "stop"), -1);
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

void worker_ask_again(struct master *m, uint32_t export_id)
{
	struct worker *w = worker_for(m, export_id);

	if (w)
		ask_again(w);
}

/* The limits are near, or those of this export are. */
static void keep_less(struct worker *w)
{
	const struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);

	if (!access_may_keep(w->master, NULL))
		keep_none(w->master);
	else if (w->kept && e && !access_may_keep(w->master, e))
		ask_again(w);
}

static json_t *client_message(const struct client *c)
{
	char text[FEATURE_TEXT_MAX];
	json_t *msg;

	feature_format(&c->features, text);
	msg = json_pack("{s:s, s:I, s:s, s:b, s:b, s:b}", "cmd", "client", "id", (json_int_t)c->id,
		"features", text, "readonly", c->readonly, "fd", 1, "quiet", 1);
	if (c->snapshot)
		json_object_set_new(msg, "snapshot", json_integer((json_int_t)c->snapshot));
	else
		json_object_set_new(msg, "size", json_integer((json_int_t)c->told));
	return msg;
}

static void list_client(struct worker *w, struct client *c)
{
	c->next = w->clients;
	w->clients = c;
	w->client_count++;
	w->master->client_count++;
}

void worker_take_client(struct worker *w, const struct client *client)
{
	struct client *c = malloc(sizeof(*c));

	if (!c)
		return;
	*c = *client;
	list_client(w, c);
}

void worker_give(struct worker *w, const struct client *who, int fd)
{
	struct client *c = malloc(sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	*c = *who;
	c->id = ++w->master->last_client;
	c->since = w->master->reactor.now;
	list_client(w, c);
	if (ctl_send(&w->ctl, client_message(c), fd) < 0)
		client_gone(w, c->id);
	keep_less(w);
}

void worker_end_client(struct worker *w, const struct client *c, bool now)
{
	if (w->ctl.fd >= 0)
		ctl_send(&w->ctl,
			json_pack("{s:s, s:I, s:b}", "cmd", "end-client", "id", (json_int_t)c->id,
				"now", now),
			-1);
}

/* Lookups. */

void worker_wait(struct worker *w, const struct ipc_lookup *who)
{
	if (w->waiting_count == w->waiting_room) {
		size_t room = w->waiting_room ? 2 * w->waiting_room : 8;
		void *p = realloc(w->waiting, room * sizeof(*w->waiting));

		if (!p) {
			master_refuse(w->master, who, NBD_REP_ERR_POLICY, "out of memory");
			return;
		}
		w->waiting = p;
		w->waiting_room = room;
	}
	w->waiting[w->waiting_count++] = *who;
}

void worker_promise(struct worker *w, const struct ipc_lookup *who)
{
	const struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);

	w->promised_at = w->master->reactor.now;
	w->kept = e && (w->kept || access_may_keep(w->master, e));
	master_facts(w->master, who, &w->facts, w->kept ? w->export_id : NEG_NO_EXPORT);
}

static void answer_waiting(struct worker *w)
{
	for (size_t i = 0; i < w->waiting_count; i++)
		worker_promise(w, &w->waiting[i]);
	w->waiting_count = 0;
}

static void refuse_waiting(struct worker *w, const char *text)
{
	for (size_t i = 0; i < w->waiting_count; i++)
		master_refuse(w->master, &w->waiting[i], NBD_REP_ERR_POLICY, text);
	w->waiting_count = 0;
}

/* What the worker says. */

bool worker_read_facts(json_t *msg, struct export_facts *ret)
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
	uint64_t promise =
		MAX_OF(w->master->options->handshake_timeout * 1000, (uint64_t)PROMISE_MIN_MS);
	bool expecting = w->kept || w->master->reactor.now - w->promised_at < promise ||
		relay_busy(w->master, w->export_id);

	if (w->client_count == 0)
		ask_again(w);
	if (w->client_count == 0 && w->state == WORKER_READY && !expecting)
		worker_stop(w);
}

bool worker_ready(struct worker *w, json_t *msg)
{
	const char *mode = json_string_value(json_object_get(msg, "mode"));

	if (!worker_read_facts(msg, &w->facts))
		return false;
	w->state = WORKER_READY;
	w->ready_at = w->master->reactor.now;
	worker_note_failure(w, ""); /* there is none any more */
	reactor_timer_cancel(&w->master->reactor, &w->deadline);
	/* The wrapper before us may have ended between the switch and saving that. */
	if (mode && strcmp(mode, "target") == 0)
		proxy_switched(w->master, w->export_id);
	master_settle_serial(w->master, w->export_id);
	answer_waiting(w);
	relay_worker_ready(w);
	proxy_worker_ready(w);
	migrate_poke(w->master, w->export_id);
	return true;
}

void worker_give_up(struct worker *w, const char *text)
{
	refuse_waiting(w, text);
	relay_worker_failed(w);
}

void worker_note_failure(const struct worker *w, const char *why)
{
	struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);

	if (e && !w->master->ending)
		snprintf(e->trouble, sizeof(e->trouble), "%s", why);
}

static void count_failure(const struct worker *w)
{
	struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);
	uint64_t now = w->master->reactor.now;

	if (!e || w->told)
		return;
	backoff_failed(&e->backoff, now, w->ready_at ? now - w->ready_at : 0);
	worker_note_failure(w,
		w->why[0]             ? w->why
			: w->ready_at ? "its server has ended"
				      : "its server could not be started");
}

/* It takes no more clients and commands. Called as often as you like. */
void worker_leave(struct worker *w)
{
	bool was_there = w->state != WORKER_STOPPING;

	w->state = WORKER_STOPPING;
	ask_again(w);
	if (!was_there)
		return;
	count_failure(w);
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
	const struct export_config origin = {.uri = json_string_value(json_object_get(msg, "uri")),
		.host = json_string_value(json_object_get(msg, "host")),
		.port = json_string_value(json_object_get(msg, "port")),
		.exportname = json_string_value(json_object_get(msg, "exportname"))};
	const struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);

	if (e && export_config_check_origin(&origin, NULL) == 0 && !exports_same_origin(e, &origin))
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
	{"resized", resize_event},
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

/* Older ones do not know "adopt", of later ones it may ask too much. Clients can be served. */
static bool is_foreign(const char *text)
{
	return strncmp(text, "unknown command", 15) == 0 || strncmp(text, "adopt: ", 7) == 0;
}

/* Its last word, if it cannot start; or it is of another version. */
static void take_error(struct worker *w, const char *text)
{
	if (w->state == WORKER_STARTING && !w->foreign && text && is_foreign(text)) {
		w->foreign = true;
		ctl_send(&w->ctl, json_pack("{s:s}", "cmd", "status"), -1);
		return;
	}
	log_export(LOG_LEVEL_WARN, w->export_name, "its server says: %s", text);
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
	else if (w->state == WORKER_STARTING)
		worker_ready(w, msg);
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
	uint32_t export_id;
	size_t count;
	struct ipc_lookup clients[];
};

static void note_image(struct export_entry *e, int error)
{
	e->image_failed = error;
	if (error && e->trouble[0])
		snprintf(e->trouble, sizeof(e->trouble), "the image cannot be served: %s",
			strerror(error));
}

static void tell_failure(void *arg, const struct probe_result *result)
{
	struct failure *f = arg;
	struct export_entry *e = exports_by_id(&f->master->exports, f->export_id);

	for (size_t i = 0; i < f->count; i++) {
		if (result->code)
			master_refuse_image(f->master, &f->clients[i], result->code);
		else
			master_refuse(f->master, &f->clients[i], NBD_REP_ERR_POLICY,
				"the server of this export could not be started");
	}
	if (e)
		note_image(e, result->code);
	free(f);
}

void worker_failed(struct worker *w)
{
	struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);
	struct failure *f;

	if (e && e->config.kind == EXPORT_PROXY) {
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
	f->export_id = w->export_id;
	f->count = w->waiting_count;
	for (size_t i = 0; i < f->count; i++)
		f->clients[i] = w->waiting[i];
	w->waiting_count = 0;
	if (!probe_start(&w->master->probes, e->config.image, master_probes_readonly(w->master, e),
		    tell_failure, f)) {
		struct probe_result unknown = {0};

		tell_failure(f, &unknown);
	}
}

/* Start and end. */

void worker_too_late(struct reactor_timer *t)
{
	struct worker *w = container_of(t, struct worker, deadline);

	log_export(LOG_LEVEL_ERROR, w->export_name, "its server (pid %d) does not %s; killed",
		(int)w->pid, w->state == WORKER_STARTING ? "start" : "end");
	worker_signal(w, SIGKILL);
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
	w->told = true;
	if (w->state != WORKER_STOPPING || !w->deadline.slot)
		reactor_timer_set(&w->master->reactor, &w->deadline, WORKER_STOP_MS);
	worker_leave(w);
	if (w->held) {
		worker_forget(w);
		return;
	}
	if (w->ctl.fd >= 0)
		ctl_send(&w->ctl, json_pack("{s:s}", "cmd", "stop"), -1);
	else
		worker_signal(w, SIGTERM);
	if (w->adopting && !w->pid)
		worker_forget(w); /* one that is silent ends when it hears us */
}

void worker_retire(struct worker *w)
{
	if (w->state == WORKER_STOPPING)
		return;
	if (w->state != WORKER_READY || w->client_count == 0) {
		worker_stop(w);
		return;
	}
	w->told = w->retires = true;
	reactor_timer_set(&w->master->reactor, &w->deadline, WORKER_STOP_MS);
	worker_leave(w);
	for (struct client *c = w->clients; c; c = c->next)
		worker_end_client(w, c, false);
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
	reactor_timer_cancel(&w->master->reactor, &w->again);
	reactor_timer_cancel(&w->master->reactor, &w->deadline);
	ctl_conn_done(&w->ctl);
	reactor_remove(&w->master->reactor, &w->process);
	fd_close(&w->pidfd);
	json_decref(w->answer);
	json_decref(w->known);
	if (w->pid == 0 && !w->adopting) { /* its own doing, unless it died */
		unlink(w->ctl_path);
		unlink(w->proxy_path);
	}
	free(w->waiting);
	free(w->image);
	free(w->apart);
	free(w->export_name);
	free(w);
}

/* STATUS -1: it is not told to us. */
static void log_end(const struct worker *w, int status)
{
	if (status == -1 && w->client_count > 0)
		log_export(LOG_LEVEL_ERROR, w->export_name,
			"its server (pid %d) has ended; %u clients lost", (int)w->pid,
			w->client_count);
	else if (status == -1)
		log_export(LOG_LEVEL_DEBUG, w->export_name, "its server (pid %d) has ended",
			(int)w->pid);
	else if (WIFSIGNALED(status))
		log_export(LOG_LEVEL_ERROR, w->export_name,
			"its server (pid %d) was killed by signal %d; %u clients lost", (int)w->pid,
			WTERMSIG(status), w->client_count);
	else if (WEXITSTATUS(status) == 127)
		log_export(
			LOG_LEVEL_ERROR, w->export_name, "%s could not be run", w->master->server);
	else if (WEXITSTATUS(status) != 0)
		log_export(LOG_LEVEL_ERROR, w->export_name, "its server (pid %d) %s with status %d",
			(int)w->pid,
			w->state == WORKER_READY ? "ended" : "did not start or end well,",
			WEXITSTATUS(status));
}

/* The connection broke first, and could not tell why. */
static void note_signal(const struct worker *w, int status)
{
	char why[64];

	if (!WIFSIGNALED(status) || w->told || worker_for(w->master, w->export_id))
		return;
	snprintf(why, sizeof(why), "its server was killed by signal %d", WTERMSIG(status));
	worker_note_failure(w, why);
}

static void has_ended(struct worker *w, int status)
{
	struct master *m = w->master;
	uint32_t id = w->export_id;

	log_end(w, status);
	w->pid = 0;
	if (w->state == WORKER_STARTING)
		worker_failed(w);
	worker_leave(w);
	if (status != -1)
		note_signal(w, status);
	worker_forget(w);
	worker_launch_held(m, id);
	await_worker_gone(m);
}

bool worker_reaped(struct master *m, pid_t pid, int status)
{
	struct worker *w = m->workers;

	while (w && w->pid != pid)
		w = w->next;
	if (w)
		has_ended(w, status);
	return w;
}

/* After an upgrade it is our child all the same. */
void worker_process_ended(struct reactor_watch *watch, uint32_t happened)
{
	struct worker *w = container_of(watch, struct worker, process);
	struct master *m = w->master;
	int status = -1;

	(void)happened;
	if (waitpid(w->pid, &status, WNOHANG) != w->pid)
		status = -1;
	has_ended(w, status);
	if (m->ending && !m->workers)
		reactor_stop(&m->reactor);
}

void worker_signal(const struct worker *w, int number)
{
	if (w->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, w->pidfd, number, NULL, 0);
	else if (w->pid > 0)
		kill(w->pid, number);
}
