/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which export a server of before belongs to, and taking it over. See adopt.h.
 *
 * By the name it was given, or else by its image; if it serves what a server of that export would
 * serve now. Of two the one that was started last stays with it. Whoever is left is apart.
 */
#include "adopt_inner.h"

#include "access.h"
#include "change.h"
#include "command.h"
#include "log.h"
#include "master.h"
#include "proxy.h"
#include "relay.h"
#include "snapshots.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static uint64_t number_of(json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return (uint64_t)MAX_OF(n, (json_int_t)0);
}

/* Finding its export. */

/* A proxy that has become a target is one still, as far as our table knows. */
static bool is_mode(const struct worker *w, const struct export_entry *e)
{
	const char *told = text_of(w->answer, "mode");
	enum export_kind kind = command_kind(w->master->options, e);

	return strcmp(told, export_config_mode(kind)) == 0 ||
		(kind == EXPORT_PROXY && strcmp(text_of(w->answer, "began_as"), "proxy") == 0);
}

/* One that was started while this one was silent, and that nobody uses. */
static bool gives_way(const struct worker *other)
{
	return other->state == WORKER_READY && other->client_count == 0 && !other->image &&
		!other->copying && !relay_busy(other->master, other->export_id);
}

/* NULL = it does. */
static const char *why_not(const struct worker *w, const struct export_entry *e)
{
	bool readonly = json_is_true(json_object_get(w->answer, "told_readonly"));
	const struct worker *other = worker_for(w->master, e->id);

	if (!adopt_is_image(e, text_of(w->answer, "image")))
		return "the export has another image now";
	if (!is_mode(w, e))
		return "the export has another mode now";
	if (readonly != command_readonly(w->master->options, e))
		return readonly ? "the export is writable now" : "the export is read-only now";
	if (other && other != w && !gives_way(other))
		return "a later one serves the export";
	return NULL;
}

/* It may have another name now. */
static const struct export_entry *find_by_image(const struct worker *w)
{
	const struct exports *t = &w->master->exports;

	for (size_t i = 0; i < t->count; i++) {
		if (!why_not(w, &t->entries[i]))
			return &t->entries[i];
	}
	return NULL;
}

static void take_place(struct worker *w, uint32_t id)
{
	struct worker *other = worker_for(w->master, id);

	if (other && other != w)
		worker_stop(other);
	w->export_id = id;
}

static void find_export(struct worker *w)
{
	struct master *m = w->master;
	const char *name = text_of(w->answer, "export");
	const struct export_entry *e = exports_by_name(&m->exports, name);
	bool waited = json_is_true(json_object_get(w->known, "changes"));
	const char *why;

	if (!e)
		e = snapshots_adopt(m, name, text_of(w->answer, "image"));
	if (!e)
		e = find_by_image(w);
	why = !e         ? "it is not exported any more"
		: waited ? "the export was to change when its clients have left"
			 : why_not(w, e);
	if (why)
		adopt_set_apart(w, "%s", why);
	else
		take_place(w, e->id);
}

/* Its clients. */

static void read_peer(json_t *told, struct sock_peer *ret)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	json_t *groups = json_object_get(told, "groups");

	*ret = (struct sock_peer){.local = json_is_integer(json_object_get(told, "uid"))};
	snprintf(ret->name, sizeof(ret->name), "%s", text_of(told, "peer"));
	snprintf(ret->host, sizeof(ret->host), "%s", text_of(told, "host"));
	if (inet_pton(AF_INET, ret->host, &in4.sin_addr) == 1)
		peers_identify((const struct sockaddr *)&in4, &ret->id);
	else if (inet_pton(AF_INET6, ret->host, &in6.sin6_addr) == 1)
		peers_identify((const struct sockaddr *)&in6, &ret->id);
	if (!ret->local)
		return;
	ret->id = (struct peers_id){.kind = PEERS_UNIX,
		.uid = (uint32_t)number_of(told, "uid"),
		.gid = (uint32_t)number_of(told, "gid")};
	for (size_t i = 0; i < json_array_size(groups) && i < PEERS_GROUPS_MAX; i++)
		ret->id.groups[ret->id.group_count++] =
			(uint32_t)json_integer_value(json_array_get(groups, i));
}

/* It was told to go before an upgrade, and has not gone yet. */
static bool was_evicted(const struct worker *w, uint64_t id)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(w->known, "evicted"), i, one)
	{
		if ((uint64_t)json_integer_value(one) == id)
			return true;
	}
	return false;
}

