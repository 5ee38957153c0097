/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration through libconfuse; a cfg_t never leaves this file. A file is taken as a whole or
 * not at all; keys with a text are rows of one table, which says where they go and in which mode.
 */
#include "conf.h"

#include "export.h"
#include "fsutil.h"
#include "util.h"

#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX = 64 * 1024 * 1024 };

/* libconfuse's error callback has no user pointer; one parse runs at a time. */
static struct err *parse_err;

__attribute__((format(printf, 2, 0))) static void parse_error(
	cfg_t *cfg, const char *fmt, va_list ap)
{
	char text[ERR_TEXT_MAX / 2];

	if (!parse_err || parse_err->code)
		return; /* the first one says it best */
	vsnprintf(text, sizeof(text), fmt, ap);
	if (cfg && cfg->filename)
		err_set(parse_err, EINVAL, "%s:%d: %s", cfg->filename, cfg->line, text);
	else
		err_set(parse_err, EINVAL, "%s", text);
}

static cfg_opt_t export_keys[] = {
	CFG_STR("image", NULL, CFGF_NODEFAULT),
	CFG_BOOL("readonly", cfg_false, CFGF_NONE),
	CFG_STR("description", NULL, CFGF_NODEFAULT),
	CFG_BOOL("default", cfg_false, CFGF_NONE),
	CFG_STR("mode", NULL, CFGF_NODEFAULT),
	CFG_STR("cow-dir", NULL, CFGF_NODEFAULT),
	CFG_STR("origin", NULL, CFGF_NODEFAULT),
	CFG_STR("host", NULL, CFGF_NODEFAULT),
	CFG_STR("port", NULL, CFGF_NODEFAULT),
	CFG_STR("exportname", NULL, CFGF_NODEFAULT),
	CFG_STR("cache", NULL, CFGF_NODEFAULT),
	CFG_STR("bitmap", NULL, CFGF_NODEFAULT),
	CFG_STR("control", NULL, CFGF_NODEFAULT),
	CFG_END(),
};

static const char *const mode_names[] = {"target", "cow-target", "proxy"};

enum { IN_TARGET = 1 << CONF_TARGET, IN_COW = 1 << CONF_COW_TARGET, IN_PROXY = 1 << CONF_PROXY };

/* Keys with a text: where it goes, and the modes it belongs to. */
static const struct text_key {
	const char *key;
	size_t offset;
	unsigned modes;
	bool is_path;
} text_keys[] = {
	{"description", offsetof(struct conf_export, description), ~0U, false},
	{"image", offsetof(struct conf_export, image), IN_TARGET | IN_COW, true},
	{"cow-dir", offsetof(struct conf_export, cow_dir), IN_COW, true},
	{"origin", offsetof(struct conf_export, origin), IN_PROXY, false},
	{"host", offsetof(struct conf_export, host), IN_PROXY, false},
	{"port", offsetof(struct conf_export, port), IN_PROXY, false},
	{"exportname", offsetof(struct conf_export, exportname), IN_PROXY, false},
	{"cache", offsetof(struct conf_export, cache), IN_PROXY, true},
	{"bitmap", offsetof(struct conf_export, bitmap), IN_PROXY, true},
	{"control", offsetof(struct conf_export, control), IN_PROXY, true},
};

/* The parser ends the whole process when it cannot read on, as from a folder. */
static int check_regular(const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(err, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "%s: not a regular file", path);
	return 0;
}

static int include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	struct err err;

	if (argc == 1 && check_regular(argv[0], &err) < 0) {
		cfg_error(cfg, "include: %s", err.text);
		return 1;
	}
	return cfg_include(cfg, opt, argc, argv);
}

