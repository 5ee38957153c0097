/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Turns option tables into getopt_long(3) calls and help texts; see opt.h. */
#include "opt.h"

#include "log.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { ROWS_MAX = 64, FIRST_CODE = 1000 };

struct tables {
	struct option options[ROWS_MAX + 1];
	char letters[3 * ROWS_MAX + 2];
};

static void build(const struct opt_set *set, struct tables *t)
{
	size_t used = 0;

	memset(t, 0, sizeof(*t));
	t->letters[used++] = ':'; /* a missing argument is reported as ':' */
	for (size_t i = 0; i < set->count; i++) {
		const struct opt *row = &set->rows[i];

		t->options[i].name = row->name;
		t->options[i].has_arg =
			row->arg && row->kind != OPT_SET ? required_argument : no_argument;
		t->options[i].val = FIRST_CODE + (int)i;
		if (!row->letter)
			continue;
		t->letters[used++] = row->letter;
		if (t->options[i].has_arg)
			t->letters[used++] = ':';
	}
}

static const struct opt *row_of(const struct opt_set *set, int code)
{
	if (code >= FIRST_CODE)
		return &set->rows[code - FIRST_CODE];
	for (size_t i = 0; i < set->count; i++) {
		if (set->rows[i].letter == code)
			return &set->rows[i];
	}
	return NULL;
}

static int store_number(const struct opt *row, void *field, struct err *err)
{
	int r = row->kind == OPT_SIZE ? str_size(optarg, row->min, row->max, field)
				      : str_number(optarg, row->min, row->max, field);

	if (r == 0)
		return 0;
	return err_set(err, EINVAL, "--%s %s: not a %s from %llu to %llu", row->name, optarg,
		row->kind == OPT_SIZE ? "size (units K, M, G, T)" : "number",
		(unsigned long long)row->min, (unsigned long long)row->max);
}

static int store_list(const struct opt *row, struct opt_list *list, struct err *err)
{
	if (list->count == OPT_LIST_MAX)
		return err_set(
			err, EINVAL, "--%s: given more than %d times", row->name, OPT_LIST_MAX);
	list->items[list->count++] = optarg;
	return 0;
}

static int store_choice(const struct opt *row, int *field, struct err *err)
{
	if (*field && *field != (int)row->min)
		return err_set(err, EINVAL,
			"--%s: excludes another option already given; choose one", row->name);
	*field = (int)row->min;
	return 0;
}

static int store(const struct opt *row, void *target, struct err *err)
{
	void *field = (char *)target + row->offset;

	switch (row->kind) {
	case OPT_FLAG:
		*(bool *)field = true;
		return 0;
	case OPT_TEXT:
		*(const char **)field = optarg;
		return 0;
	case OPT_LIST:
		return store_list(row, field, err);
	case OPT_NUMBER:
	case OPT_SIZE:
		return store_number(row, field, err);
	case OPT_SET:
		return store_choice(row, field, err);
	case OPT_LATER:
		return err_set(err, ENOSYS, "--%s is not built yet in this version", row->name);
	}
	return 0;
}

static int refuse(int code, char **argv, struct err *err)
{
	const char *word = argv[optind - 1];

	if (code == ':')
		return err_set(err, EINVAL, "%s: an argument is missing (see --help)", word);
	if (optopt > 0 && optopt < FIRST_CODE)
		return err_set(err, EINVAL, "-%c: unknown option (see --help)", optopt);
	if (optopt >= FIRST_CODE)
		return err_set(err, EINVAL, "%s: takes no argument (see --help)", word);
	return err_set(err, EINVAL, "%s: unknown or ambiguous option (see --help)", word);
}

int opt_parse(const struct opt_set *set, int argc, char **argv, void *target, int *ret_rest,
	struct err *err)
{
	struct tables t;
	int code;

	build(set, &t);
	opterr = 0;
	optind = 0; /* glibc: start afresh, also for a second call in one process */
	while ((code = getopt_long(argc, argv, t.letters, t.options, NULL)) != -1) {
		const struct opt *row = code == ':' || code == '?' ? NULL : row_of(set, code);
		int r = row ? store(row, target, err) : refuse(code, argv, err);

		if (r < 0)
			return r;
	}
	*ret_rest = optind;
	return 0;
}

static void help_row(const struct opt *row)
{
	char left[80];

	snprintf(left, sizeof(left), "%c%c%s --%s%s%s", row->letter ? '-' : ' ',
		row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name,
		row->arg ? " " : "", row->arg ? row->arg : "");
	printf("  %-36s%s%s\n", left,
		strlen(left) > 35 ? "\n                                      " : "", row->help);
}

void opt_help(const struct opt_set *set)
{
	printf("Usage: %s\n\n%s\n\nOptions:\n", set->usage, set->about);
	for (size_t i = 0; i < set->count; i++) {
		if (set->rows[i].help)
			help_row(&set->rows[i]);
	}
}

int opt_answered(int status, int failed)
{
	if (status != 0 || (fflush(stdout) == 0 && !ferror(stdout)))
		return status;
	if (errno != EPIPE)
		log_error("the answer could not be written");
	return failed;
}

int opt_command(const void *table, size_t stride, size_t count, const char *text, struct err *err)
{
	const char *const bytes = table;

	for (size_t i = 0; i < count; i++) {
		const char *name;

		memcpy(&name, bytes + i * stride, sizeof(name));
		if (strcmp(text, name) == 0)
			return (int)i;
	}
	return err_set(err, EINVAL, "'%.60s': no such command (see --help)", text);
}
