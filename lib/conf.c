/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files, includes, sections and faults; see conf.h. What a statement is is found by conf_text.c,
 * its texts by conf_parse.c. Sections are kept as texts until they are applied, so that the caller
 * can choose the order (defaults first, wherever they stand).
 */
#include "conf.h"

#include "conf_parse.h"
#include "conf_text.h"
#include "fsutil.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES_MAX = 10000 };

struct reading {
	struct conf *conf;
	const struct conf_kind *kinds;
	size_t kind_count;
	struct stat *files; /* read, or being read: none twice, so there are no circles */
	size_t file_count;
	unsigned depth;
};

/* A file being read. */
struct file {
	struct reading *reading;
	const char *path;
};
/* Faults. */

/* A configuration must not pass because there was no memory to say what is wrong. */
static const char no_memory[] = "out of memory";
static const char more_faults[] = "there are more faults; these are the first ones";

static void free_fault(const char *line)
{
	if (line != no_memory && line != more_faults)
		free((void *)(uintptr_t)line);
}

/* Takes LINE. */
static void add_fault(struct conf *c, const char *line)
{
	if (c->fault_count < CONF_FAULTS_MAX) {
		c->faults[c->fault_count++] = line ? line : no_memory;
		return;
	}
	free_fault(line);
	if (c->fault_count == CONF_FAULTS_MAX)
		c->faults[c->fault_count++] = more_faults;
}

__attribute__((format(printf, 4, 0))) static void fault_at(
	struct conf *c, const char *file, unsigned line, const char *fmt, va_list ap)
{
	CLEANUP_FREE char *text = NULL;
	char *whole = NULL;
	int r;

	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		return;
	}
	r = line ? asprintf(&whole, "%s:%u: %s", file, line, text)
		 : asprintf(&whole, "%s: %s", file, text);
	add_fault(c, r < 0 ? NULL : whole);
}

void conf_fault_at(struct conf *c, const char *file, unsigned line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fault_at(c, file, line, fmt, ap);
	va_end(ap);
}

void conf_fault(struct conf *c, const struct conf_section *s, const char *key, const char *fmt, ...)
{
	const struct conf_value *v = key ? conf_value(s, key) : NULL;
	CLEANUP_FREE char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (!text)
		return;
	if (s->title)
		conf_fault_at(c, s->file, v ? v->line : s->line, "%s \"%.100s\": %s", s->kind->name,
			s->title, text);
	else
		conf_fault_at(c, s->file, v ? v->line : s->line, "%s: %s", s->kind->name, text);
}

/* Sections. */

struct conf_section *conf_add_section(struct conf *c)
{
	struct conf_section *more = realloc(c->sections, (c->count + 1) * sizeof(*c->sections));

	if (!more)
		return NULL;
	c->sections = more;
	more[c->count] = (struct conf_section){0};
	return &more[c->count++];
}

static void free_section(struct conf_section *s)
{
	for (size_t i = 0; s->values && i < s->count; i++) {
		for (size_t k = 0; k < s->values[i].count; k++)
			free(s->values[i].texts[k]);
		free(s->values[i].texts);
	}
	free(s->values);
	free(s->title);
	free(s->file);
}

/* By kind and title; of equals the first one read comes first. */
static int compare(const void *a, const void *b)
{
	const struct conf_section *x = *(const struct conf_section *const *)a;
	const struct conf_section *y = *(const struct conf_section *const *)b;
	int order = x->kind == y->kind ? 0 : x->kind < y->kind ? -1 : 1;

	if (!order && x->title)
		order = strcmp(x->title, y->title);
	return order ? order : x < y ? -1 : x > y;
}

static bool same_place(const struct conf_section *a, const struct conf_section *b)
{
	return a->kind == b->kind && (!a->title || strcmp(a->title, b->title) == 0);
}

static void check_twice(struct conf *c)
{
	CLEANUP_FREE const struct conf_section **sorted = calloc(c->count + 1, sizeof(*sorted));

	if (!sorted) {
		add_fault(c, NULL);
		return;
	}
	for (size_t i = 0; i < c->count; i++)
		sorted[i] = &c->sections[i];
	qsort(sorted, c->count, sizeof(*sorted), compare);
	for (size_t i = 1, first = 0; i < c->count; i++) {
		if (!same_place(sorted[first], sorted[i]))
			first = i;
		else
			conf_fault(c, sorted[i], NULL, "is given already, at %s:%u",
				sorted[first]->file, sorted[first]->line);
	}
}

const struct conf_value *conf_value(const struct conf_section *s, const char *key)
{
	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(s->values[i].key->name, key) == 0)
			return &s->values[i];
	}
	return NULL;
}

void conf_apply(struct conf *c, const struct conf_section *s, void *object)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct conf_value *v = &s->values[i];
		struct err err;

		if (key_set(v->key, object, (const char *const *)v->texts, v->count, &err) < 0)
			conf_fault(c, s, v->key->name, "%s: %s", v->key->name, err.text);
	}
}

/* Files. */

static void remember(struct conf *c, struct key_texts *list, const char *text)
{
	char **more = realloc(list->items, (list->count + 1) * sizeof(*more));
	char *copy = strdup(text);

	if (more)
		list->items = more;
	if (!more || !copy) {
		free(copy);
		add_fault(c, NULL);
		return;
	}
	more[list->count++] = copy;
}

static void read_file(struct reading *r, const char *path, const char *from, unsigned line);

