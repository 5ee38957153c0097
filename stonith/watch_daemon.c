/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Order of a start: configuration, run directory, control socket (so there is one daemon), signals,
 * helpers, first audit, ready. A new configuration takes the old one's place as a whole, or not at
 * all; the control socket stays.
 */
#include "watch_daemon.h"

#include "conf_objects.h"
#include "lease.h"
#include "log.h"
#include "sock.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { LINE_MAX_BYTES = 160 };

/* Configuration. */

static void free_config(struct config *c)
{
	if (c)
		config_free(c);
	free(c);
}

static int read_config(const char *file, struct config **ret, char *fault, size_t room)
{
	struct config *c = calloc(1, sizeof(*c));
	struct conf files = {0};
	int r = c ? config_read(file, c, &files) : -ENOMEM;

	conf_end(&files, r, fault, room);
	if (r < 0)
		free(c);
	else
		*ret = c;
	return r;
}

int watch_daemon_check(const char *file)
{
	struct conf files = {0}, found;
	struct config c;
	int r = config_read(file, &c, &files);

	conf_log_faults(&files);
	if (r == 0) {
		config_warn(&files, &c, &found);
		for (size_t i = 0; i < found.fault_count; i++)
			log_warn("%s", found.faults[i]);
		conf_done(&found);
		config_free(&c);
	}
	conf_done(&files);
	return r;
}

/* What the service manager shows. */

static void describe(const struct watch_daemon *d, char *ret, size_t room)
{
	size_t findings = watch_findings(d->watch);

	if (d->fault[0])
		snprintf(ret, room, "%zu findings; the new configuration is faulty", findings);
	else if (findings)
		snprintf(ret, room, "%zu findings (xnbd-stonith health)", findings);
	else
		snprintf(ret, room, "%s",
			watch_is_complete(d->watch) ? "all is well" : "the first audit");
}

static void reload_now(struct watch_daemon *d);

static void on_changed(void *arg)
{
	struct watch_daemon *d = arg;
	char line[LINE_MAX_BYTES];

	if (d->reload && !watch_is_switching(d->watch)) {
		reload_now(d);
		return;
	}
	describe(d, line, sizeof(line));
	notify_status(&d->notify, line);
}

/* Reload. */

/* Takes C. What goes on in the old one is not said again by the new one. */
static int replace(struct watch_daemon *d, struct config *c)
{
	struct watch *w = watch_new(&d->reactor, c, on_changed, d);

	if (!w) {
		free_config(c);
		return -ENOMEM;
	}
	watch_take_over(w, d->watch);
	watch_free(d->watch);
	free_config(d->config);
	d->watch = w;
	d->config = c;
	return 0;
}

static int try_reload(struct watch_daemon *d)
{
	struct config *c;
	int r = read_config(d->file, &c, d->fault, sizeof(d->fault));

	if (r < 0)
		return r;
	if (strcmp(c->general.control, d->control) != 0)
		log_warn("key control: %s stays until the next start", d->control);
	r = replace(d, c);
	if (r < 0)
		snprintf(d->fault, sizeof(d->fault), "out of memory");
	return r;
}

static void reload_now(struct watch_daemon *d)
{
	char line[LINE_MAX_BYTES];

	d->reload = false;
	notify_reloading(&d->notify);
	if (try_reload(d) == 0) {
		d->fault[0] = 0;
		log_info("%s was read anew", d->file);
		watch_start(d->watch);
	} else {
		log_error("%s: nothing was changed", d->file);
	}
	describe(d, line, sizeof(line));
	notify_ready(&d->notify, line);
}

static void on_signal(struct proc_signals *s, int number)
{
	struct watch_daemon *d = container_of(s, struct watch_daemon, signals);

	if (number != SIGHUP) {
		reactor_stop(&d->reactor);
		return;
	}
	d->reload = true;
	if (!watch_is_switching(d->watch))
		reload_now(d);
}

/* Control. */

