/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control commands about what is served, most of them for proxies.
 *
 *	query                                   mode, cache, origin, copy, snapshots
 *	cache-all [rate, blocks_per_request, idle]   copy the rest in the background
 *	pause, resume                           that copy
 *	switch [force]                          proxy to target
 *	reconnect host, port [, exportname] | uri
 *	verify [samples]                        compare with the origin
 *
 * Events: "switched"; "copy" and "origin" with the new state; "reconnected" with what was asked
 *for.
 */
#include "clock.h"
#include "log.h"
#include "nbd.h"
#include "proxy.h"
#include "util.h"
#include "worker_inner.h"

#include <errno.h>
#include <string.h>

enum { VERIFY_SAMPLES = 1000, VERIFY_SAMPLES_MAX = 1000000, LOOK_MS = 1000 };

static struct proxy *proxy_of_worker(struct worker *w)
{
	return proxy_of(w->storage);
}

/* query */

static json_t *describe_origin(const struct origin_status *o)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:i, s:I, s:I, s:I}", "uri", o->uri, "state",
		origin_state_name(o->state), "error", o->error, "since",
		(json_int_t)(clock_ms() - o->since), "connections", (int)o->connections,
		"bytes_read", (json_int_t)o->bytes_read, "reconnects", (json_int_t)o->reconnects,
		"waiting", (json_int_t)o->jobs_waiting);
}

static json_t *describe_copy(const struct copier_progress *p)
{
	json_t *left = p->seconds_left < 0 ? json_null() : json_integer(p->seconds_left);

	return json_pack("{s:s, s:I, s:I, s:o, s:s}", "state", copier_state_name(p->state),
		"rate_limit", (json_int_t)p->limit, "rate", (json_int_t)p->rate, "seconds_left",
		left, "error", p->error);
}

static void add_proxy(json_t *answer, struct proxy *p)
{
	struct proxy_status s;

	proxy_status(p, &s);
	if (s.switched)
		return;
	json_object_update_new(answer,
		json_pack("{s:s, s:i, s:I, s:I, s:I, s:o, s:o}", "bitmap", s.bitmap, "block",
			(int)s.block, "blocks", (json_int_t)s.blocks, "cached",
			(json_int_t)s.cached, "written", (json_int_t)s.written, "origin",
			describe_origin(&s.origin), "copy", describe_copy(&s.copy)));
}

static void do_query(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	const struct export_facts *f = &w->storage->facts;
	struct proxy *p = proxy_of_worker(w);
	json_t *answer = ctl_ok();

	(void)msg;
	fd_close(&fd);
	json_object_update_new(answer,
		json_pack("{s:s, s:i, s:s, s:b, s:I, s:i, s:s}", "version", XNBD_VERSION, "pid",
			(int)getpid(), "mode", storage_mode(w->storage), "readonly",
			!!(f->flags & NBD_FLAG_READ_ONLY), "size", (json_int_t)f->size, "clients",
			(int)w->clients, "image", w->config.image));
	if (p)
		add_proxy(answer, p);
	json_object_set_new(answer, "snapshots", worker_snapshots(w));
	ctl_send(c, answer, -1);
}

/* True if it is one; else the error is sent. */
static bool need_proxy(struct worker *w, struct ctl_conn *c, int fd)
{
	fd_close(&fd);
	if (proxy_of_worker(w))
		return true;
	ctl_send_error(c, "this server is no proxy");
	return false;
}

static void answer_simply(struct ctl_conn *c, int ret)
{
	if (ret < 0)
		ctl_send_error(c, strerror(-ret));
	else
		ctl_send(c, ctl_ok(), -1);
}

/* The copy. */

static uint64_t number_of(json_t *msg, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(msg, key));

	return n > 0 ? (uint64_t)n : 0;
}

static void do_cache_all(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	const struct copier_settings settings = {.rate = number_of(msg, "rate"),
		.unit = number_of(msg, "blocks_per_request"),
		.idle = json_is_true(json_object_get(msg, "idle"))};

	if (need_proxy(w, c, fd))
		answer_simply(c, proxy_copy(proxy_of_worker(w), &settings));
}

static void do_pause(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	(void)msg;
	if (!need_proxy(w, c, fd))
		return;
	proxy_pause(proxy_of_worker(w), true);
	answer_simply(c, 0);
}

static void do_resume(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	(void)msg;
	if (!need_proxy(w, c, fd))
		return;
	proxy_pause(proxy_of_worker(w), false);
	answer_simply(c, 0);
}

/* What takes time. */

static int run_switch(struct errand *e)
{
	bool force = json_is_true(json_object_get(e->msg, "force"));
	uint64_t absent = 0;
	int ret = proxy_switch(proxy_of_worker(e->worker), force, &absent, &e->err);

	if (ret == -EAGAIN) {
		json_object_set_new(e->answer, "incomplete", json_true());
		json_object_set_new(e->answer, "absent", json_integer((json_int_t)absent));
	}
	return ret;
}

static void do_switch(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	fd_close(&fd);
	if (strcmp(storage_mode(w->storage), "target") == 0)
		answer_simply(c, 0);
	else if (need_proxy(w, c, -1))
		errand_start(w, c, msg, "switch", NULL, run_switch, NULL);
}

