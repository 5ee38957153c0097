/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What --check and --dump do once everything was read without faults; see inspect.h. */
#include "inspect.h"

#include "exports.h"
#include "log.h"
#include "str.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

enum { LINE_BYTES_MAX = 8192 };

void inspect_tell(const struct conf *c)
{
	char line[LINE_BYTES_MAX];

	for (size_t i = 0; i < c->fault_count; i++) {
		str_printable(line, sizeof(line), c->faults[i], strlen(c->faults[i]));
		fprintf(stderr, "%s\n", line);
	}
}

/* Names that --imgfile and the file both give. */
static int check_names(const struct config *c, struct err *err)
{
	struct exports table = {0};
	int r = 0;

	for (size_t i = 0; i < c->count && r == 0; i++)
		r = exports_add(&table, &c->exports[i], NULL, err);
	exports_done(&table);
	return r;
}

static int effective(const struct settings *s, struct config *ret)
{
	struct err err = {0};
	int r = settings_effective(s, ret, &err);

	if (r == 0)
		r = check_names(ret, &err);
	if (r < 0)
		log_error("%s", err.text);
	return r;
}

int inspect_check(const struct settings *s, const struct conf *files)
{
	struct config all = {0};
	struct conf warnings;
	int r = effective(s, &all);

	config_free(&all);
	if (r < 0)
		return EXIT_FAILURE;
	config_warn(files, &s->config, &warnings);
	inspect_tell(&warnings);
	conf_done(&warnings);
	return EXIT_SUCCESS;
}

int inspect_dump(const struct settings *s)
{
	struct config all = {0};
	int r = effective(s, &all);

	if (r == 0)
		config_dump(&all, stdout);
	config_free(&all);
	if (r == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
		log_error("the configuration could not be written");
		return EXIT_FAILURE;
	}
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
