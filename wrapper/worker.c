/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Life of a worker: WORKER_STARTING until it answers "status" on its control socket, READY until
 * it says it is idle or dies, STOPPING until it is reaped. The control socket is bound here and
 * inherited by the worker, so connecting never has to wait for it.
 */
#include "worker.h"

#include "handshake.h"
#include "ipc.h"
#include "log.h"
#include "master.h"
#include "nbd.h"
#include "negotiate.h"
#include "proc.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { START_MS = 10 * 1000, STOP_MS = 15 * 1000, ARGS_MAX = 24 };

static void worker_failed(struct worker *w);

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

void worker_give(
	struct worker *w, const struct sock_peer *peer, const struct features *features, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	char text[FEATURE_TEXT_MAX];

	if (!c) {
		close(fd);
		return;
	}
	c->id = ++w->master->last_client;
	c->peer = *peer;
	c->features = *features;
	c->since = w->master->reactor.now;
	c->next = w->clients;
	w->clients = c;
	w->client_count++;
	w->master->client_count++;
	feature_format(features, text);
	if (ctl_send(&w->ctl,
		    json_pack("{s:s, s:I, s:s, s:b, s:b}", "cmd", "client", "id", (json_int_t)c->id,
			    "features", text, "fd", 1, "quiet", 1),
		    fd) < 0)
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
 * Not while a client that was promised entry may still be on its way, by us or by the negotiator;
 * the worker says so again later.
 */
static void idle(struct worker *w)
{
	bool expecting = w->kept || w->master->reactor.now - w->promised_at < HANDSHAKE_OPTION_MS;

	if (w->client_count == 0)
		ask_again(w);
	if (w->client_count == 0 && w->state == WORKER_READY && !expecting)
		worker_stop(w);
}

static void worker_says(struct ctl_conn *c, json_t *msg, int fd)
{
	struct worker *w = container_of(c, struct worker, ctl);
	const char *event = json_string_value(json_object_get(msg, "event"));

	fd_close(&fd);
	if (event && strcmp(event, "gone") == 0) {
		client_gone(w, (uint64_t)json_integer_value(json_object_get(msg, "id")));
	} else if (event && strcmp(event, "idle") == 0) {
		idle(w);
	} else if (json_is_false(json_object_get(msg, "ok"))) {
		log_warn("%s: its server says: %s", w->export_name,
			json_string_value(json_object_get(msg, "error")));
	} else if (w->state == WORKER_STARTING && read_facts(msg, &w->facts)) {
		w->state = WORKER_READY;
		reactor_timer_cancel(&w->master->reactor, &w->deadline);
		answer_waiting(w);
	}
}

/* The control connection ended: it is dying or dead; SIGCHLD tells the rest. */
static void worker_hung_up(struct ctl_conn *c)
{
	struct worker *w = container_of(c, struct worker, ctl);

	if (w->state == WORKER_STARTING)
		worker_failed(w);
	w->state = WORKER_STOPPING;
	ask_again(w);
}

static const struct ctl_ops worker_ops = {worker_says, worker_hung_up};

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

static void worker_failed(struct worker *w)
{
	struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);
	struct failure *f = malloc(sizeof(*f) + w->waiting_count * sizeof(f->clients[0]));

	if (!e || !f) {
		free(f);
		refuse_waiting(w, "the export cannot be served now");
		return;
	}
	f->master = w->master;
	f->count = w->waiting_count;
	memcpy(f->clients, w->waiting, f->count * sizeof(f->clients[0]));
	w->waiting_count = 0;
	if (!probe_start(
		    &w->master->probes, e->image, master_readonly(w->master, e), tell_failure, f)) {
		struct probe_result unknown = {0};

		tell_failure(f, &unknown);
	}
}

/* Start and end. */

static void too_late(struct reactor_timer *t)
{
	struct worker *w = container_of(t, struct worker, deadline);

	log_error("%s: its server (pid %d) does not %s; killed", w->export_name, (int)w->pid,
		w->state == WORKER_STARTING ? "start" : "end");
	if (w->pid > 0)
		kill(w->pid, SIGKILL);
	if (w->state == WORKER_STARTING)
		worker_failed(w);
	w->state = WORKER_STOPPING;
}