static bool has_wildcard(const char *pattern)
{
	return strpbrk(pattern, "*?[");
}

/* Relative to the folder of FILE, of whose characters none is a wildcard. */
static char *include_path(const char *file, const char *pattern)
{
	size_t folder = *pattern == '/' ? 0 : (size_t)(str_base_name(file) - file), len = 0;
	char *path = malloc(2 * folder + strlen(pattern) + 1);

	for (size_t i = 0; path && i < folder; i++) {
		if (has_wildcard(pattern) && strchr("*?[\\", file[i]))
			path[len++] = '\\';
		path[len++] = file[i];
	}
	if (path)
		strcpy(path + len, pattern);
	return path;
}

/* A folder that is not there has no files; one that cannot be read may have some. */
static int folder_failed(const char *path, int error)
{
	(void)path;
	return error != ENOENT && error != ENOTDIR;
}

static void read_matching(struct reading *r, const char *pattern, const char *file, unsigned line)
{
	glob_t found = {0};
	int ret;

	remember(r->conf, &r->conf->patterns, pattern);
	errno = 0;
	ret = glob(pattern, 0, folder_failed, &found);
	if (ret && ret != GLOB_NOMATCH)
		conf_fault_at(r->conf, file, line, "include: %s: %s", pattern,
			ret == GLOB_NOSPACE ? no_memory : strerror(errno ? errno : EIO));
	for (size_t i = 0; ret == 0 && i < found.gl_pathc; i++)
		read_file(r, found.gl_pathv[i], file, line);
	globfree(&found);
}

static void read_included(struct file *f, const struct conf_statement *s)
{
	CLEANUP_FREE char *pattern = conf_parse_include(s);
	CLEANUP_FREE char *path = pattern ? include_path(f->path, pattern) : NULL;

	if (!path)
		add_fault(f->reading->conf, NULL);
	else if (!*pattern)
		conf_fault_at(f->reading->conf, f->path, s->line,
			"include: the name of a file is missing");
	else if (has_wildcard(pattern))
		read_matching(f->reading, path, f->path, s->line);
	else
		read_file(f->reading, path, f->path, s->line);
}

static void take_statement(void *ctx, const struct conf_statement *s)
{
	struct file *f = ctx;

	if (s->kind)
		conf_parse_section(f->reading->conf, f->path, s);
	else
		read_included(f, s);
}

static void take_fault(void *ctx, unsigned line, const char *text)
{
	struct file *f = ctx;

	conf_fault_at(f->reading->conf, f->path, line, "%s", text);
}

static const struct conf_text_ops text_ops = {take_statement, take_fault};

/* A file that cannot be looked at will not be opened either, with a reason. */
static bool is_known(struct reading *r, const char *path)
{
	struct stat st, *more;

	if (stat(path, &st) < 0)
		return false;
	for (size_t i = 0; i < r->file_count; i++) {
		if (r->files[i].st_dev == st.st_dev && r->files[i].st_ino == st.st_ino)
			return true;
	}
	more = realloc(r->files, (r->file_count + 1) * sizeof(*more));
	if (!more) {
		add_fault(r->conf, NULL);
		return false;
	}
	r->files = more;
	r->files[r->file_count++] = st;
	return false;
}

/* False: the fault was told. */
static bool may_read(struct reading *r, const char *path, const char *from, unsigned line)
{
	if (r->depth == CONF_DEPTH_MAX)
		conf_fault_at(r->conf, from, line, "include: %s: more than %d files deep", path,
			CONF_DEPTH_MAX);
	else if (r->file_count == FILES_MAX)
		conf_fault_at(
			r->conf, from, line, "include: %s: more than %d files", path, FILES_MAX);
	else if (is_known(r, path))
		conf_fault_at(
			r->conf, from, line, "include: %s: is read already; once is enough", path);
	else
		return true;
	return false;
}

/* FROM: the file that asks for it, at LINE; NULL = the user does. */
static void read_file(struct reading *r, const char *path, const char *from, unsigned line)
{
	struct file f = {r, path};
	CLEANUP_FREE char *text = NULL;
	struct err err;
	size_t len;

	if (!may_read(r, path, from, line))
		return;
	if (fs_read(path, CONF_FILE_MAX, &text, &len, &err) < 0) {
		if (from)
			conf_fault_at(r->conf, from, line, "include: %s", err.text);
		else
			add_fault(r->conf, strdup(err.text));
		return;
	}
	if (strlen(text) != len) {
		conf_fault_at(r->conf, path, 0, "contains a zero byte; it is no text");
		return;
	}
	remember(r->conf, &r->conf->files, path);
	r->depth++;
	conf_text_split(text, len, r->kinds, r->kind_count, &text_ops, &f);
	r->depth--;
}

int conf_read(const char *path, const struct conf_kind *kinds, size_t kind_count, struct conf *ret)
{
	struct reading r = {.conf = ret, .kinds = kinds, .kind_count = kind_count};

	*ret = (struct conf){0};
	read_file(&r, path, NULL, 0);
	check_twice(ret);
	free(r.files);
	return ret->fault_count ? -EINVAL : 0;
}

void conf_done(struct conf *c)
{
	for (size_t i = 0; i < c->count; i++)
		free_section(&c->sections[i]);
	free(c->sections);
	for (size_t i = 0; i < c->fault_count; i++)
		free_fault(c->faults[i]);
	key_free_texts(&c->files);
	key_free_texts(&c->patterns);
	*c = (struct conf){0};
}