static json_t *answer_status(struct watch_daemon *d)
{
	json_t *a = ctl_ok();

	json_object_set_new(a, "pid", json_integer(getpid()));
	json_object_set_new(a, "version", json_string(XNBD_VERSION));
	json_object_set_new(a, "configuration", json_string(d->file));
	if (d->fault[0])
		json_object_set_new(a, "fault", json_string(d->fault));
	if (config_self(d->config))
		json_object_set_new(a, "self", json_string(config_self(d->config)->name));
	json_object_update_new(a, watch_status(d->watch));
	return a;
}

static json_t *answer_audit_now(struct watch_daemon *d)
{
	watch_now(d->watch);
	return ctl_ok();
}

static json_t *answer_stop(struct watch_daemon *d)
{
	reactor_stop(&d->reactor);
	return ctl_ok();
}

static const struct {
	const char *name;
	json_t *(*answer)(struct watch_daemon *d);
} commands[] = {
	{"status", answer_status},
	{"audit-now", answer_audit_now},
	{"stop", answer_stop},
};

static void on_request(struct ctl_server *s, struct ctl_conn *c, json_t *msg, int fd)
{
	const char *name = ctl_command(c, msg);

	fd_close(&fd);
	for (size_t i = 0; name && i < ARRAY_LEN(commands); i++) {
		if (strcmp(name, commands[i].name) == 0) {
			ctl_send(c, commands[i].answer(s->owner), -1);
			return;
		}
	}
	if (name)
		ctl_send_error(c, "no such command");
}

/* Start and end. */

static int fail(const struct err *err)
{
	log_error("%s", err->text);
	return -err->code;
}

static int open_control(struct watch_daemon *d)
{
	static const struct ctl_server_ops ops = {.request = on_request};
	struct err err;
	int fd, r;

	if (lease_prepare(d->config->general.run_directory, &err) < 0)
		return fail(&err);
	fd = sock_listen_unix(d->config->general.control, 0600, &err);
	if (fd < 0)
		return fail(&err);
	r = ctl_server_init(&d->ctl, &d->reactor, fd, &ops);
	if (r < 0)
		return r;
	d->ctl.owner = d;
	d->control = strdup(d->config->general.control);
	return d->control ? 0 : -ENOMEM;
}

static int start_reactor(struct watch_daemon *d)
{
	static const int list[] = {SIGTERM, SIGINT, SIGHUP, 0};
	int r = reactor_init(&d->reactor);

	if (r == 0)
		r = proc_signals_init(&d->signals, &d->reactor, list, on_signal);
	return r;
}

static int start_watch(struct watch_daemon *d)
{
	char line[LINE_MAX_BYTES];

	d->watch = watch_new(&d->reactor, d->config, on_changed, d);
	if (!d->watch)
		return -ENOMEM;
	watch_start(d->watch);
	describe(d, line, sizeof(line));
	log_info("%zu PDUs, %zu nodes, this host is %s", d->config->pdu_count,
		d->config->node_count,
		config_self(d->config) ? config_self(d->config)->name : "none of them");
	notify_ready(&d->notify, line);
	proc_ready();
	return 0;
}

int watch_daemon_init(struct watch_daemon *d, const char *file)
{
	struct err err;
	int r;

	*d = (struct watch_daemon){.file = file,
		.reactor = {.epoll_fd = -1, .wake_fd = -1},
		.ctl.fd = -1,
		.signals.fd = -1};
	if (notify_init(&d->notify, &err) < 0)
		log_warn("%s", err.text);
	r = read_config(file, &d->config, d->fault, sizeof(d->fault));
	if (r < 0)
		return r;
	r = start_reactor(d);
	if (r == 0)
		r = open_control(d);
	if (r == 0)
		r = start_watch(d);
	if (r == -ENOMEM)
		log_error("out of memory");
	return r;
}

int watch_daemon_run(struct watch_daemon *d)
{
	int r = reactor_run(&d->reactor);

	notify_stopping(&d->notify, "ends");
	log_info("ends");
	return r;
}

void watch_daemon_done(struct watch_daemon *d)
{
	watch_free(d->watch);
	ctl_server_done(&d->ctl);
	if (d->control)
		unlink(d->control);
	free(d->control);
	proc_signals_done(&d->signals);
	reactor_done(&d->reactor);
	free_config(d->config);
	notify_done(&d->notify);
}