void worker_stop(struct worker *w)
{
	if (w->state == WORKER_STARTING)
		refuse_waiting(w, "the server is shutting down");
	ask_again(w);
	if (w->state != WORKER_STOPPING || !w->deadline.slot)
		reactor_timer_set(&w->master->reactor, &w->deadline, STOP_MS);
	w->state = WORKER_STOPPING;
	if (w->ctl.fd >= 0)
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
	if (w->pid == 0)
		unlink(w->ctl_path); /* its own doing, unless it died */
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

	while (w && w->pid != pid)
		w = w->next;
	if (!w)
		return false;
	log_end(w, status);
	w->pid = 0;
	if (w->state == WORKER_STARTING)
		worker_failed(w);
	worker_forget(w);
	return true;
}

/* The command line; every pointer lives until the fork. */
struct arguments {
	char *argv[ARGS_MAX];
	size_t count;
	char numbers[3][24];
	size_t number_count;
};

static void add_arg(struct arguments *a, const char *word)
{
	a->argv[a->count++] = (char *)(uintptr_t)word;
}

static void add_number(struct arguments *a, const char *name, uint64_t value)
{
	char *text = a->numbers[a->number_count++];

	snprintf(text, sizeof(a->numbers[0]), "%llu", (unsigned long long)value);
	add_arg(a, name);
	add_arg(a, text);
}

static void build_command(const struct master *m, const struct export_entry *e, struct arguments *a)
{
	const struct wrapper_options *o = m->options;

	add_arg(a, m->server);
	add_arg(a, "--target");
	add_arg(a, "--control-fd");
	add_arg(a, "3");
	if (master_readonly(m, e))
		add_arg(a, "--readonly");
	if (o->direct)
		add_arg(a, "--direct");
	if (o->syslog || (o->daemonize && !o->logpath))
		add_arg(a, "--syslog");
	if (o->logpath) {
		add_arg(a, "--logpath");
		add_arg(a, o->logpath);
	}
	if (o->engine) {
		add_arg(a, "--engine");
		add_arg(a, o->engine);
	}
	add_number(a, "--busy-poll", o->busy_poll);
	add_number(a, "--max-queue-size", o->max_queue_size);
	add_number(a, "--max-buf-size", o->max_buf_size);
	add_arg(a, "--");
	add_arg(a, e->image);
}

/* Binds the worker's control socket and connects to it; *ret_listening goes to the worker. */
static int open_control(struct worker *w, int *ret_listening, struct err *err)
{
	char *path = w->ctl_path;
	int fd;

	if (snprintf(path, sizeof(w->ctl_path), "%s.d/w%u-%d-%llu", w->master->options->control,
		    w->export_id, (int)getpid(),
		    (unsigned long long)++w->master->last_worker) >= (int)sizeof(w->ctl_path))
		return err_set(err, ENAMETOOLONG, "%s.d: the path is too long for sockets in it",
			w->master->options->control);
	*ret_listening = sock_listen_unix(path, 0600, err);
	if (*ret_listening < 0)
		return *ret_listening;
	fd = sock_connect_unix(path, err);
	if (fd < 0) {
		fd_close(ret_listening);
		return fd;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (ctl_conn_init(&w->ctl, &w->master->reactor, fd, &worker_ops) < 0)
		return err_sys(err, ENOMEM, "%s", path);
	return 0;
}

static int launch(struct worker *w, const struct export_entry *e, struct err *err)
{
	struct arguments args = {0};
	int listening, ret = open_control(w, &listening, err);
	pid_t pid;

	if (ret < 0)
		return ret;
	build_command(w->master, e, &args);
	pid = proc_spawn(args.argv, &listening, 1, false);
	close(listening);
	if (pid < 0)
		return err_sys(err, -pid, "start %s", w->master->server);
	w->pid = pid;
	ctl_send(&w->ctl, json_pack("{s:s}", "cmd", "status"), -1);
	return 0;
}

struct worker *worker_start(struct master *m, uint32_t export_id)
{
	const struct export_entry *e = exports_by_id(&m->exports, export_id);
	struct worker *w = calloc(1, sizeof(*w));
	struct err err = {0};

	if (!w || !e) {
		free(w);
		return NULL;
	}
	*w = (struct worker){.master = m, .export_id = export_id, .next = m->workers};
	w->ctl.fd = -1;
	w->deadline.fn = too_late;
	w->export_name = strdup(e->name);
	m->workers = w;
	if (!w->export_name || launch(w, e, &err) < 0 ||
		reactor_timer_set(&m->reactor, &w->deadline, START_MS) < 0) {
		log_error("%s: %s", e->name, err.code ? err.text : "out of memory");
		worker_forget(w);
		return NULL;
	}
	return w;
}
