/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a list of names to a section; see import.h. All names become patterns first, faults are
 * counted on the way, and the section is written when there is none. A pattern that comes twice is
 * written once, where it came first.
 */
#include "import.h"

#include "config.h"
#include "key.h"
#include "path.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

struct item {
	char *pattern;
	size_t number; /* of its line, or name */
	bool skipped;  /* a folder that is left out, or there already */
};

struct list {
	const struct import *o;
	const char *name;
	struct item *items;
	size_t count, room;
	size_t number, faults;
	size_t lines; /* that have ended */
	size_t left;  /* items to be written */
	bool zero;    /* a zero byte was in a name */
	struct err *err;
};

/* The first one is told. */
static void fault(struct list *l, const char *text, const char *why)
{
	char shown[128];

	str_printable(shown, sizeof(shown), text, strlen(text));
	if (l->faults++ == 0)
		err_set(l->err, EINVAL, "%.200s:%zu: '%s': %s", l->name, l->number, shown, why);
}

/* Names. */

/* Adds a component's pattern; false: no room. */
static bool put(char *out, size_t *len, const char *word, size_t word_len)
{
	if (*len + 2 * word_len + 2 > PATH_BYTES_MAX)
		return false;
	out[(*len)++] = '/';
	for (size_t i = 0; i < word_len; i++) {
		if (strchr("*?[\\", word[i]))
			out[(*len)++] = '\\';
		out[(*len)++] = word[i];
	}
	out[*len] = 0;
	return true;
}

/* NULL, or what is wrong. Behind what is in OUT. */
static const char *put_all(char *out, size_t *len, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "/");

		if (n == 2 && strncmp(text, "..", 2) == 0)
			return "\"..\" cannot be told; write the name without it";
		if (n > 0 && !(n == 1 && *text == '.') && !put(out, len, text, n))
			return "the name is too long";
		text += n;
		text += *text == '/';
	}
	return NULL;
}

