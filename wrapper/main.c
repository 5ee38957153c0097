/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xnbd-wrapper: settings and start-up order. Settings -> log -> listeners -> background -> table,
 * control socket, user, state file, servers of before, negotiator -> ready -> loop. The negotiator
 * is the same binary, told by a hidden option; it branches off before anything is opened. After an
 * upgrade (handover.h) sockets are there already, and a failure gives everything back.
 */
#include "handover.h"
#include "inspect.h"
#include "listen.h"
#include "log.h"
#include "master.h"
#include "negotiator.h"
#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static struct master master;
static struct handover_self self;
static struct handover before;
static struct err failure; /* the last one */

static int fail(const struct err *err, int status)
{
	log_start_error(err->text);
	failure = *err;
	return status;
}

static int open_log(const struct wrapper_options *o, struct err *err)
{
	int ret = o->logpath ? log_to_file(o->logpath, err) : 0;
	enum log_level level = LOG_LEVEL_INFO;

	log_level_parse(o->log_level, &level);
	log_level(level);
	if (ret == 0 && o->journal)
		ret = log_to_journal(NULL, err);
	if (o->syslog || (o->daemonize && !o->logpath && !o->journal))
		log_to_syslog();
	log_upgrade_stderr();
	return ret;
}

static void announce(void)
{
	for (size_t i = 0; i < master.listeners.sockets.count; i++) {
		char where[SOCK_NAME_MAX];

		sock_local_name(master.listeners.sockets.fds[i], where, sizeof(where));
		log_info("listening on %s", where);
	}
	log_info("%zu exports, control socket %s", master.exports.count, master.options->control);
}

static int open_listeners(const struct wrapper_options *o, struct listeners *ret, struct err *err)
{
	const struct listen_wish wish = {
		&o->laddr, (uint16_t)o->lport, &o->sockets, &o->listen, 0666};
	int r;

	if (before.doc) {
		handover_listeners(&before, ret);
		return 0;
	}
	r = listen_open(&wish, ret, err);
	if (r == 0 && o->daemonize)
		r = proc_daemonize(err);
	if (r < 0)
		listen_remove_files(ret);
	return r;
}

/* In the background already. */
static void leave_folder(const struct wrapper_options *o)
{
	if (before.doc && o->daemonize && chdir("/") < 0)
		log_warn("folder /: %s", strerror(errno));
}

static int serve(const struct settings *s)
{
	struct listeners listeners = {0};
	struct err err = {0};
	int ret;

	proc_raise_nofile();
	if (open_listeners(&s->options, &listeners, &err) < 0)
		return fail(&err, EXIT_FAILURE);
	ret = master_init(&master, s, &listeners, &before, &err);
	if (ret == 0) {
		announce();
		leave_folder(&s->options);
		master.self = &self;
		service_ready(&master);
		proc_ready();
		handover_finish(&before, &master);
		ret = master_run(&master);
	} else {
		ret = fail(&err, EXIT_FAILURE);
	}
	if (!before.doc)
		master_done(&master);
	return ret;
}

/* The configuration has faults: for an editor if it was looked at only, else for the log too. */
static int refuse(const struct wrapper_options *o, const struct conf *faults)
{
	struct err err = {0};

	err_set(&failure, EINVAL, "%s", faults->faults[0]);
	if (o->check || o->dump || o->upgrade_check) {
		inspect_tell(faults);
		return EXIT_FAILURE;
	}
	if (open_log(o, &err) < 0)
		return fail(&err, EXIT_FAILURE);
	for (size_t i = 0; i < faults->fault_count; i++)
		log_start_error(faults->faults[i]);
	return EXIT_FAILURE;
}

static int run(const struct settings *s)
{
	struct err err = {0};

	if (open_log(&s->options, &err) < 0)
		return fail(&err, EXIT_FAILURE);
	if (s->options.bgctl)
		log_warn("--xnbd-bgctl is not needed: the wrapper talks to its servers by itself");
	return serve(s);
}

static int configured(int argc, char **argv)
{
	static struct settings s; /* owns the absolute paths */
	struct err err = {0};
	struct conf files;
	int rest, ret = settings_read(argc, argv, &s, &rest, &files, &err);

	if (ret == -EINVAL || wrapper_options_check(&s.options, argc - rest, &err) < 0) {
		ret = fail(&err, EXIT_USAGE);
	} else {
		settings_settle_paths(&s.options);
		if (ret < 0)
			ret = refuse(&s.options, &files);
		else if (s.options.check || s.options.upgrade_check)
			ret = inspect_check(&s, &files);
		else if (s.options.dump)
			ret = inspect_dump(&s);
		else
			ret = -1;
	}
	conf_done(&files);
	if (ret == 0 && s.options.upgrade_check)
		ret = handover_check(&s);
	if (ret < 0)
		ret = run(&s);
	settings_done(&s);
	return ret;
}

static int start(int argc, char **argv)
{
	struct wrapper_options o;
	struct err err = {0};
	int rest;

	wrapper_options_default(&o);
	if (opt_parse(&wrapper_option_set, argc, argv, &o, &rest, &err) < 0)
		return fail(&err, EXIT_USAGE);
	if (o.negotiator_fd != UINT64_MAX)
		return negotiator_main((int)o.negotiator_fd);
	if (o.help || o.version) {
		if (o.help)
			opt_help(&wrapper_option_set);
		else
			printf("xnbd-wrapper %s\n", XNBD_VERSION);
		return EXIT_SUCCESS;
	}
	return configured(argc, argv);
}

int main(int argc, char **argv)
{
	struct err err = {0};
	int ret;

	log_name("xnbd-wrapper");
	handover_know_self(&self, argv);
	ret = handover_take(&before, &err) < 0 ? fail(&err, EXIT_FAILURE) : start(argc, argv);
	if (before.doc)
		handover_give_back(&before, argv, failure.text);
	return ret;
}
