/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xnbd-wrapper-ctl: one request to a running wrapper, its answer as text or JSON. Exit status:
 * 0 done, 1 refused or not reached, 2 usage, 3 a switch was refused because blocks are absent.
 */
#include "ctl.h"
#include "ctl_print.h"
#include "ctl_reload.h"
#include "ctl_request.h"
#include "ctl_stats.h"
#include "log.h"
#include "options.h"
#include "util.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>

enum { EXIT_USAGE = 2, EXIT_INCOMPLETE = 3 };

static int fail(const struct err *err, int status)
{
	log_error("%s", err->text);
	return status;
}

/* A switch that was refused for absent blocks is an answer, not an error, on the wire. */
static int finish(const struct ctl_options *o, json_t *reply)
{
	const char *text = json_string_value(json_object_get(reply, "text"));

	if (o->action == CTL_RELOAD)
		return ctl_reload_finish(o, reply);
	if (o->action == CTL_SWITCH && json_is_false(json_object_get(reply, "switched"))) {
		log_error("%s", text ? text : "the cache is not complete");
		if (o->json)
			ctl_print(o, reply);
		return EXIT_INCOMPLETE;
	}
	ctl_print(o, reply);
	if (o->action == CTL_VERIFY && json_integer_value(json_object_get(reply, "different")) > 0)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}

/* A refused reload has more to tell than one line. */
static int call(const struct ctl_options *o, json_t *request, json_t **ret, struct err *err)
{
	int timeout = ctl_request_timeout(o);

	return o->action == CTL_RELOAD ? ctl_ask(o->control, request, timeout, ret, err)
				       : ctl_call(o->control, request, timeout, ret, err);
}

static int run(const struct ctl_options *o, char **args, int count)
{
	json_t *request = ctl_request_build(o, args, count), *reply;
	struct err err = {0};
	int status;

	if (!request) {
		err_set(&err, EINVAL, "'%s': not a number, or not valid UTF-8",
			count > 1 ? args[count - 1] : args[0]);
		return fail(&err, EXIT_USAGE);
	}
	if (o->watch)
		return ctl_stats_watch(o, request, ctl_request_timeout(o));
	if (call(o, request, &reply, &err) < 0) {
		bool nobody = err.code == ENOENT || err.code == ECONNREFUSED;

		log_error("%s%s", err.text,
			nobody ? "; is xnbd-wrapper running with this --socket?" : "");
		return EXIT_FAILURE;
	}
	status = finish(o, reply);
	json_decref(reply);
	return status;
}

int main(int argc, char **argv)
{
	struct ctl_options o = {.control = WRAPPER_DEFAULT_CONTROL};
	struct err err = {0};
	int rest, count;
	char **args;

	log_name("xnbd-wrapper-ctl");
	setlocale(LC_CTYPE, "C.UTF-8"); /* for widths of characters */
	if (opt_parse(&ctl_option_set, argc, argv, &o, &rest, &err) < 0)
		return fail(&err, EXIT_USAGE);
	if (o.help || o.version) {
		if (o.help)
			opt_help(&ctl_option_set);
		else
			printf("xnbd-wrapper-ctl %s\n", XNBD_VERSION);
		return EXIT_SUCCESS;
	}
	args = argv + rest;
	count = argc - rest;
	if (ctl_request_check(&o, &args, &count, &err) < 0)
		return fail(&err, EXIT_USAGE);
	if (o.offline)
		return ctl_reload_offline(&o);
	return run(&o, args, count);
}