static void take_client(struct worker *w, json_t *told)
{
	const struct master *m = w->master;
	uint64_t now = (uint64_t)time(NULL), since = number_of(told, "since");
	uint64_t age = since < now ? (now - since) * 1000 : 0;
	struct client client = {.id = number_of(told, "id"),
		.since = m->reactor.now - MIN_OF(age, m->reactor.now),
		.snapshot = number_of(told, "snapshot"),
		.readonly = json_is_true(json_object_get(told, "readonly"))};
	struct err err;

	client.evicted = was_evicted(w, client.id);
	feature_parse(text_of(told, "features"), &client.features, &err);
	read_peer(told, &client.peer);
	worker_take_client(w, &client);
}

static void take_clients(struct worker *w)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(w->answer, "clients"), i, one) take_client(w, one);
	w->master->last_client =
		MAX_OF(w->master->last_client, number_of(w->answer, "last_client"));
}

/* Taking over. */

/* From the oldest on: the one added last is the newest. */
static void take_snapshots(struct worker *w)
{
	json_t *all = json_object_get(w->answer, "snapshots");
	struct err err;

	for (size_t i = json_array_size(all); i-- > 0;) {
		json_t *s = json_array_get(all, i);
		bool complete = strcmp(text_of(s, "state"), "complete") == 0;

		if (!complete && strcmp(text_of(s, "state"), "copying") != 0)
			continue;
		if (snapshots_add(w->master, w->export_id, number_of(s, "id"), text_of(s, "path"),
			    complete, &err) < 0)
			log_export(LOG_LEVEL_ERROR, w->export_name,
				"snapshot %llu is not exported: %s",
				(unsigned long long)number_of(s, "id"), err.text);
		snapshots_set_size(
			w->master, w->export_id, number_of(s, "id"), number_of(s, "size"));
	}
}

/* Only the state file remembers what was asked for; of other exports their server does. */
static void wish_copy(struct worker *w, enum export_copy wish)
{
	struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);

	if (!e || e->config.source == EXPORT_FROM_STATE || e->copy != EXPORT_COPY_NONE)
		return;
	e->copy_rate = number_of(w->answer, "copy_rate");
	proxy_copy_set(w->master, e->id, wish);
}

static void take_copy(struct worker *w)
{
	const char *copy = text_of(w->answer, "copy");

	w->copying = strcmp(copy, "running") == 0 || strcmp(copy, "waiting") == 0;
	if (strcmp(copy, "done") == 0)
		proxy_copy_set(w->master, w->export_id, EXPORT_COPY_NONE);
	else if (w->copying || strcmp(copy, "paused") == 0)
		wish_copy(w, w->copying ? EXPORT_COPY_RUNNING : EXPORT_COPY_PAUSED);
}

static void take_paths(struct worker *w)
{
	const char *control = text_of(w->answer, "control"), *name = strrchr(w->ctl_path, '/');
	size_t folder = name ? (size_t)(name - w->ctl_path) + 1 : 0;

	w->image = strdup(text_of(w->answer, "image"));
	w->of_proxy = strcmp(text_of(w->answer, "began_as"), "proxy") == 0 ||
		strcmp(text_of(w->answer, "mode"), "proxy") == 0;
	if (folder && strncmp(control, w->ctl_path, folder) == 0)
		snprintf(w->proxy_path, sizeof(w->proxy_path), "%s", control);
}

static void tell(const struct worker *w)
{
	unsigned clients = adopt_clients(w);

	if (w->apart)
		log_export(LOG_LEVEL_WARN, w->export_name,
			"a server of before (pid %d) goes on for its %u clients and gets no new ones: %s",
			(int)w->pid, clients, w->apart);
	else
		log_export(LOG_LEVEL_INFO, w->export_name,
			"its server (pid %d) is taken over, with %u clients", (int)w->pid, clients);
}

static void set_name(struct worker *w, const char *name)
{
	char *copy = name && *name ? strdup(name) : NULL;

	if (!copy)
		return;
	free(w->export_name);
	w->export_name = copy;
}

/* It may not say its name, but for people that of its image will do. */
static void name_foreign(struct worker *w)
{
	const struct exports *t = &w->master->exports;

	set_name(w, text_of(w->answer, "export"));
	for (size_t i = 0; i < t->count; i++) {
		if (adopt_is_image(&t->entries[i], w->image))
			set_name(w, t->entries[i].config.name);
	}
}

/* It goes without us, when its clients have gone; a connection of ours would keep it. */
static void take_foreign(struct worker *w)
{
	if (w->image)
		name_foreign(w);
	w->foreign_clients = (unsigned)number_of(w->answer, "clients");
	ctl_conn_done(&w->ctl);
	adopt_set_apart(w, "it is of version %s, and cannot be taken over: %s",
		text_of(w->answer, "version"), w->why);
	worker_give_up(w, "the server of this export cannot be taken over");
	w->state = WORKER_READY;
}