void worker_switch(struct worker *w)
{
	if (proxy_of_worker(w))
		errand_start(w, NULL, NULL, "switch", NULL, run_switch, NULL);
	else
		log_warn("%s: is no proxy; SIGUSR2 ignored", w->config.image);
}

static int run_reconnect(struct errand *e)
{
	const char *uri = json_string_value(json_object_get(e->msg, "uri"));
	char built[ORIGIN_URI_MAX];

	if (!uri) {
		int ret = origin_uri(json_string_value(json_object_get(e->msg, "host")),
			json_string_value(json_object_get(e->msg, "port")),
			json_string_value(json_object_get(e->msg, "exportname")), built, &e->err);

		if (ret < 0)
			return ret;
	}
	return proxy_reconnect(proxy_of_worker(e->worker), uri ? uri : built, &e->err);
}

/* Whoever remembers the origin must know, whoever has changed it. */
static void reconnected(struct errand *e, int result)
{
	static const char *const keys[] = {"uri", "host", "port", "exportname"};
	json_t *event = json_pack("{s:s}", "event", "reconnected");

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		json_t *value = json_object_get(e->msg, keys[i]);

		if (value)
			json_object_set(event, keys[i], value);
	}
	if (result == 0)
		worker_tell(e->worker, json_incref(event));
	json_decref(event);
	errand_answer(e, result);
}

static void do_reconnect(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	bool pair = json_is_string(json_object_get(msg, "host")) &&
		json_is_string(json_object_get(msg, "port"));

	if (!need_proxy(w, c, fd))
		return;
	if (pair || json_is_string(json_object_get(msg, "uri")))
		errand_start(w, c, msg, "reconnect", NULL, run_reconnect, reconnected);
	else
		ctl_send_error(c, "reconnect: needs host and port, or uri, as texts");
}

static int run_verify(struct errand *e)
{
	uint64_t samples = number_of(e->msg, "samples");
	struct proxy_verdict v;
	int ret = proxy_verify(proxy_of_worker(e->worker),
		samples ? MIN_OF(samples, (uint64_t)VERIFY_SAMPLES_MAX) : VERIFY_SAMPLES, &v,
		&e->err);
	json_t *first = v.different ? json_integer((json_int_t)v.first_different) : json_null();

	json_object_update_new(e->answer,
		json_pack("{s:I, s:I, s:I, s:o}", "checked", (json_int_t)v.checked, "skipped",
			(json_int_t)v.skipped, "different", (json_int_t)v.different,
			"first_different", first));
	return ret;
}

static void do_verify(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	if (need_proxy(w, c, fd))
		errand_start(w, c, msg, "verify", NULL, run_verify, NULL);
}

const struct worker_command worker_proxy_commands[] = {
	{"query", do_query},
	{"cache-all", do_cache_all},
	{"pause", do_pause},
	{"resume", do_resume},
	{"switch", do_switch},
	{"reconnect", do_reconnect},
	{"verify", do_verify},
	{NULL, NULL},
};

/* Events. The proxy's threads only say that something is new. */

static void tell_state(struct worker *w, const char *event, const char *state, const char *error)
{
	worker_tell(
		w, json_pack("{s:s, s:s, s:s}", "event", event, "state", state, "error", error));
}

static void look(struct worker *w)
{
	struct proxy_status s;

	if (w->proxy_seen.switched)
		return;
	proxy_status(proxy_of_worker(w), &s);
	if ((int)s.copy.state != w->proxy_seen.copy)
		tell_state(w, "copy", copier_state_name(s.copy.state), s.copy.error);
	if (!s.switched && (int)s.origin.state != w->proxy_seen.origin)
		tell_state(w, "origin", origin_state_name(s.origin.state), s.origin.error);
	w->proxy_seen.copy = (int)s.copy.state;
	w->proxy_seen.origin = (int)s.origin.state;
	if (!s.switched)
		return;
	w->proxy_seen.switched = true;
	worker_tell(w, json_pack("{s:s}", "event", "switched"));
	log_info("%s: the proxy has become a target", w->config.image);
}

static void news(struct reactor_task *t)
{
	struct worker *w = container_of(t, struct worker, proxy_news);

	w->proxy_posted = false;
	look(w);
}

static void look_again(struct reactor_timer *t)
{
	struct worker *w = container_of(t, struct worker, proxy_timer);

	look(w);
	if (!w->proxy_seen.switched)
		reactor_timer_set(&w->reactor, t, LOOK_MS);
}

/* In any thread. */
static void changed(void *owner, const char *what)
{
	struct worker *w = owner;

	(void)what;
	if (!atomic_exchange(&w->proxy_posted, true))
		reactor_post(&w->reactor, &w->proxy_news);
}

void worker_watch_proxy(struct worker *w)
{
	struct proxy *p = proxy_of_worker(w);

	if (!p)
		return;
	w->proxy_news.fn = news;
	w->proxy_timer.fn = look_again;
	proxy_watch(p, changed, w);
	reactor_timer_set(&w->reactor, &w->proxy_timer, LOOK_MS);
}

bool worker_is_copying(struct worker *w)
{
	struct proxy *p = proxy_of_worker(w);
	struct proxy_status s;

	if (!p)
		return false;
	proxy_status(p, &s);
	return s.copy.state == COPIER_RUNNING || s.copy.state == COPIER_WAITING;
}
