/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration through libconfuse; a cfg_t never leaves this file. */
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
	CFG_END(),
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

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

static int fill(struct conf_export *e, cfg_t *section, const char *path, struct err *err)
{
	const char *title = cfg_title(section);
	struct err why;

	if (!*title)
		return err_set(err, EINVAL,
			"%s: export \"\": the name must not be empty (use default = true)", path);
	if (export_check_name(title, strlen(title), &why) < 0)
		return err_set(err, EINVAL, "%s: %s", path, why.text);
	e->name = copy(title);
	e->image = copy(cfg_getstr(section, "image"));
	e->description = copy(cfg_getstr(section, "description"));
	e->readonly = cfg_getbool(section, "readonly");
	e->is_default = cfg_getbool(section, "default");
	if (!e->image || !*e->image)
		return err_set(
			err, EINVAL, "%s: export \"%s\": image = \"PATH\" is missing", path, title);
	if (e->image[0] != '/')
		return err_set(err, EINVAL,
			"%s: export \"%s\": image \"%s\": must be an absolute path", path, title,
			e->image);
	if (e->description && export_check_name(e->description, strlen(e->description), NULL) < 0)
		return err_set(err, EINVAL,
			"%s: export \"%s\": description: at most 4096 bytes of valid UTF-8", path,
			title);
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
		free(c->exports[i].name);
		free(c->exports[i].image);
		free(c->exports[i].description);
	}
	free(c->exports);
	*c = (struct conf){0};
}
