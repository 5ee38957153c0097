/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See ctl_reload.h. What is done, or would be, goes to stdout; faults, a line each as editors like
 * it, refusals and problems to stderr.
 */
#include "ctl_reload.h"

#include "config.h"
#include "inspect.h"
#include "log.h"
#include "str.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

static void print_line(const char *text, FILE *out)
{
	size_t len = strlen(text), room = 4 * len + 1;
	CLEANUP_FREE char *printable = malloc(room);

	if (!printable)
		return;
	str_printable(printable, room, text, len);
	fprintf(out, "%s\n", printable);
}

static void print_texts(json_t *list, FILE *out)
{
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const char *text =
			json_string_value(json_is_object(one) ? json_object_get(one, "text") : one);

		print_line(text ? text : "?", out);
	}
}

static void print_plan(json_t *answer)
{
	long long n = (long long)json_integer_value(json_object_get(answer, "unchanged"));

	print_texts(json_object_get(answer, "wrapper"), stdout);
	print_texts(json_object_get(answer, "exports"), stdout);
	printf("%lld export%s unchanged\n", n, n == 1 ? "" : "s");
}

static void print_json(json_t *answer)
{
	CLEANUP_FREE char *text = NULL;

	json_object_del(answer, "v");
	text = json_dumps(answer, JSON_INDENT(2));
	printf("%s\n", text ? text : "");
}

/* Why not, or what did not work; false = all is well. */
static bool tell_trouble(json_t *answer)
{
	json_t *faults = json_object_get(answer, "faults");
	json_t *problems = json_object_get(answer, "problems");
	const char *error = json_string_value(json_object_get(answer, "error"));
	const char *refusal = json_string_value(json_object_get(answer, "refusal"));

	if (faults)
		print_texts(faults, stderr);
	else if (error)
		log_error("%s", error);
	else if (refusal)
		log_error("would be refused: %s", refusal);
	print_texts(problems, stderr);
	return faults || error || refusal || json_array_size(problems) > 0;
}

int ctl_reload_finish(const struct ctl_options *o, json_t *answer)
{
	bool done = json_is_true(json_object_get(answer, "ok"));

	if (!o->json && done)
		print_plan(answer);
	if (tell_trouble(answer))
		done = false;
	if (o->json)
		print_json(answer);
	return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

int ctl_reload_offline(const struct ctl_options *o)
{
	const char *path = o->config ? o->config : CONFIG_DEFAULT;
	struct conf files = {0}, warnings;
	struct config config = {0};
	int ret = config_read(path, &config, &files);

	if (ret < 0) {
		inspect_tell(&files);
	} else {
		config_warn(&files, &config, &warnings);
		inspect_tell(&warnings);
		conf_done(&warnings);
		printf("%s: %zu exports, no faults\n", path, config.count);
	}
	config_free(&config);
	conf_done(&files);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
