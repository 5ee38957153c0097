/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's life: events go to the schedule, its jobs to the child, reports to the view. Nothing
 * in this process waits: it does not read files of sets, does not talk to the peer, runs no hook.
 * One job at a time; a new configuration, and the end, wait for the one under way. A configuration
 * takes the old one's place as a whole or not at all; the control socket stays.
 */
#include "daemon.h"

#include "conf_objects.h"
#include "daemon_inner.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

enum { STOP_MS = 30000, LINE_MAX_BYTES = 256 };

static void say(const struct daemon *d)
{
	char line[LINE_MAX_BYTES];

	daemon_view_line(d, line, sizeof(line));
	notify_status(&d->notify, line);
}

/* Jobs. */

static void fail_job(struct daemon *d, const char *why)
{
	for (size_t i = 0; i < d->config->set_count; i++) {
		if (d->schedule.open & 1ULL << i)
			daemon_view_failed(d, i, why);
	}
	schedule_over(&d->schedule, d->reactor.now);
}

static void go_on(struct daemon *d)
{
	struct err err;
	int r;

	if (daemon_child_is_running(&d->child) || d->stopping)
		return;
	d->job = schedule_next(&d->schedule, d->reactor.now);
	reactor_timer_cancel(&d->reactor, &d->wake);
	if (d->job.kind == SCHEDULE_NOTHING) {
		if (d->job.at != SCHEDULE_NEVER)
			reactor_timer_set(&d->reactor, &d->wake, d->job.at - d->reactor.now);
		return;
	}
	d->jobs[d->job.kind]++;
	d->met = false;
	r = daemon_child_start(&d->child, d->config, &d->job);
	if (r == 0)
		return;
	err_sys(&err, -r, "cannot be looked at: a process for it cannot be started");
	fail_job(d, err.text);
	go_on(d); /* all have failed: to wait */
}

static void on_wake(struct reactor_timer *t)
{
	go_on(container_of(t, struct daemon, wake));
}

static void on_report(struct daemon_child *c, const struct daemon_report *r)
{
	struct daemon *d = container_of(c, struct daemon, child);
	enum schedule_outcome outcome;

	if (r->set >= d->config->set_count)
		return;
	outcome = daemon_view_outcome(d, r);
	if (r->talked && r->reached) {
		d->met = true;
		daemon_view_peer(d, true, NULL);
	} else if (r->talked && !d->met) {
		daemon_view_peer(d, false, r->text);
	}
	daemon_view_take(d, r);
	schedule_outcome(&d->schedule, r->set, outcome, d->reactor.now);
}

/* Watches. */

static void tell_watch(struct daemon *d)
{
	int lost = watch_lost(&d->watch);

	schedule_blind(&d->schedule, lost != 0, d->reactor.now);
	if (d->watch.overflows && !d->overflow_told) {
		log_info("inotify: too many changes at once, some were not told: all sets are "
			 "scanned");
		d->overflow_told = true;
	}
	if (lost && lost != d->lost)
		log_warn("inotify: not all folders can be watched, so there is a scan every %d s: "
			 "%s (fs.inotify.max_user_watches?)",
			SCHEDULE_BLIND_MS / 1000, strerror(lost));
	else if (!lost && d->lost)
		log_info("inotify: all folders are watched again");
	d->lost = lost;
}

static void on_changed(void *arg, uint64_t sets)
{
	struct daemon *d = arg;

	schedule_changed(&d->schedule, sets, d->reactor.now);
	tell_watch(d);
	go_on(d);
}

static void on_called(void *arg, uint64_t sets)
{
	struct daemon *d = arg;
	uint64_t frozen = 0;

	for (size_t i = 0; i < d->config->set_count; i++) {
		if (d->sets[i].situation == DAEMON_FROZEN)
			frozen |= 1ULL << i;
	}
	schedule_peer(&d->schedule, sets);
	schedule_now(&d->schedule, sets & frozen);
	go_on(d);
}

/* What is made of a configuration. */
static void begin(struct daemon *d)
{
	static const struct watch_ops ops = {on_changed, on_called};
	const struct config_general *g = &d->config->general;
	const struct schedule_rules rules = {
		.settle = g->settle,
		.interval = g->interval * 1000,
		.scan_interval = g->scan_interval * 1000,
	};

	memset(d->sets, 0, sizeof(d->sets));
	d->role = -1;
	d->reached = DAEMON_NOT_TRIED;
	d->unreached[0] = 0;
	d->fresh = true;
	schedule_init(&d->schedule, &rules, daemon_view_used(d->config), d->reactor.now);
	watch_init(&d->watch, &d->reactor, d->config, &ops, d);
	tell_watch(d);
}

