/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sm-notify: tells NFS peers that this host has rebooted. The order of work, and what ends it with
 * which status. Nothing is changed before everything that can be checked is checked, nothing is
 * sent before the records and the new number are on disk, and the guard is set last. Who started us
 * waits until then.
 */
#include "campaign.h"
#include "log.h"
#include "nfsconf.h"
#include "options.h"
#include "prepare.h"
#include "proc.h"
#include "report.h"
#include "settings.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct run {
	struct options options;
	struct nfsconf conf;
	struct settings settings;
	struct prepared prepared;
	struct self self;
	struct net net;
	struct reactor reactor;
	struct proc_signals signals;
	int signal; /* that ended us, 0 = none */
	struct campaign_job job;
};

static int fail(const struct err *err)
{
	log_start_error(err->text);
	return EXIT_FAILED;
}

/* Also where the log is not seen: who started us by hand wants to know. */
static void tell_caller(const char *text)
{
	log_info("%s", text);
	if (!log_on_stderr())
		fprintf(stderr, "sm-notify: %s\n", text);
}

static int usage(const struct err *err)
{
	log_error("%s", err->text);
	fprintf(stderr, "Usage: %s\n", options_set.usage);
	return EXIT_FAILED;
}

static void choose_log(const struct settings *s)
{
	if (s->debug && s->foreground)
		log_level(LOG_LEVEL_DEBUG);
	if (s->foreground || s->list || s->dry_run)
		log_upgrade_stderr();
	else
		log_to_syslog();
}

static int refuse_to_run(enum prepare_answer answer, const struct settings *s, pid_t pid)
{
	char text[ERR_TEXT_MAX], by[40] = "";
	struct err err;

	if (pid > 0)
		snprintf(by, sizeof(by), " (process %d)", pid);
	if (answer == PREPARE_ALREADY) {
		snprintf(text, sizeof(text),
			"%.300s: peers were already notified since boot, or are just being%s; "
			"--force does it again",
			s->directory, by);
		tell_caller(text);
		return EXIT_TOLD;
	}
	err_set(&err, EBUSY, "%.300s: another sm-notify is at work there%s", s->directory, by);
	fail(&err);
	return EXIT_BUSY;
}

/* --list and --dry-run */
static int show(struct run *r, struct err *err)
{
	if (r->settings.dry_run && self_find(&r->self, r->settings.outgoing_addr, err) < 0)
		return fail(err);
	if (prepare_look(&r->prepared, err) < 0 || rights_drop(&r->prepared.rights, err) < 0)
		return fail(err);
	if (r->settings.list)
		report_list(stdout, &r->prepared.list, r->settings.json);
	else if (report_dry_run(stdout, &r->job, err) < 0)
		return fail(err);
	return r->prepared.list.complete ? EXIT_TOLD : EXIT_FAILED;
}

static void set_guard(struct run *r, enum guard_outcome outcome)
{
	if (r->settings.update_state) /* a run with -n is none that counts */
		guard_set(&r->prepared.guard, outcome);
}

static int nobody(struct run *r, struct err *err)
{
	const struct campaign_result none = {0};
	int ret = prepare_nobody(&r->prepared, err);

	/* What could not be moved is for the next run; all else would only be found again. */
	if (r->prepared.list.stuck == 0 && r->settings.update_state) {
		guard_prepare(&r->prepared.guard);
		set_guard(r, GUARD_DONE);
	}
	if (r->settings.json)
		report_json(stdout, &r->job, &none);
	if (ret < 0)
		return fail(err);
	tell_caller("nobody to notify");
	return EXIT_TOLD;
}

static void on_signal(struct proc_signals *s, int number)
{
	struct run *r = container_of(s, struct run, signals);

	log_info("signal %d: ends; records of peers not yet notified stay", number);
	r->signal = number;
	reactor_stop(&r->reactor);
}

