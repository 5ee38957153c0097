/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections `set`: what belongs to it, the rules its files keep, who may write it, its commands.
 * What could never work is a fault here, and not at the first change in the night.
 */
#include "config_inner.h"

#include "path.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

enum { PATHS_MAX = 100000, ORDER_MAX = 1000000, KEEP_MAX = 10000, TIMEOUT_MAX = 3600 };
enum { SECRET_MODE = 0600, SECRET_FOLDER_MODE = 0700 };

static const char *const kinds[] = {"config", "secret", "local", NULL};
static const char *const writers[] = {"active", "manual", "any", NULL};
static const char *const places[] = {"both", "active", "passive", NULL};

#define AT(field) offsetof(struct config_set, field)

static const struct key keys[] = {
	{"paths", KEY_TEXTS, AT(paths), 1, PATH_BYTES_MAX, PATHS_MAX, NULL, 1, false,
		"Files, folders with all that is in them, and patterns, as described above. "
		"Required."},
	{"exclude", KEY_TEXTS, AT(exclude), 1, PATH_BYTES_MAX, 0, NULL, 1, false,
		"Patterns of what is not part of it. One without any slash is compared with each "
		"component of a path."},
	{"kind", KEY_CHOICE, AT(kind), 0, 0, CONFIG_CONFIG, kinds, 1, false,
		"What it is: config; secret, whose contents are never shown, and whose files nobody "
		"but their owner may read; or local, files of this node that are part of no other "
		"set, whatever the patterns there say. Otherwise config."},
	{"writer", KEY_CHOICE, AT(writer), 0, 0, PLAN_MANUAL, writers, 1, false,
		"Whose changes go to the peer by themselves: those of the active node of the "
		"cluster; nobody's, as somebody has to ask for it (manual); or those of any node. "
		"Otherwise active if there is a role-command, else manual."},
	{"owner", KEY_TEXT, AT(owner), 1, MANIFEST_NAME_MAX - 1, 0, NULL, 1, false,
		"User whom all of it has to belong to; otherwise files may belong to anybody."},
	{"group", KEY_TEXT, AT(group), 1, MANIFEST_NAME_MAX - 1, 0, NULL, 1, false,
		"Group that all of it has to have; otherwise any."},
	{"mode", KEY_TEXT, AT(mode), 1, 4, 0, NULL, 1, false,
		"Mode that all files have to have, in octal digits; otherwise any, of a secret set "
		"0600 or less."},
	{"folder-mode", KEY_TEXT, AT(folder_mode), 1, 4, 0, NULL, 1, false,
		"Mode that all folders have to have, in octal digits; otherwise any, of a secret set "
		"0700 or less."},
	{"symlinks", KEY_FLAG, AT(symlinks), 0, 0, 0, NULL, 1, false,
		"Are symbolic links part of it? They are copied as they are, and never followed. "
		"Otherwise a link is a fault."},
	{"validate", KEY_TEXT, AT(validate), 1, CONFIG_COMMAND_BYTES, 0, NULL, 1, false,
		"Command, for /bin/sh, that says by its exit status 0 that the files are good. In "
		"it %r is a folder with the files as they will be, %% a percent sign. It runs on "
		"both nodes before anything is changed."},
	{"reload", KEY_TEXT, AT(reload), 1, CONFIG_COMMAND_BYTES, 0, NULL, 1, false,
		"Command, for /bin/sh, that makes programs read the files. If its exit status is not "
		"0 both nodes go back to what was before."},
	{"reload-on", KEY_CHOICE, AT(reload_on), 0, 0, CONFIG_BOTH, places, 1, false,
		"Where it is run: on both nodes, on the active, or on the passive one. Otherwise on "
		"both."},
	{"validate-timeout", KEY_NUMBER, AT(validate_timeout), 1, TIMEOUT_MAX, 60, NULL, 1, false,
		"Seconds after which the command has failed; otherwise 60."},
	{"reload-timeout", KEY_NUMBER, AT(reload_timeout), 1, TIMEOUT_MAX, 60, NULL, 1, false,
		"Seconds after which the command has failed; otherwise 60."},
	{"order", KEY_NUMBER, AT(order), 0, ORDER_MAX, 100, NULL, 1, false,
		"Sets are synchronised and reloaded in the order of these numbers, then as in the "
		"file; otherwise 100."},
	{"keep", KEY_NUMBER, AT(keep), 1, KEEP_MAX, 20, NULL, 1, false,
		"How many generations are kept to go back to; otherwise 20."},
};
const struct key_set config_set_keys = {keys, ARRAY_LEN(keys)};

/* Patterns. */

static void check_patterns(struct conf *f, const struct conf_section *s, const char *key,
	const struct key_texts *list, const char *(*fault)(const char *))
{
	for (size_t i = 0; i < list->count; i++) {
		const char *wrong = fault(list->items[i]);

		if (wrong)
			conf_fault(f, s, key, "%s: \"%.200s\": %s", key, list->items[i], wrong);
	}
}

static void say_twice(struct conf *f, const struct conf_section *s, const char *pattern)
{
	conf_fault(f, s, "paths", "paths: \"%.200s\": is given twice", pattern);
}

static void check_twice(struct conf *f, const struct conf_section *s, const struct config_set *set)
{
	for (size_t i = 1; i < set->plain.count; i++) {
		if (strcmp(set->plain.items[i - 1], set->plain.items[i]) == 0)
			say_twice(f, s, set->plain.items[i]);
	}
	for (size_t i = 0; i < set->wild_count; i++) {
		for (size_t k = 0; k < i; k++) {
			if (strcmp(set->wild[i], set->wild[k]) == 0)
				say_twice(f, s, set->wild[i]);
		}
	}
}

