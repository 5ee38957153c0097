/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Defaults, nfs.conf, command line, in this order. The keys of nfs.conf are rows of a table; what
 * is wrong with a value is said with section and key.
 */
#include "settings.h"

#include "log.h"
#include "str.h"
#include "util.h"

#include <string.h>
#include <strings.h>

enum { RETRY_MINUTES = 15, MINUTES_MAX = 1000000, RPCBIND_PORT = 111 };

enum kind { KIND_BOOL, KIND_MINUTES, KIND_PORT, KIND_TEXT, KIND_DEBUG };

static const struct key {
	const char *section, *name;
	enum kind kind;
	size_t offset; /* in struct settings */
} keys[] = {
	{"statd", "state-directory-path", KIND_TEXT, offsetof(struct settings, directory)},
	{"sm-notify", "retry-time", KIND_MINUTES, offsetof(struct settings, retry_ms)},
	{"sm-notify", "outgoing-port", KIND_PORT, offsetof(struct settings, outgoing_port)},
	{"sm-notify", "outgoing-addr", KIND_TEXT, offsetof(struct settings, outgoing_addr)},
	{"sm-notify", "lift-grace", KIND_BOOL, offsetof(struct settings, lift_grace)},
	{"sm-notify", "force", KIND_BOOL, offsetof(struct settings, force)},
	{"sm-notify", "update-state", KIND_BOOL, offsetof(struct settings, update_state)},
	{"sm-notify", "debug", KIND_DEBUG, offsetof(struct settings, debug)},
};

static bool is_one_of(const char *text, const char *const *list)
{
	for (; *list; list++) {
		if (strcasecmp(text, *list) == 0)
			return true;
	}
	return false;
}

static bool take_bool(const char *text, bool *ret)
{
	static const char *const yes[] = {"1", "t", "true", "y", "yes", "on", NULL};
	static const char *const no[] = {"0", "f", "false", "n", "no", "off", NULL};

	if (!is_one_of(text, yes) && !is_one_of(text, no))
		return false;
	*ret = is_one_of(text, yes);
	return true;
}

/* The reference has several kinds of messages, here they are one. */
static bool take_debug(const char *text, bool *ret)
{
	static const char *const kinds[] = {"general", "call", "auth", "parse", "all", NULL};

	if (!is_one_of(text, kinds))
		return take_bool(text, ret);
	*ret = true;
	return true;
}

static bool take_minutes(const char *text, uint64_t *ret)
{
	uint64_t minutes;

	if (str_number(text, 0, MINUTES_MAX, &minutes) < 0)
		return false;
	*ret = minutes * 60 * 1000;
	return true;
}

static bool take_port(const char *text, uint16_t *ret)
{
	uint64_t port;

	if (str_number(text, 1, UINT16_MAX, &port) < 0)
		return false;
	*ret = (uint16_t)port;
	return true;
}

static bool take(const struct key *key, const char *text, void *field)
{
	switch (key->kind) {
	case KIND_BOOL:
		return take_bool(text, field);
	case KIND_DEBUG:
		return take_debug(text, field);
	case KIND_MINUTES:
		return take_minutes(text, field);
	case KIND_PORT:
		return take_port(text, field);
	case KIND_TEXT:
		*(const char **)field = text;
		return true;
	}
	return false;
}

static const char *wanted(enum kind kind)
{
	switch (kind) {
	case KIND_BOOL:
		return "y or n";
	case KIND_DEBUG:
		return "all, general, call, auth, parse or n";
	case KIND_MINUTES:
		return "minutes, from 0 to 1000000";
	case KIND_PORT:
		return "a port number";
	case KIND_TEXT:
		break;
	}
	return "a text";
}

static void apply_conf(struct settings *s, const struct nfsconf *conf)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const struct key *key = &keys[i];
		const char *text = nfsconf_get(conf, key->section, key->name);

		if (text && *text && !take(key, text, (char *)s + key->offset))
			log_error("nfs.conf: [%s] %s = %s: should be %s; the default is used",
				key->section, key->name, text, wanted(key->kind));
	}
}

static bool is_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(keys[i].section, "sm-notify") == 0 &&
			strcasecmp(keys[i].name, name) == 0)
			return true;
	}
	return false;
}

/* A misspelt key would be as bad as a wrong value. */
static void report_unknown(const struct nfsconf *conf)
{
	for (size_t i = 0; i < conf->count; i++) {
		const struct nfsconf_entry *e = &conf->entries[i];

		if (strcasecmp(e->section, "sm-notify") == 0 && !is_known(e->key))
			log_warn("nfs.conf: [sm-notify] %s: there is no such key", e->key);
	}
}

static void apply_texts(struct settings *s, const struct options *o)
{
	const struct {
		const char **field, *text;
	} texts[] = {
		{&s->directory, o->directory},
		{&s->outgoing_addr, o->outgoing_addr},
		{&s->run_dir, o->run_dir},
		{&s->proc_root, o->proc_root},
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].text)
			*texts[i].field = texts[i].text;
	}
}

static void apply_options(struct settings *s, const struct options *o)
{
	apply_texts(s, o);
	if (o->retry_minutes != UINT64_MAX)
		s->retry_ms = o->retry_minutes * 60 * 1000;
	if (o->retry_seconds != UINT64_MAX)
		s->retry_ms = o->retry_seconds * 1000;
	if (o->outgoing_port)
		s->outgoing_port = (uint16_t)o->outgoing_port;
	if (o->rpcbind_port)
		s->rpcbind_port = (uint16_t)o->rpcbind_port;
	if (o->lift_grace != OPTIONS_NOT_GIVEN)
		s->lift_grace = o->lift_grace == OPTIONS_YES;
	s->force |= o->force;
	s->debug |= o->debug;
	s->update_state &= !o->no_update_state;
	s->kernel_state &= !o->no_kernel_state;
	s->foreground |= o->foreground || o->debug;
	s->no_consume = o->no_consume;
	s->list = o->list;
	s->dry_run = o->dry_run;
	s->json = o->json;
}

void settings_build(struct settings *s, const struct options *o, const struct nfsconf *conf)
{
	*s = (struct settings){
		.update_state = true,
		.kernel_state = true,
		.lift_grace = true,
		.retry_ms = (uint64_t)RETRY_MINUTES * 60 * 1000,
		.directory = SETTINGS_DIRECTORY,
		.rpcbind_port = RPCBIND_PORT,
		.run_dir = SETTINGS_RUN_DIR,
		.proc_root = SETTINGS_PROC_ROOT,
	};
	apply_conf(s, conf);
	report_unknown(conf);
	apply_options(s, o);
}