static bool is_folder(const struct list *l, const char *text)
{
	char path[PATH_MAX];
	struct stat st;
	size_t len = strlen(text);

	if (len && text[len - 1] == '/')
		return true;
	return snprintf(path, sizeof(path), "%s/%s", l->o->root ? l->o->root : "", text) <
		(int)sizeof(path) &&
		lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static const char *make_pattern(const struct list *l, const char *text, char *out)
{
	const char *wrong = NULL;
	size_t len = 0;

	*out = 0;
	if (l->o->root)
		wrong = put_all(out, &len, l->o->root);
	if (!wrong)
		wrong = put_all(out, &len, text);
	if (!wrong && !str_is_utf8(out, len))
		wrong = "is not UTF-8; use a pattern with '?' in the configuration";
	if (!wrong)
		wrong = path_pattern_fault(len ? out : "/");
	return wrong;
}

static int keep(struct list *l, const char *pattern, bool folder)
{
	struct item *i;

	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		struct item *more = realloc(l->items, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->items = more;
		l->room = room;
	}
	i = &l->items[l->count];
	*i = (struct item){.number = l->number};
	if (asprintf(&i->pattern, "%s%s", pattern, folder ? "/" : "") < 0)
		return -ENOMEM;
	i->skipped = folder && l->o->folders == IMPORT_SKIP;
	l->count++;
	return 0;
}

static int take_name(struct list *l, const char *text)
{
	char pattern[PATH_BYTES_MAX + 4];
	const char *wrong;
	bool folder;

	if (!*text || *text == '#' || *text == ';')
		return 0;
	if (l->count == IMPORT_NAMES_MAX) {
		fault(l, text, "the list has more than 100000 names");
		return 0;
	}
	wrong = make_pattern(l, text, pattern);
	folder = !wrong && is_folder(l, text);
	if (folder && l->o->folders == IMPORT_ASK)
		wrong = "is a folder: say whether all that is in it is meant, as by rsync -r";
	if (wrong) {
		fault(l, text, wrong);
		return 0;
	}
	return keep(l, pattern, folder);
}

/* The list. */

/* One name without its end; false: there is none any more. Longer ones are cut, and then too long.
 */
static bool read_name(struct list *l, FILE *in, char *out, size_t room)
{
	size_t len = 0;
	int ch;

	while ((ch = getc_unlocked(in)) != EOF) {
		if (l->o->from0 ? ch == 0 : ch == '\n' || ch == '\r')
			break;
		l->zero |= ch == 0;
		if (len + 1 < room)
			out[len++] = (char)ch;
	}
	out[len] = 0;
	l->lines += ch == (l->o->from0 ? 0 : '\n');
	return ch != EOF || len > 0;
}

static int read_list(struct list *l, FILE *in)
{
	char text[PATH_BYTES_MAX + 2];

	for (l->number = 1; read_name(l, in, text, sizeof(text)); l->number = l->lines + 1) {
		if (l->zero)
			return err_set(l->err, EINVAL,
				"%.200s:%zu: contains a zero byte; is it a list for --from0?",
				l->name, l->number);
		if (take_name(l, text) < 0)
			return err_set(l->err, ENOMEM, "out of memory");
	}
	if (ferror(in))
		return err_sys(l->err, EIO, "%.200s", l->name);
	if (l->faults > 1) {
		struct err first = *l->err;

		return err_set(l->err, EINVAL, "%.400s (and %zu more)", first.text, l->faults - 1);
	}
	return l->faults ? -EINVAL : 0;
}

static int compare(const void *a, const void *b)
{
	const struct item *x = *(const struct item *const *)a, *y = *(const struct item *const *)b;
	int order = strcmp(x->pattern, y->pattern);

	return order ? order : x < y ? -1 : x > y;
}

/* The later ones of equals. */
static int skip_twins(struct list *l)
{
	CLEANUP_FREE struct item **sorted = calloc(l->count + 1, sizeof(struct item *));

	if (!sorted)
		return err_set(l->err, ENOMEM, "out of memory");
	for (size_t i = 0; i < l->count; i++)
		sorted[i] = &l->items[i];
	qsort(sorted, l->count, sizeof(*sorted), compare);
	for (size_t i = 1; i < l->count; i++) {
		if (strcmp(sorted[i - 1]->pattern, sorted[i]->pattern) == 0)
			sorted[i]->skipped = true;
	}
	for (size_t i = 0; i < l->count; i++)
		l->left += !l->items[i].skipped;
	return l->left
		? 0
		: err_set(l->err, EINVAL, "%.200s: has no name that could be in a set", l->name);
}

/* Writing. */

static void print_set(const struct list *l, FILE *out)
{
	size_t left = l->left;

	fprintf(out, "set \"%s\" {\n\tpaths = {\n", l->o->set);
	for (size_t i = 0; i < l->count; i++) {
		if (l->items[i].skipped)
			continue;
		fputs("\t\t", out);
		key_quote(l->items[i].pattern, out);
		fputs(--left ? ",\n" : "\n", out);
	}
	fputs("\t}\n}\n", out);
}

static void print_folders(const struct list *l, FILE *out)
{
	for (size_t i = 0; l->o->folders == IMPORT_SKIP && i < l->count; i++) {
		const struct item *x = &l->items[i];
		char shown[PATH_BYTES_MAX * 4];

		if (x->pattern[strlen(x->pattern) - 1] != '/')
			continue;
		str_printable(shown, sizeof(shown), x->pattern, strlen(x->pattern));
		fprintf(out, "# a folder, left out: %s\n", shown);
	}
}

static int check(const struct import *o, struct err *err)
{
	if (!generation_name_ok(o->set))
		return err_set(err, EINVAL,
			"'%.64s': the name of a set consists of letters, digits, '.', '_' and '-'",
			o->set);
	if (o->root && *o->root != '/')
		return err_set(err, EINVAL, "'%.200s': the source folder must be an absolute path",
			o->root);
	return 0;
}

int import_list(const struct import *o, FILE *in, const char *name, FILE *out, struct err *err)
{
	struct list l = {.o = o, .name = name, .err = err};
	int r = check(o, err);

	if (r == 0)
		r = read_list(&l, in);
	if (r == 0)
		r = skip_twins(&l);
	if (r == 0) {
		print_folders(&l, out);
		print_set(&l, out);
	}
	for (size_t i = 0; i < l.count; i++)
		free(l.items[i].pattern);
	free(l.items);
	return r;
}
