/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon tells, and takes orders from, at its control socket. That it can listen there
 * makes it the only one. Answers come at once; what is ordered is done later.
 */
#include "daemon_inner.h"

#include "clock.h"
#include "log.h"
#include "sock.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void put(json_t *o, const char *key, uint64_t n)
{
	json_object_set_new(o, key, json_integer((json_int_t)n));
}

static void put_text(json_t *o, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(o, key, json_string(text));
}

static void put_flag(json_t *o, const char *key, bool on)
{
	json_object_set_new(o, key, json_boolean(on));
}

/* status */

static json_t *describe_set(const struct daemon *d, size_t i)
{
	const struct daemon_set *x = &d->sets[i];
	const struct schedule_set *s = &d->schedule.sets[i];
	char digest[MANIFEST_HEX];
	json_t *o = json_object();

	put_text(o, "set", d->config->sets[i].name);
	put_text(o, "situation", daemon_view_name(x->situation));
	put_text(o, "text", x->text);
	if (x->at)
		put(o, "for-ms", d->reactor.now - x->at);
	if (x->known) {
		hash_to_hex(x->last.me.digest, digest);
		put(o, "generation", x->last.me.number);
		put_text(o, "digest", digest);
		put_text(o, "plan", plan_action_text(x->last.plan.action));
	}
	put(o, "transactions", x->transactions);
	put(o, "failures", s->failures);
	if (s->failures && s->retry_at > d->reactor.now)
		put(o, "retry-ms", s->retry_at - d->reactor.now);
	return o;
}

static json_t *list_sets(const struct daemon *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->config->set_count; i++) {
		if (d->config->sets[i].kind != CONFIG_LOCAL)
			json_array_append_new(list, describe_set(d, i));
	}
	return list;
}

static json_t *counts(const struct daemon *d)
{
	json_t *o = json_object();
	uint64_t transactions = 0;

	for (size_t i = 0; i < d->config->set_count; i++)
		transactions += d->sets[i].transactions;
	put(o, "scans", d->jobs[SCHEDULE_SCAN]);
	put(o, "conversations", d->jobs[SCHEDULE_SYNC] + d->jobs[SCHEDULE_FULL]);
	put(o, "full-scans", d->jobs[SCHEDULE_FULL]);
	put(o, "transactions", transactions);
	put(o, "overflows", d->watch.overflows);
	return o;
}

static json_t *answer_status(struct daemon *d, const json_t *msg, const char **fault)
{
	char line[ERR_TEXT_MAX];
	json_t *o = ctl_ok();

	(void)msg, (void)fault;
	put(o, "pid", (uint64_t)getpid());
	put_text(o, "version", XNBD_VERSION);
	put_text(o, "configuration", d->file);
	put_text(o, "fault", d->fault);
	put_text(o, "self", d->config->self->name);
	put_text(o, "peer", d->config->peer->name);
	if (d->reached != DAEMON_NOT_TRIED)
		put_flag(o, "reached", d->reached == DAEMON_REACHED);
	put_text(o, "why-not", d->unreached);
	if (d->role >= 0)
		put_flag(o, "active", d->role);
	daemon_view_line(d, line, sizeof(line));
	put_text(o, "line", line);
	put_flag(o, "busy", schedule_is_busy(&d->schedule));
	put(o, "folders", d->watch.count);
	put_flag(o, "blind", watch_lost(&d->watch) != 0);
	json_object_set_new(o, "sets", list_sets(d));
	json_object_set_new(o, "counts", counts(d));
	return o;
}

/* sync-now */

static bool find_set(const struct daemon *d, const json_t *name, uint64_t *sets)
{
	for (size_t i = 0; i < d->config->set_count && json_is_string(name); i++) {
		const struct config_set *s = &d->config->sets[i];

		if (s->kind != CONFIG_LOCAL && strcmp(s->name, json_string_value(name)) == 0) {
			*sets |= 1ULL << i;
			return true;
		}
	}
	return false;
}

static json_t *answer_sync_now(struct daemon *d, const json_t *msg, const char **fault)
{
	const json_t *names = json_object_get(msg, "sets"), *name;
	uint64_t sets = 0;
	size_t i;

	if (names && !json_is_array(names)) {
		*fault = "sets: is to be a list of names";
		return NULL;
	}
	json_array_foreach(names, i, name)
	{
		if (!find_set(d, name, &sets)) {
			*fault = "sets: there is no such set";
			return NULL;
		}
	}
	daemon_sync_now(d, names ? sets : daemon_view_used(d->config));
	return ctl_ok();
}

static json_t *answer_stop(struct daemon *d, const json_t *msg, const char **fault)
{
	(void)msg, (void)fault;
	daemon_stop(d);
	return ctl_ok();
}

static const struct {
	const char *name;
	json_t *(*answer)(struct daemon *d, const json_t *msg, const char **fault);
} commands[] = {
	{"status", answer_status},
	{"sync-now", answer_sync_now},
	{"stop", answer_stop},
};

static void on_request(struct ctl_server *s, struct ctl_conn *c, json_t *msg, int fd)
{
	const char *name = ctl_command(c, msg), *fault = "no such command";
	json_t *answer;

	fd_close(&fd);
	if (!name)
		return;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(name, commands[i].name) != 0)
			continue;
		answer = commands[i].answer(s->owner, msg, &fault);
		if (answer)
			ctl_send(c, answer, -1);
		else
			ctl_send_error(c, fault);
		return;
	}
	ctl_send_error(c, fault);
}

/* Start and end. */

int daemon_ctl_init(struct daemon *d, struct err *err)
{
	static const struct ctl_server_ops ops = {.request = on_request};
	int fd = sock_listen_unix(d->config->general.control, 0600, err), r;

	if (fd < 0)
		return fd;
	r = ctl_server_init(&d->ctl, &d->reactor, fd, &ops);
	d->ctl.owner = d;
	d->control = strdup(d->config->general.control);
	if (r == 0 && !d->control)
		r = -ENOMEM;
	return r < 0 ? err_sys(err, -r, "%s", d->config->general.control) : 0;
}

void daemon_ctl_done(struct daemon *d)
{
	ctl_server_done(&d->ctl);
	if (d->control)
		unlink(d->control);
	free(d->control);
	d->control = NULL;
}