/* Reload. */

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

static void replace(struct daemon *d, struct config *c)
{
	if (strcmp(c->general.control, d->control) != 0)
		log_warn("key control: %s stays until the next start", d->control);
	watch_done(&d->watch);
	free_config(d->own);
	d->config = d->own = c;
	d->fault[0] = 0;
	begin(d);
	log_info("%s was read anew", d->file);
}

static void reload_now(struct daemon *d)
{
	char line[LINE_MAX_BYTES];
	struct config *c;

	d->reload = false;
	notify_reloading(&d->notify);
	if (read_config(d->file, &c, d->fault, sizeof(d->fault)) == 0)
		replace(d, c);
	else
		log_error("%s: nothing was changed", d->file);
	daemon_view_line(d, line, sizeof(line));
	notify_ready(&d->notify, line);
	go_on(d);
}

/* The end of a job. */

static void on_over(struct daemon_child *child, const char *why)
{
	struct daemon *d = container_of(child, struct daemon, child);
	bool refresh = d->fresh || d->job.kind == SCHEDULE_FULL;

	fail_job(d, why ? why : "the process for it has said nothing");
	if (d->met)
		schedule_peer(&d->schedule, ~d->job.sets);
	if (d->stopping) {
		reactor_stop(&d->reactor);
		return;
	}
	d->fresh = false;
	if (refresh)
		watch_refresh(&d->watch);
	tell_watch(d);
	say(d);
	if (d->reload)
		reload_now(d);
	go_on(d);
}

/* Orders. */

void daemon_sync_now(struct daemon *d, uint64_t sets)
{
	schedule_now(&d->schedule, sets);
	go_on(d);
}

/* A second time: at once. */
void daemon_stop(struct daemon *d)
{
	if (d->stopping || !daemon_child_is_running(&d->child))
		reactor_stop(&d->reactor);
	else
		daemon_child_hurry(&d->child, STOP_MS);
	if (!d->stopping)
		notify_stopping(&d->notify, "ends");
	d->stopping = true;
}

static void on_signal(struct proc_signals *s, int number)
{
	struct daemon *d = container_of(s, struct daemon, signals);

	if (number != SIGHUP) {
		daemon_stop(d);
		return;
	}
	d->reload = true;
	if (!daemon_child_is_running(&d->child))
		reload_now(d);
}

/* Start and end. */

static int init(struct daemon *d, struct err *err)
{
	static const int list[] = {SIGTERM, SIGINT, SIGHUP, 0};
	int r;

	if (notify_init(&d->notify, err) < 0)
		log_warn("%s", err->text);
	r = reactor_init(&d->reactor);
	if (r < 0)
		return err_sys(err, -r, "event loop");
	daemon_child_init(&d->child, &d->reactor, on_report, on_over);
	d->wake.fn = on_wake;
	r = proc_signals_init(&d->signals, &d->reactor, list, on_signal);
	if (r < 0)
		return err_sys(err, -r, "signals");
	r = daemon_ctl_init(d, err);
	if (r == 0)
		begin(d);
	return r;
}

static void done(struct daemon *d)
{
	daemon_child_done(&d->child);
	watch_done(&d->watch);
	daemon_ctl_done(d);
	proc_signals_done(&d->signals);
	reactor_done(&d->reactor);
	notify_done(&d->notify);
	free_config(d->own);
	free(d);
}

static int run(struct daemon *d)
{
	int r;

	log_info("%s keeps %d sets in step with %s", d->config->self->name,
		__builtin_popcountll(daemon_view_used(d->config)), d->config->peer->name);
	notify_ready(&d->notify, "first look");
	go_on(d);
	r = reactor_run(&d->reactor);
	log_info("ends");
	return r;
}

int daemon_run(const struct config *c, const char *config_path)
{
	struct daemon *d = calloc(1, sizeof(*d));
	struct err err = {0};
	int r;

	if (!d) {
		log_error("no memory");
		return EXIT_FAILURE;
	}
	*d = (struct daemon){.file = config_path,
		.config = c,
		.reactor = {.epoll_fd = -1, .wake_fd = -1},
		.ctl.fd = -1,
		.signals.fd = -1,
		.watch.in.fd = -1,
		.child = {.reports.fd = -1, .end.fd = -1}};
	log_upgrade_stderr();
	r = init(d, &err);
	if (r < 0)
		log_start_error(err.text);
	else
		r = run(d);
	done(d);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
