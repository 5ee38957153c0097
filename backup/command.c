/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of xnbd-backup; see command.h. The small ones are here: plan, check, stop. All but
 * `plan` need a configuration without faults; `plan` is there to make one.
 */
#include "command.h"

#include "catalog.h"
#include "clock.h"
#include "conf_objects.h"
#include "exports.h"
#include "log.h"
#include "spec.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { STOP_MS = 5000, LOOK_MS = 50 };

#define DEFAULT_CONTROL "/run/xnbd/wrapper.ctl"
#define DEFAULT_GROUP   "vg_backup"

int command_fail(const struct err *err, int status)
{
	log_error("%s", err->text);
	return status;
}

bool command_wants(const struct options *o, const struct config_volume *v)
{
	for (size_t i = 0; i < o->operand_count; i++) {
		if (strcmp(o->operands[i], v->name) == 0)
			return true;
	}
	return o->operand_count == 0;
}

int command_check_names(const struct options *o, const struct config *c, struct err *err)
{
	for (size_t i = 0; i < o->operand_count; i++) {
		if (!config_volume(c, o->operands[i]))
			return err_set(err, ENOENT, "'%.60s': there is no such volume in %s",
				o->operands[i], c->path);
	}
	return 0;
}

int command_add_exports(struct config *c, struct err *err)
{
	json_t *list = NULL;
	int r;

	if (!c->general.exports)
		return 0;
	r = exports_ask(c->general.control, &list, err);
	if (r == 0)
		r = exports_add(c, list, err);
	json_decref(list);
	return r;
}

static int plan(const struct options *o)
{
	const char *group = o->group ? o->group : DEFAULT_GROUP;
	struct err err = {0};
	json_t *list = NULL;

	if (!spec_is_lvm_name(group)) {
		log_error("--target-group: '%.100s' is no name of a volume group", group);
		return COMMAND_USAGE;
	}
	if (exports_ask(o->control ? o->control : DEFAULT_CONTROL, &list, &err) < 0)
		return command_fail(&err, COMMAND_FAILED);
	exports_print_plan(list, group, stdout);
	json_decref(list);
	return COMMAND_DONE;
}

static int check(const struct config *c)
{
	printf("%s: %zu volumes, no faults\n", c->path, c->count);
	return COMMAND_DONE;
}

/* The run has a second or two, which is waited for. */
static int stop(const struct config *c)
{
	uint64_t pid = catalog_holder(c->general.state_directory), until = clock_ms() + STOP_MS;

	if (pid == 0)
		return COMMAND_DONE;
	if (pid == CATALOG_ELSEWHERE) {
		log_error("the run that is going on is another host's: stop it there");
		return COMMAND_FAILED;
	}
	if (kill((pid_t)pid, SIGTERM) < 0 && errno != ESRCH) {
		log_error("process %llu: %s", (unsigned long long)pid, strerror(errno));
		return COMMAND_FAILED;
	}
	while (catalog_holder(c->general.state_directory) == pid) {
		if (clock_ms() >= until) {
			log_error("process %llu has not ended within %d s", (unsigned long long)pid,
				STOP_MS / 1000);
			return COMMAND_FAILED;
		}
		poll(NULL, 0, LOOK_MS);
	}
	return COMMAND_DONE;
}

static int dispatch(const struct options *o, struct config *c)
{
	switch (o->command) {
	case OPTIONS_RUN:
		return command_copy(o, c);
	case OPTIONS_STATUS:
		return command_status(o, c);
	case OPTIONS_VERIFY:
		return command_verify(o, c);
	case OPTIONS_LIST:
		return command_list(o, c);
	case OPTIONS_CHECK:
		return check(c);
	case OPTIONS_STOP:
		return stop(c);
	default:
		return COMMAND_USAGE;
	}
}

int command_run(const struct options *o)
{
	struct config c;
	struct conf files;
	int status = o->command == OPTIONS_STATUS ? NAGIOS_UNKNOWN : COMMAND_USAGE;

	if (o->command == OPTIONS_PLAN)
		return plan(o);
	if (config_read(o->config, &c, &files) == 0)
		status = dispatch(o, &c);
	else
		conf_log_faults(&files);
	conf_done(&files);
	config_free(&c);
	return status;
}
