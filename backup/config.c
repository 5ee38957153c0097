/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From sections to volumes; see config.h. Section `backup` and what concerns several volumes is
 * here, a volume itself is config_volume.c's. Defaults are applied to a volume before its own keys,
 * so that there is one table for both.
 */
#include "config.h"

#include "conf_objects.h"
#include "spec.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { SOCKET_BYTES = 107, COMMAND_MAX = 4096, MINUTES_MAX = 60 * 24 * 31 };

#define DEFAULT_STATE    "/var/lib/xnbd/backup"
#define DEFAULT_CONTROL  "/run/xnbd/wrapper.ctl"
#define DEFAULT_SENDMAIL "/usr/sbin/sendmail"

#define AT(field) offsetof(struct config_general, field)

static const struct key general_rows[] = {
	{"state-directory", KEY_PATH, AT(state_directory), 1, PATH_MAX - 100, 0, NULL, 1, false,
		"Folder for what is remembered of copies, and for the lock; otherwise "
		"/var/lib/xnbd/backup. In a pair it has to move with the volumes, or to be the same "
		"on both nodes."},
	{"active-if", KEY_TEXT, AT(active_if), 1, COMMAND_MAX, 0, NULL, 1, false,
		"Command, for /bin/sh, whose exit status is 0 on the active node of the cluster. "
		"Elsewhere nothing is done; and a run ends when it is so no more. Otherwise a volume "
		"is left out if it is not active here."},
	{"exports", KEY_FLAG, AT(exports), 0, 0, 0, NULL, 1, false,
		"Copy all exports of the wrapper that are logical volumes, as defaults says? Those "
		"that a section volume has as source are not copied twice."},
	{"exclude", KEY_TEXTS, AT(exclude), 1, 255, 0, NULL, 1, false,
		"Patterns, as of a shell, of names of exports that are left out."},
	{"control", KEY_PATH, AT(control), 1, SOCKET_BYTES, 0, NULL, 1, false,
		"Control socket of the wrapper; otherwise /run/xnbd/wrapper.ctl."},
	{"time-limit", KEY_NUMBER, AT(time_limit), 0, MINUTES_MAX, 0, NULL, 1, false,
		"Minutes after which a run ends, whatever it has done by then; otherwise, and with "
		"0, it takes its time."},
	{"mail-to", KEY_TEXT, AT(mail_to), 1, 1000, 0, NULL, 1, false,
		"Address that gets a mail when a copy has failed."},
	{"sendmail", KEY_PATH, AT(sendmail), 1, PATH_MAX - 1, 0, NULL, 1, false,
		"Program that sends it, called with -t; otherwise /usr/sbin/sendmail."},
	{"on-failure", KEY_TEXT, AT(on_failure), 1, COMMAND_MAX, 0, NULL, 1, false,
		"Command, for /bin/sh, that is run when a copy has failed: with the lines of the run "
		"as input, and names of volumes in BACKUP_FAILED. It has a minute."},
	{"tools-config", KEY_PATH, AT(tools_config), 1, PATH_MAX - 1, 0, NULL, 1, false,
		"Configuration of lvm_copy and lvm_snap_copy; otherwise their own, "
		"/etc/lvm/lvm_tools.conf."},
	{"ssh-config", KEY_PATH, AT(ssh_config), 1, PATH_MAX - 1, 0, NULL, 1, false,
		"Configuration of ssh for targets on other hosts."},
};
static const struct key_set general_keys = {general_rows, ARRAY_LEN(general_rows)};

enum { KIND_GENERAL, KIND_DEFAULTS, KIND_VOLUME };

const struct conf_kind config_kinds[] = {
	[KIND_GENERAL] = {"backup", false, &general_keys, 1},
	[KIND_DEFAULTS] = {"defaults", false, &config_volume_keys, CONFIG_IN_DEFAULTS},
	[KIND_VOLUME] = {"volume", true, &config_volume_keys, CONFIG_IN_VOLUME},
};
const size_t config_kind_count = ARRAY_LEN(config_kinds);

static void read_general(struct conf *f, const char *path, struct config *c)
{
	size_t at = 0;
	const struct conf_section *s = conf_next(f, &config_kinds[KIND_GENERAL], &at);
	struct config_general *g = &c->general;

	if (s)
		conf_apply(f, s, g);
	conf_fill_in(f, path, (const char **)&g->state_directory, DEFAULT_STATE);
	conf_fill_in(f, path, (const char **)&g->control, DEFAULT_CONTROL);
	conf_fill_in(f, path, (const char **)&g->sendmail, DEFAULT_SENDMAIL);
	if (g->mail_to && strpbrk(g->mail_to, "\r\n"))
		conf_fault(f, s, "mail-to", "mail-to: must be one line");
}

static void read_defaults(struct conf *f, struct config *c)
{
	size_t at = 0;
	const struct conf_section *s = conf_next(f, &config_kinds[KIND_DEFAULTS], &at);

	if (s)
		conf_apply(f, s, &c->defaults);
	if (c->general.exports && !c->defaults.target && !f->fault_count)
		conf_fault_at(f, c->path, 0,
			"exports: needs a target in section defaults, with %%v or %%l in it");
}

static void read_volume(struct conf *f, const struct conf_section *s, struct config_volume *v)
{
	const char *key = NULL;
	struct err err = {0};
	bool has_source, has_target; /* both are told, if both are missing */

	conf_apply(f, s, v);
	has_source = conf_require(f, s, "source", v->source, NULL);
	has_target = conf_require(f, s, "target", v->target, "none in section defaults either");
	if (has_source && has_target && config_volume_settle(v, &key, &err) < 0)
		conf_fault(f, s, key, "%s: %s", key, err.text);
}