/* It goes by itself; but who does not end is killed, as it would have been before. */
static void let_end(struct worker *w)
{
	w->told = true;
	w->state = WORKER_STOPPING;
	reactor_timer_set(&w->master->reactor, &w->deadline, WORKER_STOP_MS);
}

/* What may have changed since it was started, and needs no other one. */
static void tell_settings(struct worker *w)
{
	const struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);

	if (e)
		change_tell_limits(w->master, e);
	if (w->ctl.fd >= 0)
		ctl_send(&w->ctl,
			json_pack("{s:s, s:s}", "cmd", "log-level", "level",
				log_level_name(log_level_now())),
			-1);
}

static void rename_worker(struct worker *w)
{
	const struct export_entry *e = exports_by_id(&w->master->exports, w->export_id);

	set_name(w, e ? e->config.name : text_of(w->answer, "export"));
}

static void take_over(struct worker *w)
{
	bool ending = json_is_true(json_object_get(w->answer, "ending")) || w->ctl.fd < 0;
	uint32_t before = w->export_id;

	find_export(w);
	if (ending || w->export_id != before)
		worker_give_up(w, "the export's server has just been changed; try again");
	rename_worker(w);
	take_clients(w);
	if (w->export_id != before)
		snapshots_settle(w->master);
	if (ending) {
		let_end(w);
		return;
	}
	take_copy(w);
	/* The negotiator of before may have let in somebody who is still on the way. */
	w->promised_at = w->apart ? 0 : w->master->reactor.now;
	if (!worker_ready(w, w->answer))
		worker_leave(w);
	else if (!w->apart)
		take_snapshots(w);
	if (w->state == WORKER_READY && !w->apart)
		tell_settings(w);
}

static void replay_events(struct worker *w)
{
	json_t *all = json_object_get(w->answer, ADOPT_EVENTS), *one;
	size_t i;

	json_array_foreach(all, i, one)
	{
		if (w->ctl.fd >= 0)
			worker_ops.message(&w->ctl, one, -1);
	}
}

void adopt_match(struct worker *w)
{
	json_t *answer = w->answer;

	reactor_timer_cancel(&w->master->reactor, &w->deadline);
	w->deadline.fn = worker_too_late;
	w->ctl.ops = &worker_ops;
	free(w->apart);
	w->apart = NULL;
	take_paths(w);
	if (number_of(answer, "protocol") != ADOPT_PROTOCOL)
		take_foreign(w);
	else
		take_over(w);
	tell(w);
	replay_events(w);
	json_decref(w->known);
	w->known = w->answer = NULL;
	json_decref(answer);
	if (w->master->adopted)
		access_enforce(w->master);
}

/*
 * Those with the name of an export come first, the others may only have what is left. Of these,
 * snapshots after what they were taken of; NAME@snapshot behind them, for it is one of them.
 */
static int rank(const struct worker *w)
{
	const char *name = text_of(w->answer, "export"), *at = strrchr(name, '@');

	if (exports_by_name(&w->master->exports, name))
		return 0;
	return !at ? 3 : strcmp(at, "@snapshot") == 0 ? 2 : 1;
}

/* By rank, the latest first. */
static int by_rank(const void *a, const void *b)
{
	const struct worker *x = *(struct worker *const *)a, *y = *(struct worker *const *)b;
	uint64_t since = number_of(x->answer, "since"), other = number_of(y->answer, "since");

	return rank(x) != rank(y) ? rank(x) - rank(y) : (since < other) - (since > other);
}

static void never_answered(struct reactor_timer *t)
{
	struct worker *w = container_of(t, struct worker, deadline);

	log_export(LOG_LEVEL_WARN, w->export_name,
		"a server of before (pid %d) does not answer; left alone", (int)w->pid);
	worker_give_up(w, "the server of this export does not answer");
	w->deadline.fn = worker_too_late;
	adopt_set_apart(w, "it does not answer");
}

static void wait_for_late(struct worker *w)
{
	log_warn("%s: its server does not answer; taken over when it does", w->ctl_path);
	w->deadline.fn = never_answered;
	reactor_timer_set(&w->master->reactor, &w->deadline, WORKER_PROXY_START_MS);
}

int adopt_match_all(struct master *m)
{
	struct worker **all, *w;
	size_t count = 0;

	for (w = m->workers; w; w = w->next)
		count++;
	all = calloc(count + 1, sizeof(struct worker *));
	if (!all)
		return -ENOMEM;
	count = 0;
	for (w = m->workers; w; w = w->next) {
		if (adopt_is_silent(w))
			wait_for_late(w);
		else if (w->answer)
			all[count++] = w;
	}
	qsort(all, count, sizeof(*all), by_rank);
	for (size_t i = 0; i < count; i++)
		adopt_match(all[i]);
	free(all);
	snapshots_settle(m);
	return 0;
}
