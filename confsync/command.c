/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the command line to a command: configuration, sets, and what all commands share. Commands
 * that answer others (--serve, daemon) are started here, too.
 */
#include "command.h"

#include "conf_objects.h"
#include "daemon.h"
#include "fenced.h"
#include "log.h"
#include "serve.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { NAGIOS_UNKNOWN = 3 };

/* "set NAME: what is wrong". */
static bool is_about(const char *text, const char *name)
{
	size_t len = strlen(name);

	return strncmp(text, "set ", 4) == 0 && strncmp(text + 4, name, len) == 0 &&
		strncmp(text + 4 + len, ": ", 2) == 0;
}

int command_fail(const struct config_set *set, const struct err *err)
{
	const char *text = err->text;

	if (set && is_about(text, set->name))
		text += strlen("set ") + strlen(set->name) + strlen(": ");
	if (set)
		log_error("%s: %s", set->name, text);
	else
		log_error("%s", text);
	return COMMAND_FAILED;
}

int command_worse(int a, int b)
{
	static const int rank[] = {[COMMAND_DONE] = 0,
		[COMMAND_PENDING] = 1,
		[COMMAND_BEHIND] = 2,
		[COMMAND_FAILED] = 3,
		[COMMAND_USAGE] = 4,
		[COMMAND_HELD] = 5};

	return rank[a] >= rank[b] ? a : b;
}

static int take_set(
	const struct config *c, const char *name, struct command_sets *ret, struct err *err)
{
	const struct config_set *s = config_set(c, name);

	if (!s)
		return err_set(err, ENOENT, "'%.64s': no such set in %.300s", name, c->path);
	if (s->kind == CONFIG_LOCAL)
		return err_set(err, EINVAL, "%s: is local, so it stays on this node", s->name);
	for (size_t i = 0; i < ret->count; i++) {
		if (ret->items[i] == s)
			return 0;
	}
	ret->items[ret->count++] = s;
	return 0;
}

int command_sets(const struct options *o, const struct config *c, size_t first,
	struct command_sets *ret, struct err *err)
{
	int r = 0;

	ret->count = 0;
	for (size_t i = first; i < o->operand_count && r == 0; i++)
		r = take_set(c, o->operands[i], ret, err);
	for (size_t i = 0; i < c->set_count && o->operand_count <= first; i++) {
		if (c->sets[i].kind != CONFIG_LOCAL)
			ret->items[ret->count++] = &c->sets[i];
	}
	return r;
}

int command_open(const struct options *o, const struct config *c, struct state *ret)
{
	struct command_sets sets = {.count = 0};
	struct err err = {0};

	if (take_set(c, o->operands[0], &sets, &err) < 0) {
		command_fail(NULL, &err);
		return COMMAND_USAGE;
	}
	if (state_open(ret, c, sets.items[0], &err) < 0)
		return command_fail(sets.items[0], &err);
	return COMMAND_DONE;
}

/* Commands of a few lines. */

static int fenced(const struct options *o, const struct config *c)
{
	struct err err = {0};

	if (fenced_note(c, o->operands[0], &err) < 0) {
		command_fail(NULL, &err);
		return err.code == EINVAL ? COMMAND_USAGE : COMMAND_FAILED;
	}
	if (!o->quiet && !o->json)
		printf("%s was powered off: what it changed before is set aside when it comes "
		       "back\n",
			c->peer->name);
	return COMMAND_DONE;
}

static int dispatch(const struct options *o, const struct config *c)
{
	if (o->serve)
		return serve(c, o->serve, STDIN_FILENO, STDOUT_FILENO);
	switch (o->command) {
	case OPTIONS_STATUS:
		return o->precondition ? command_precondition(o, c) : command_status(o, c);
	case OPTIONS_DIFF:
		return command_diff(o, c);
	case OPTIONS_HOLD:
		return command_hold(o, c);
	case OPTIONS_HISTORY:
		return command_history(o, c);
	case OPTIONS_SHOW:
		return command_show(o, c);
	case OPTIONS_CAT:
		return command_cat(o, c);
	case OPTIONS_CHECK:
		return command_check(o, c);
	case OPTIONS_RECOVER:
		return command_recover(o, c);
	case OPTIONS_INIT:
		return command_init(o, c);
	case OPTIONS_FENCED:
		return fenced(o, c);
	case OPTIONS_DAEMON:
		return daemon_run(c, o->config);
	default:
		return command_sync(o, c);
	}
}

/* The log is the host's business; who asked is told by frames. */
static void prepare_serve(void)
{
	if (!isatty(STDERR_FILENO))
		log_to_syslog();
	signal(SIGHUP, SIG_IGN);
}

/* Before the first key there is no configuration that is whole. */
static int without_config(const struct options *o)
{
	if (!o->serve && o->command == OPTIONS_INIT)
		return command_init(o, NULL);
	if (o->serve) /* what the peer reads */
		fprintf(stderr,
			"the configuration of this node has faults (xnbd-confsync check)\n");
	if (o->nagios) {
		printf("CONFSYNC UNKNOWN: %s has faults\n", o->config);
		return NAGIOS_UNKNOWN;
	}
	return o->precondition || o->command == OPTIONS_CHECK ? COMMAND_FAILED : COMMAND_USAGE;
}

int command_run(const struct options *o)
{
	struct config c;
	struct conf files = {0};
	int ret;

	signal(SIGPIPE, SIG_IGN);
	if (!o->serve && o->command == OPTIONS_IMPORT_LIST)
		return command_import(o);
	if (o->serve)
		prepare_serve();
	ret = config_read(o->config, &c, &files);
	if (o->serve || o->command != OPTIONS_INIT)
		conf_log_faults(&files);
	conf_done(&files);
	if (ret < 0)
		return without_config(o);
	if (o->timeout)
		c.general.deadline = o->timeout;
	if (o->timeout && c.general.connect_timeout > o->timeout)
		c.general.connect_timeout = o->timeout;
	if (o->verbose)
		log_level(LOG_LEVEL_DEBUG);
	ret = dispatch(o, &c);
	config_free(&c);
	return ret;
}