static cfg_opt_t file_keys[] = {
	CFG_SEC("export", export_keys, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
	CFG_FUNC("include", include),
	CFG_END(),
};

static char **text_at(struct conf_export *e, const struct text_key *k)
{
	return (char **)(void *)((char *)e + k->offset);
}

static int fault(const char *path, const char *title, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int fault(const char *path, const char *title, struct err *err, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err, EINVAL, "%s: export \"%s\": %s", path, title, text);
}

static int read_mode(struct conf_export *e, cfg_t *section, const char *path, struct err *err)
{
	const char *mode = cfg_getstr(section, "mode");

	for (unsigned i = 0; i < ARRAY_LEN(mode_names); i++) {
		if (!mode || strcmp(mode, mode_names[i]) == 0) {
			e->mode = (enum conf_mode)i;
			return 0;
		}
	}
	return fault(path, cfg_title(section), err,
		"mode \"%s\": must be target, cow-target or proxy", mode);
}

/* The first mode a key belongs to is enough to say what is wrong. */
static const char *owner_of(const struct text_key *k)
{
	return k->modes & IN_TARGET ? "target or cow-target"
		: k->modes & IN_COW ? "cow-target"
				    : "proxy";
}

static int read_texts(struct conf_export *e, cfg_t *section, const char *path, struct err *err)
{
	const char *title = cfg_title(section);

	for (size_t i = 0; i < ARRAY_LEN(text_keys); i++) {
		const struct text_key *k = &text_keys[i];
		const char *text = cfg_getstr(section, k->key);

		if (!text)
			continue;
		if (!(k->modes & 1U << e->mode))
			return fault(path, title, err,
				"%s belongs to mode = \"%s\", this one has mode = \"%s\"", k->key,
				owner_of(k), mode_names[e->mode]);
		*text_at(e, k) = strdup(text);
		if (k->is_path && *text && *text != '/')
			return fault(path, title, err, "%s \"%s\": must be an absolute path",
				k->key, text);
	}
	return 0;
}

static bool is_given(const char *text)
{
	return text && *text;
}

/* What the mode cannot do without. */
static int check_mode(const struct conf_export *e, const char *path, struct err *err)
{
	if (e->mode != CONF_PROXY && !is_given(e->image))
		return fault(path, e->name, err, "image = \"PATH\" is missing");
	if (e->mode != CONF_PROXY)
		return 0;
	if (!is_given(e->cache))
		return fault(path, e->name, err, "cache = \"PATH\" is missing");
	if (is_given(e->origin) && (e->host || e->port || e->exportname))
		return fault(path, e->name, err,
			"origin excludes host, port and exportname; the URI has them");
	if (!is_given(e->origin) && (!is_given(e->host) || !is_given(e->port)))
		return fault(path, e->name, err,
			"a proxy needs origin = \"nbd://HOST/NAME\", or host and port");
	return 0;
}

static int fill(struct conf_export *e, cfg_t *section, const char *path, struct err *err)
{
	const char *title = cfg_title(section);
	struct err why;
	int ret;

	if (!*title)
		return err_set(err, EINVAL,
			"%s: export \"\": the name must not be empty (use default = true)", path);
	if (export_check_name(title, strlen(title), &why) < 0)
		return err_set(err, EINVAL, "%s: %s", path, why.text);
	e->name = strdup(title);
	e->readonly = cfg_getbool(section, "readonly");
	e->is_default = cfg_getbool(section, "default");
	ret = read_mode(e, section, path, err);
	if (ret == 0)
		ret = read_texts(e, section, path, err);
	if (ret == 0)
		ret = check_mode(e, path, err);
	if (ret < 0)
		return ret;
	if (e->description && export_check_name(e->description, strlen(e->description), NULL) < 0)
		return fault(path, title, err, "description: at most 4096 bytes of valid UTF-8");
	return 0;
}

static int fill_all(struct conf *c, cfg_t *cfg, const char *path, struct err *err)
{
	unsigned n = cfg_size(cfg, "export");
	const char *chosen = NULL;

	c->exports = calloc(n + 1, sizeof(*c->exports));
	if (!c->exports)
		return err_sys(err, ENOMEM, "%s", path);
	c->count = n;
	for (unsigned i = 0; i < n; i++) {
		struct conf_export *e = &c->exports[i];
		int ret = fill(e, cfg_getnsec(cfg, "export", i), path, err);

		if (ret < 0)
			return ret;
		if (e->is_default && chosen)
			return err_set(err, EINVAL,
				"%s: exports \"%s\" and \"%s\" are both the default; choose one",
				path, chosen, e->name);
		if (e->is_default)
			chosen = e->name;
	}
	return 0;
}

static void no_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	(void)cfg;
	(void)fmt;
	(void)ap;
}

/*
 * The parser takes the end of the file for the end of any section: half a file would be half a
 * configuration. So a key that is only known outside of sections is appended, in memory.
 */
static int check_end(const char *path, struct err *err)
{
	static const char probe[] = "\nend_of_file = 1\n";
	static cfg_opt_t keys[] = {
		CFG_SEC("export", export_keys, CFGF_MULTI | CFGF_TITLE),
		CFG_FUNC("include", include),
		CFG_INT("end_of_file", 0, CFGF_NONE),
		CFG_END(),
	};
	CLEANUP_FREE char *text = NULL, *whole = NULL;
	cfg_t *cfg = cfg_init(keys, CFGF_NONE);
	size_t len;
	int ret = fs_read(path, FILE_MAX, &text, &len, err);

	if (ret == 0 && (!cfg || asprintf(&whole, "%s%s", text, probe) < 0))
		ret = err_sys(err, ENOMEM, "%s", path);
	if (ret == 0) {
		cfg_set_error_function(cfg, no_error);
		if (cfg_parse_buf(cfg, whole) != CFG_SUCCESS || cfg_getint(cfg, "end_of_file") != 1)
			ret = err_set(err, EINVAL,
				"%s: ends inside a section or text; } or a quote is missing", path);
	}
	cfg_free(cfg);
	return ret;
}

int conf_read(const char *path, struct conf *ret, struct err *err)
{
	struct conf c = {0};
	struct err parse = {0};
	cfg_t *cfg;
	int r = check_regular(path, err);

	if (r < 0)
		return r;
	cfg = cfg_init(file_keys, CFGF_NONE);
	if (!cfg)
		return err_sys(err, ENOMEM, "%s", path);
	cfg_set_error_function(cfg, parse_error);
	parse_err = &parse;
	r = cfg_parse(cfg, path);
	parse_err = NULL;
	if (r == CFG_FILE_ERROR)
		r = err_sys(err, errno ? errno : ENOENT, "%s", path);
	else if (r != CFG_SUCCESS)
		r = err_set(err, EINVAL, "%s", parse.code ? parse.text : path);
	else
		r = check_end(path, err);
	if (r == 0)
		r = fill_all(&c, cfg, path, err);
	cfg_free(cfg);
	if (r < 0)
		conf_done(&c);
	else
		*ret = c;
	return r;
}

void conf_done(struct conf *c)
{
	for (size_t i = 0; c->exports && i < c->count; i++) {
		for (size_t k = 0; k < ARRAY_LEN(text_keys); k++)
			free(*text_at(&c->exports[i], &text_keys[k]));
		free(c->exports[i].name);
	}
	free(c->exports);
	*c = (struct conf){0};
}
