/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libconfuse reads, the tables judge. To the parser every key is a list of texts, so that all
 * values of a file are judged and not only those before the first fault. It gets one statement at a
 * time, whose syntax is known to be right (conf_text.h), so it has nothing to say, and leaves
 * nothing behind for the next one.
 */
#include "conf_parse.h"

#include "util.h"

#include <confuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void be_silent(cfg_t *cfg, const char *fmt, va_list ap)
{
	(void)cfg;
	(void)fmt;
	(void)ap;
}

/* NULL: not understood, or no memory. */
static cfg_t *parse(cfg_opt_t *opts, const char *text, size_t len)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, len, "r");
	cfg_t *cfg = in ? cfg_init(opts, CFGF_NONE) : NULL;

	if (cfg) {
		cfg_set_error_function(cfg, be_silent);
		if (cfg_parse_fp(cfg, in) != CFG_SUCCESS) {
			cfg_free(cfg);
			cfg = NULL;
		}
	}
	if (in)
		fclose(in);
	return cfg;
}

/* Sections. */

static cfg_opt_t *section_keys(const struct conf_kind *kind)
{
	const struct key_set *set = kind->keys;
	cfg_opt_t *opts = calloc(set->count + 1, sizeof(*opts));
	size_t n = 0;

	if (!opts)
		return NULL;
	for (size_t i = 0; i < set->count; i++) {
		if (set->keys[i].where & kind->where)
			opts[n++] = (cfg_opt_t)CFG_STR_LIST(set->keys[i].name, 0, CFGF_NODEFAULT);
	}
	opts[n] = (cfg_opt_t)CFG_END();
	return opts;
}

static bool take_value(struct conf_section *s, const struct key *key, cfg_opt_t *opt, unsigned line)
{
	struct conf_value *v = &s->values[s->count];

	*v = (struct conf_value){.key = key, .line = line};
	v->texts = calloc(cfg_opt_size(opt) + 1, sizeof(*v->texts));
	if (!v->texts)
		return false;
	s->count++;
	for (unsigned i = 0; i < cfg_opt_size(opt); i++) {
		v->texts[i] = strdup(cfg_opt_getnstr(opt, i));
		if (!v->texts[i])
			return false;
		v->count++;
	}
	return true;
}

static bool take_values(struct conf_section *s, cfg_t *cfg, const unsigned *lines)
{
	const struct key_set *set = s->kind->keys;

	s->values = calloc(set->count + 1, sizeof(*s->values));
	if (!s->values)
		return false;
	for (size_t i = 0; i < set->count; i++) {
		cfg_opt_t *opt = lines[i] ? cfg_getopt(cfg, set->keys[i].name) : NULL;

		if (opt && !take_value(s, &set->keys[i], opt, lines[i]))
			return false;
	}
	return true;
}

static bool take_section(
	struct conf *c, const char *path, const struct conf_statement *from, cfg_t *cfg)
{
	struct conf_section *s = conf_add_section(c);

	if (!s)
		return false;
	*s = (struct conf_section){.kind = from->kind,
		.title = from->kind->titled ? strdup(cfg_title(cfg)) : NULL,
		.file = strdup(path),
		.line = from->line,
		.torn = from->torn};
	return s->file && (s->title || !from->kind->titled) && take_values(s, cfg, from->lines);
}

void conf_parse_section(struct conf *c, const char *path, const struct conf_statement *s)
{
	cfg_opt_t *keys = section_keys(s->kind);
	cfg_opt_t root[] = {CFG_SEC(s->kind->name, keys,
				    s->kind->titled ? CFGF_MULTI | CFGF_TITLE : CFGF_MULTI),
		CFG_END()};
	cfg_t *cfg = keys ? parse(root, s->text, s->len) : NULL;

	if (!cfg || cfg_size(cfg, s->kind->name) != 1)
		conf_fault_at(
			c, path, s->line, "%s: this section cannot be understood", s->kind->name);
	else if (!take_section(c, path, s, cfg_getnsec(cfg, s->kind->name, 0)))
		conf_fault_at(c, path, s->line, "out of memory");
	if (cfg)
		cfg_free(cfg);
	free(keys);
}

/* Includes. */

char *conf_parse_include(const struct conf_statement *s)
{
	cfg_opt_t root[] = {CFG_STR("include", 0, CFGF_NODEFAULT), CFG_END()};
	cfg_t *cfg = parse(root, s->text, s->len);
	const char *pattern = cfg ? cfg_getstr(cfg, "include") : NULL;
	char *copy = pattern ? strdup(pattern) : NULL;

	if (cfg)
		cfg_free(cfg);
	return copy;
}
