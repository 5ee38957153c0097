/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xnbd-wrapper: options and start-up order. Options -> log -> listeners -> background -> table,
 * control socket, negotiator -> ready -> loop. The negotiator is the same binary, told by a
 * hidden option; it branches off before anything is opened.
 */
#include "fsutil.h"
#include "listen.h"
#include "log.h"
#include "master.h"
#include "negotiator.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

static struct master master;

static int fail(const struct err *err, int status)
{
	log_start_error(err->text);
	return status;
}

static int open_log(const struct wrapper_options *o, struct err *err)
{
	int ret = o->logpath ? log_to_file(o->logpath, err) : 0;

	if (o->syslog || (o->daemonize && !o->logpath))
		log_to_syslog();
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

/* Paths must mean the same after the change to / and for the servers we start. */
static void settle_paths(struct wrapper_options *o)
{
	fs_settle(&o->control);
	fs_settle(&o->dbpath);
	fs_settle(&o->logpath);
	fs_settle(&o->cow_dir);
	if (o->server && strchr(o->server, '/'))
		fs_settle(&o->server);
	for (size_t i = 0; i < o->sockets.count; i++)
		fs_settle(&o->sockets.items[i]);
}

static int serve(const struct wrapper_options *o)
{
	const struct listen_wish wish = {&o->laddr, (uint16_t)o->lport, &o->sockets, 0666};
	struct listeners listeners = {0};
	struct err err = {0};
	int ret;

	proc_raise_nofile();
	ret = listen_open(&wish, &listeners, &err);
	if (ret == 0 && o->daemonize)
		ret = proc_daemonize(&err);
	if (ret < 0) {
		listen_remove_files(&listeners);
		return fail(&err, EXIT_FAILURE);
	}
	ret = master_init(&master, o, &listeners, &err);
	if (ret == 0) {
		announce();
		proc_ready();
		ret = master_run(&master);
	} else {
		ret = fail(&err, EXIT_FAILURE);
	}
	master_done(&master);
	return ret;
}

int main(int argc, char **argv)
{
	static struct wrapper_options o; /* owns the absolute paths */
	struct err err = {0};
	int rest;

	log_name("xnbd-wrapper");
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
	if (wrapper_options_check(&o, argc - rest, &err) < 0)
		return fail(&err, EXIT_USAGE);
	settle_paths(&o);
	if (open_log(&o, &err) < 0)
		return fail(&err, EXIT_FAILURE);
	if (o.bgctl)
		log_warn("--xnbd-bgctl is not needed: the wrapper talks to its servers by itself");
	return serve(&o);
}