static void check_other(struct conf *f, const struct conf_section *s, const struct config_set *set,
	const struct config_set *other)
{
	static const char text[] = "paths: \"%.200s\": is in set \"%.64s\" too";

	for (size_t i = 0; i < set->plain.count; i++) {
		if (config_match_plain(other, set->plain.items[i]))
			conf_fault(f, s, "paths", text, set->plain.items[i], other->name);
	}
	for (size_t i = 0; i < set->wild_count; i++) {
		for (size_t k = 0; k < other->wild_count; k++) {
			if (strcmp(set->wild[i], other->wild[k]) == 0)
				conf_fault(f, s, "paths", text, set->wild[i], other->name);
		}
	}
}

void config_check_set(struct conf *f, const struct conf_section *s, const struct config *c,
	const struct config_set *set)
{
	check_twice(f, s, set);
	for (const struct config_set *o = c->sets; o < set; o++)
		check_other(f, s, set, o);
	for (size_t i = 0; set->kind != CONFIG_LOCAL && i < set->plain.count; i++) {
		if (config_is_own(c, set->plain.items[i]))
			conf_fault(f, s, "paths",
				"paths: \"%.200s\": is a file of xnbd-confsync itself, never taken "
				"from a peer%s",
				set->plain.items[i],
				c->general.follow_peer ? "" : " without follow-peer = true");
	}
}

/* Rules. */

/* 0: none, or none that is good. */
static unsigned read_mode(
	struct conf *f, const struct conf_section *s, const char *key, const char *text)
{
	unsigned mode = 0;

	if (!text)
		return 0;
	if (strlen(text) < 3 || text[strspn(text, "01234567")] || sscanf(text, "%o", &mode) != 1 ||
		!(mode & 0400)) {
		conf_fault(f, s, key,
			"%s: \"%.20s\": must be three or four octal digits that let the owner read, "
			"as 0640",
			key, text);
		return 0;
	}
	return mode;
}

static void read_modes(struct conf *f, const struct conf_section *s, struct config_set *set)
{
	set->mode_bits = read_mode(f, s, "mode", set->mode);
	set->folder_mode_bits = read_mode(f, s, "folder-mode", set->folder_mode);
	if (set->kind != CONFIG_SECRET)
		return;
	if (set->mode_bits & ~(unsigned)SECRET_MODE)
		conf_fault(f, s, "mode", "mode: \"%s\": of a secret set it must be 0600 or less",
			set->mode);
	if (set->folder_mode_bits & ~(unsigned)SECRET_FOLDER_MODE)
		conf_fault(f, s, "folder-mode",
			"folder-mode: \"%s\": of a secret set it must be 0700 or less",
			set->folder_mode);
}

/* Commands. */

static void check_validate(struct conf *f, const struct conf_section *s, const char *text)
{
	for (const char *at = text; at && (at = strchr(at, '%')); at += 2) {
		if (at[1] == 'r' || at[1] == '%')
			continue;
		conf_fault(f, s, "validate",
			"validate: \"%%%.1s\": is not known; there are %%r, the folder with the new "
			"files, and %%%%, a percent sign",
			at + 1);
		return;
	}
}

/* A local set is never sent, so nothing ever happens to it. */
static void check_local(struct conf *f, const struct conf_section *s, const struct config_set *set)
{
	static const char *const silent[] = {"writer", "owner", "group", "mode", "folder-mode",
		"symlinks", "validate", "reload", "reload-on", "validate-timeout", "reload-timeout",
		"order", "keep"};

	for (size_t i = 0; set->kind == CONFIG_LOCAL && i < ARRAY_LEN(silent); i++) {
		if (conf_value(s, silent[i]))
			conf_fault(f, s, silent[i],
				"%s: has no meaning for a local set, which is never sent",
				silent[i]);
	}
}

static void read_writer(struct conf *f, const struct conf_section *s, const struct config *c,
	struct config_set *set)
{
	set->writer_given = conf_value(s, "writer");
	if (!set->writer_given)
		set->writer = c->general.role_command ? PLAN_ACTIVE : PLAN_MANUAL;
	else if (set->writer == PLAN_ACTIVE && !c->general.role_command &&
		set->kind != CONFIG_LOCAL)
		conf_fault(f, s, "writer",
			"writer: active needs a role-command in section confsync, to know which "
			"node is active");
}

/* The state directory has a folder for each set, and files whose names begin with a dot. */
void config_read_set(struct conf *f, const struct conf_section *s, struct config *c, char *name)
{
	struct config_set *set = &c->sets[c->set_count++];
	const struct conf_value *paths = conf_value(s, "paths");

	key_init_all(&config_set_keys, set);
	set->name = name;
	conf_apply(f, s, set);
	if (!set->paths.count && !s->torn && (!paths || !paths->count))
		conf_fault(f, s, "paths", "paths: must name a file, a folder or a pattern");
	check_patterns(f, s, "paths", &set->paths, path_pattern_fault);
	check_patterns(f, s, "exclude", &set->exclude, path_exclusion_fault);
	read_modes(f, s, set);
	read_writer(f, s, c, set);
	check_validate(f, s, set->validate);
	check_local(f, s, set);
	if (config_match_init(set) < 0)
		conf_fault(f, s, NULL, "out of memory");
}

void config_free_set(struct config_set *set)
{
	config_match_done(set);
	key_free_all(&config_set_keys, set);
	free(set->name);
}
