/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xnbd-wrapper-ctl: one request to a running wrapper, its answer as text or JSON. Exit status:
 * 0 done, 1 refused or not reached, 2 usage.
 */
#include "ctl.h"
#include "fsutil.h"
#include "log.h"
#include "options.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_USAGE = 2, ANSWER_MS = 30 * 1000 };

static int fail(const struct err *err, int status)
{
	log_error("%s", err->text);
	return status;
}

/* The wrapper's working directory is another, so paths travel absolute. */
static json_t *path_of(const char *path)
{
	CLEANUP_FREE char *absolute = fs_absolute(path);

	return json_string(absolute ? absolute : path);
}

static json_t *add_request(const struct ctl_options *o, const char *name, const char *file)
{
	json_t *msg = json_pack("{s:s, s:s, s:o, s:b}", "cmd", "add-target", "name", name, "file",
		path_of(file), "readonly", o->readonly);

	if (o->description)
		json_object_set_new(msg, "description", json_string(o->description));
	return msg;
}

static json_t *remove_request(const char *index)
{
	uint64_t n;

	if (str_number(index, 1, UINT32_MAX, &n) < 0)
		return NULL;
	return json_pack("{s:s, s:I}", "cmd", "remove", "index", (json_int_t)n);
}

static json_t *build_request(const struct ctl_options *o, char **args)
{
	switch ((enum ctl_action)o->action) {
	case CTL_LIST:
		return json_pack("{s:s}", "cmd", "list");
	case CTL_STATUS:
		return json_pack("{s:s}", "cmd", "status");
	case CTL_ADD:
		return add_request(o, args[0], args[0]);
	case CTL_ADD_TARGET:
		return add_request(o, args[0], args[1]);
	case CTL_REMOVE:
		return remove_request(args[0]);
	case CTL_REMOVE_BY_NAME:
		return json_pack("{s:s, s:s}", "cmd", "remove", "name", args[0]);
	case CTL_REMOVE_BY_FILE:
		return json_pack("{s:s, s:o}", "cmd", "remove", "file", path_of(args[0]));
	case CTL_SAVE:
		return json_pack("{s:s}", "cmd", "save");
	case CTL_SHUTDOWN:
		return json_pack("{s:s}", "cmd", "shutdown");
	case CTL_ORPHAN:
		return json_pack("{s:s}", "cmd", "orphan");
	case CTL_NONE:
		break;
	}
	return NULL;
}

static int operands_wanted(int action)
{
	switch ((enum ctl_action)action) {
	case CTL_ADD_TARGET:
		return 2;
	case CTL_ADD:
	case CTL_REMOVE:
	case CTL_REMOVE_BY_NAME:
	case CTL_REMOVE_BY_FILE:
		return 1;
	default:
		return 0;
	}
}

static void print_escaped(const char *text)
{
	size_t len = text ? strlen(text) : 0, room = 4 * len + 1;
	CLEANUP_FREE char *out = malloc(room);

	if (!out)
		return;
	str_printable(out, room, text ? text : "", len);
	fputs(out, stdout);
}

/* One line an export, as scripts of the original expect it: "INDEX : NAME  (FILE)". */
static void print_list(json_t *answer)
{
	json_t *all = json_object_get(answer, "exports"), *e;
	size_t i;

	if (json_array_size(all) == 0)
		printf("no item\n");
	json_array_foreach(all, i, e)
	{
		printf("%lld : ", (long long)json_integer_value(json_object_get(e, "index")));
		print_escaped(json_string_value(json_object_get(e, "name")));
		printf("  (");
		print_escaped(json_string_value(json_object_get(e, "image")));
		printf(")\n");
	}
}

static void print_status(json_t *answer)
{
	const char *key;
	json_t *value;

	json_object_foreach(answer, key, value)
	{
		CLEANUP_FREE char *text = json_dumps(value, JSON_ENCODE_ANY);

		if (strcmp(key, "ok") && strcmp(key, "v"))
			printf("%-16s%s\n", key,
				json_is_string(value) ? json_string_value(value) : text);
	}
}

static void print_json(json_t *answer)
{
	CLEANUP_FREE char *text = NULL;
	json_t *list = json_object_get(answer, "exports");

	json_object_del(answer, "v");
	json_object_del(answer, "ok");
	text = json_dumps(json_is_array(list) ? list : answer, JSON_INDENT(2));
	printf("%s\n", text ? text : "");
}

static void print_answer(const struct ctl_options *o, json_t *answer)
{
	if (o->json)
		print_json(answer);
	else if (o->action == CTL_LIST)
		print_list(answer);
	else if (o->action == CTL_STATUS)
		print_status(answer);
}

static int check(const struct ctl_options *o, int operands, struct err *err)
{
	int wanted = operands_wanted(o->action);

	if (o->action == CTL_NONE)
		return err_set(err, EINVAL, "no command given (see --help)");
	if (operands != wanted)
		return err_set(err, EINVAL,
			"this command takes %d arguments, %d given (see --help)", wanted, operands);
	if ((o->readonly || o->description) && o->action != CTL_ADD && o->action != CTL_ADD_TARGET)
		return err_set(
			err, EINVAL, "--readonly and --description go with --add-target or --add");
	return 0;
}

static int run(const struct ctl_options *o, char **args)
{
	json_t *request = build_request(o, args), *reply;
	struct err err = {0};

	if (!request) {
		err_set(&err, EINVAL, "'%s': not an index, or not valid UTF-8", args[0]);
		return fail(&err, EXIT_USAGE);
	}
	if (ctl_call(o->control, request, ANSWER_MS, &reply, &err) < 0) {
		bool nobody = err.code == ENOENT || err.code == ECONNREFUSED;

		log_error("%s%s", err.text,
			nobody ? "; is xnbd-wrapper running with this --socket?" : "");
		return EXIT_FAILURE;
	}
	print_answer(o, reply);
	json_decref(reply);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct ctl_options o = {.control = WRAPPER_DEFAULT_CONTROL};
	struct err err = {0};
	int rest;

	log_name("xnbd-wrapper-ctl");
	if (opt_parse(&ctl_option_set, argc, argv, &o, &rest, &err) < 0)
		return fail(&err, EXIT_USAGE);
	if (o.help || o.version) {
		if (o.help)
			opt_help(&ctl_option_set);
		else
			printf("xnbd-wrapper-ctl %s\n", XNBD_VERSION);
		return EXIT_SUCCESS;
	}
	if (check(&o, argc - rest, &err) < 0)
		return fail(&err, EXIT_USAGE);
	return run(&o, argv + rest);
}