static void read_volumes(struct conf *f, struct config *c)
{
	const struct conf_section *s;
	size_t at = 0;
	char *name;

	while ((s = conf_next_named(f, &config_kinds[KIND_VOLUME], CONFIG_NAME_MAX, &at, &name))) {
		struct config_volume *v = &c->volumes[c->count];

		if (key_copy_all(&config_volume_keys, v, &c->defaults) < 0) {
			conf_fault(f, s, NULL, "out of memory");
			free(name);
			return;
		}
		v->name = name;
		c->count++;
		read_volume(f, s, v);
	}
}

/* The place of any of its copies, for comparisons: written as all are, with the same %t and %n. */
static void place_of(const struct config_volume *v, char out[SPEC_TEXT_MAX])
{
	struct naming_values values = {v->name, naming_source(v->source), 0, 1};
	char text[NAMING_TEXT_MAX];
	struct spec s;
	struct err err;

	out[0] = 0;
	if (naming_expand(v->target, &values, text, &err) == 0 && spec_parse(&s, text, &err) == 0)
		spec_print(&s, false, out);
}

static const struct config_volume *same_place(
	const struct config *c, const struct config_volume *v, size_t count)
{
	char own[SPEC_TEXT_MAX], other[SPEC_TEXT_MAX];

	place_of(v, own);
	for (size_t i = 0; i < count; i++) {
		place_of(&c->volumes[i], other);
		if (strcmp(own, other) == 0)
			return &c->volumes[i];
	}
	return NULL;
}

static void check_volumes(struct conf *f, const char *path, struct config *c)
{
	size_t at = 0;

	if (c->count == 0 && !c->general.exports)
		conf_fault_at(f, path, 0, "there is no section volume, and exports is not set");
	for (size_t i = 0; i < c->count; i++) {
		const struct conf_section *s = conf_next(f, &config_kinds[KIND_VOLUME], &at);
		const struct config_volume *o = same_place(c, &c->volumes[i], i);

		if (o)
			conf_fault(f, s, "target", "target: volume \"%s\" has the same, use %%v",
				o->name);
	}
}

/* What would be wrong with volumes of exports is found now, by two that no section is called as. */
static void check_exports(struct conf *f, const char *path, struct config *c)
{
	static const char *const names[] = {"_export_1", "_export_2"};
	const size_t count = c->count;
	char source[64];
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_LEN(names) && !err.code; i++) {
		snprintf(source, sizeof(source), "lvm:/dev/_/%s", names[i]);
		config_add(c, names[i], source, &err);
	}
	while (c->count > count)
		config_volume_free(&c->volumes[--c->count]);
	if (err.code)
		conf_fault_at(f, path, 0, "section defaults, for exports: %s", err.text);
}

int config_read(const char *path, struct config *ret, struct conf *files)
{
	struct config c = {0};

	conf_read(path, config_kinds, config_kind_count, files);
	key_init_all(&general_keys, &c.general);
	key_init_all(&config_volume_keys, &c.defaults);
	c.path = strdup(path);
	c.volumes = calloc(files->count + 1, sizeof(*c.volumes));
	if (!c.path || !c.volumes || files->count > CONFIG_VOLUMES_MAX) {
		conf_fault_at(files, path, 0, "out of memory, or too many volumes");
	} else {
		read_general(files, path, &c);
		read_defaults(files, &c);
		read_volumes(files, &c);
	}
	if (!files->fault_count)
		check_volumes(files, path, &c);
	if (!files->fault_count && c.general.exports)
		check_exports(files, path, &c);
	if (files->fault_count)
		config_free(&c);
	*ret = c;
	return files->fault_count ? -EINVAL : 0;
}

void config_free(struct config *c)
{
	for (size_t i = 0; i < c->count; i++)
		config_volume_free(&c->volumes[i]);
	free(c->volumes);
	config_volume_free(&c->defaults);
	key_free_all(&general_keys, &c->general);
	free(c->path);
	*c = (struct config){0};
}

const struct config_volume *config_volume(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++) {
		if (strcmp(c->volumes[i].name, name) == 0)
			return &c->volumes[i];
	}
	return NULL;
}

static int fill(struct config *c, struct config_volume *v, const char *name, const char *source,
	struct err *err)
{
	const char *key;
	const struct config_volume *o;
	struct err why = {0};

	v->name = strdup(name);
	v->source = strdup(source);
	if (!v->name || !v->source)
		return err_sys(err, ENOMEM, "%s", name);
	if (config_volume_settle(v, &key, &why) < 0)
		return err_set(err, EINVAL, "%s: %s", key, why.text);
	o = same_place(c, v, c->count);
	return o ? err_set(err, EEXIST, "target: that of '%s' is the same; use %%v", o->name) : 0;
}

int config_add(struct config *c, const char *name, const char *source, struct err *err)
{
	struct config_volume *all, *v;
	int r;

	if (config_volume(c, name))
		return err_set(err, EEXIST, "%s: there is a volume of this name already", name);
	all = c->count < CONFIG_VOLUMES_MAX ? realloc(c->volumes, (c->count + 1) * sizeof(*all))
					    : NULL;
	if (!all)
		return err_sys(err, ENOMEM, "%s", name);
	c->volumes = all;
	v = &all[c->count];
	*v = (struct config_volume){0};
	if (key_copy_all(&config_volume_keys, v, &c->defaults) < 0)
		return err_sys(err, ENOMEM, "%s", name);
	r = fill(c, v, name, source, err);
	if (r < 0)
		config_volume_free(v);
	else
		c->count++;
	return r;
}