/* All that can fail: done before who started us is told that it did not. */
static int get_ready(struct run *r, struct err *err)
{
	static const int signals[] = {SIGTERM, SIGINT, 0};
	int ret;

	if (!r->settings.foreground && proc_daemonize(err) < 0)
		return -err->code;
	ret = net_open(&r->net, &r->self, r->settings.outgoing_port, err);
	if (ret < 0)
		return ret;
	if (r->settings.update_state)
		guard_prepare(&r->prepared.guard);
	proc_raise_nofile(); /* for conversations over TCP */
	ret = reactor_init(&r->reactor);
	if (ret == 0)
		ret = proc_signals_init(&r->signals, &r->reactor, signals, on_signal);
	if (ret < 0)
		return err_sys(err, -ret, "event loop");
	ret = rights_drop(&r->prepared.rights, err);
	return ret < 0 ? ret : rights_filter(err);
}

static int conclude(struct run *r, const struct campaign_result *result)
{
	struct monlist *l = &r->prepared.list;
	struct err err = {0};
	int flushed = monlist_flush(l, &err);

	if (flushed < 0)
		log_error("%s; after the next boot peers may be notified again", err.text);
	set_guard(r, result->not_told == 0 && !result->stopped ? GUARD_DONE : GUARD_FAILED);
	report_log(&r->job, result);
	if (r->settings.json)
		report_json(stdout, &r->job, result);
	return result->not_told == 0 && l->complete && flushed == 0 ? EXIT_TOLD : EXIT_FAILED;
}

static int tell(struct run *r, struct err *err)
{
	struct campaign_result result = {0};
	int ret = get_ready(r, err), status;

	if (ret < 0)
		return fail(err);
	set_guard(r, GUARD_RUNNING);
	proc_ready();
	ret = campaign_run(&r->job, &result, err);
	if (ret < 0)
		log_error("%s", err->text);
	status = conclude(r, &result);
	free(result.faults);
	return ret < 0 ? EXIT_FAILED : status;
}

static int work(struct run *r, struct err *err)
{
	const struct settings *s = &r->settings;
	enum prepare_answer answer;
	pid_t pid;
	int ret;

	if (prepare_open(&r->prepared, s, err) < 0)
		return fail(err);
	r->job = (struct campaign_job){.settings = s,
		.self = &r->self,
		.net = &r->net,
		.list = &r->prepared.list,
		.reactor = &r->reactor};
	if (s->list || s->dry_run)
		return show(r, err);
	answer = prepare_enter(&r->prepared, &pid);
	if (answer != PREPARE_GO)
		return refuse_to_run(answer, s, pid);
	if (self_find(&r->self, s->outgoing_addr, err) < 0)
		return fail(err);
	prepare_begin(&r->prepared);
	ret = s->no_consume ? prepare_look(&r->prepared, err) : prepare_records(&r->prepared, err);
	if (ret < 0 || prepare_state(&r->prepared, err) < 0)
		return fail(err);
	r->job.state = r->prepared.state;
	return r->prepared.list.peer_count == 0 ? nobody(r, err) : tell(r, err);
}

/* As the signal would have ended us: who waits for us sees that it was one. */
static void die_by(int number)
{
	sigset_t set;

	fflush(NULL);
	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(number);
}

static int start(struct run *r, struct err *err)
{
	const char *config = r->options.config;
	struct stat st;
	int status;

	if (config && stat(config, &st) < 0)
		return usage((err_sys(err, errno, "--config %.300s", config), err));
	umask(077);
	nfsconf_init(&r->conf);
	nfsconf_read(&r->conf, config ? config : SETTINGS_CONFIG);
	settings_build(&r->settings, &r->options, &r->conf);
	choose_log(&r->settings);
	status = work(r, err);
	prepare_done(&r->prepared);
	if (r->signal)
		die_by(r->signal);
	return status;
}

int main(int argc, char **argv)
{
	static struct run run = {.net.socket = {{.fd = -1}, {.fd = -1}}};
	struct err err = {0};
	int status = EXIT_TOLD;

	log_name("sm-notify");
	if (options_parse(&run.options, argc, argv, &err) < 0)
		return usage(&err);
	if (run.options.help)
		opt_help(&options_set);
	else if (run.options.version)
		printf("sm-notify %s\n", XNBD_VERSION);
	else
		status = start(&run, &err);
	return opt_answered(status, EXIT_FAILED);
}
