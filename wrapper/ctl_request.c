/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A row for each command: its name in the protocol, how many operands it takes, which options go
 * with it, and the keys its operands go to. Commands whose operands can be read in more than one
 * way have a function besides.
 */
#include "ctl_request.h"

#include "export.h"
#include "fsutil.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <string.h>

enum { USUAL_MS = 40 * 1000, LONG_MS = 130 * 1000 }; /* a little more than the wrapper waits */

enum { /* options that go with a command */
	WITH_READONLY = 1 << 0,
	WITH_DESCRIPTION = 1 << 1,
	WITH_EXPORTNAME = 1 << 2,
	WITH_RATE = 1 << 3,
	WITH_FORCE = 1 << 4,
	WITH_TO = 1 << 5,
	WITH_FILES = 1 << 6, /* --cache, --bitmap, --control */
	WITH_VERIFY = 1 << 7,
	WITH_HOOK = 1 << 8,
};
enum { WITH_ADD = WITH_READONLY | WITH_DESCRIPTION };

static const struct command {
	const char *cmd;
	int min, max; /* operands */
	unsigned options;
	const char *keys[2]; /* of the operands; "=" before the name of a file */
	bool is_long;
} commands[CTL_ACTIONS] = {
	[CTL_LIST] = {"list", 0, 0, 0, {NULL}, false},
	[CTL_STATUS] = {"status", 0, 0, 0, {NULL}, false},
	[CTL_ADD] = {"add-target", 1, 1, WITH_ADD, {"name"}, false},
	[CTL_ADD_TARGET] = {"add-target", 2, 2, WITH_ADD, {"name", "=file"}, false},
	[CTL_ADD_COW] = {"add-cow", 2, 2, WITH_DESCRIPTION, {"name", "=file"}, false},
	[CTL_ADD_PROXY] = {"add-proxy", 5, 6, WITH_ADD | WITH_EXPORTNAME, {"name"}, false},
	[CTL_REMOVE] = {"remove", 1, 1, 0, {NULL}, false},
	[CTL_REMOVE_BY_NAME] = {"remove", 1, 1, 0, {"name"}, false},
	[CTL_REMOVE_BY_FILE] = {"remove", 1, 1, 0, {"=file"}, false},
	[CTL_SAVE] = {"save", 0, 0, 0, {NULL}, false},
	[CTL_SHUTDOWN] = {"shutdown", 0, 0, 0, {NULL}, false},
	[CTL_ORPHAN] = {"orphan", 0, 0, 0, {NULL}, false},
	[CTL_QUERY] = {"query", 1, 1, 0, {"name"}, false},
	[CTL_CACHE_ALL] = {"cache-all", 1, 1, WITH_RATE, {"name"}, false},
	[CTL_SWITCH] = {"switch", 1, 1, WITH_FORCE, {"name"}, true},
	[CTL_RECONNECT] = {"reconnect", 2, 4, WITH_EXPORTNAME, {"name"}, true},
	[CTL_PAUSE] = {"pause", 1, 1, 0, {"name"}, false},
	[CTL_RESUME] = {"resume", 1, 1, 0, {"name"}, false},
	[CTL_VERIFY] = {"verify", 1, 1, 0, {"name"}, true},
	[CTL_SNAPSHOT] = {"snapshot", 1, 1, WITH_TO, {"name"}, true},
	[CTL_SNAPSHOTS] = {"snapshots", 0, 1, 0, {"name"}, false},
	[CTL_DROP_SNAPSHOT] = {"drop-snapshot", 2, 2, 0, {"name"}, false},
	[CTL_MIGRATE_IN] = {"migrate-in", 2, 2, WITH_RATE | WITH_FILES | WITH_VERIFY | WITH_HOOK,
		{"name", "uri"}, false},
	[CTL_MIGRATE_ABORT] = {"migrate-abort", 1, 1, 0, {"name"}, false},
	[CTL_MIGRATE_STATUS] = {"migrate-status", 0, 1, 0, {"name"}, false},
};

static int check_options(const struct ctl_options *o, unsigned allowed, struct err *err)
{
	const struct {
		unsigned bit;
		bool given;
		const char *text;
	} all[] = {
		{WITH_READONLY, o->readonly,
			"--readonly goes with --add, --add-target, --add-proxy"},
		{WITH_DESCRIPTION, o->description, "--description goes with commands that add"},
		{WITH_EXPORTNAME, o->exportname,
			"--target-exportname goes with --add-proxy and --bgctl-reconnect"},
		{WITH_RATE, o->rate, "--rate goes with --bgctl-cache-all and --migrate-in"},
		{WITH_FORCE, o->force, "--force goes with --bgctl-switch"},
		{WITH_TO, o->to, "--to goes with --snapshot"},
		{WITH_FILES, o->cache || o->bitmap || o->proxy_control,
			"--cache, --bitmap and --control go with --migrate-in"},
		{WITH_VERIFY, o->verify, "--verify goes with --migrate-in"},
		{WITH_HOOK, o->hook, "--hook goes with --migrate-in"},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i].given && !(allowed & all[i].bit))
			return err_set(err, EINVAL, "%s", all[i].text);
	}
	return 0;
}

static int check_count(const struct command *c, int count, struct err *err)
{
	if (count >= c->min && count <= c->max)
		return 0;
	if (c->min == c->max)
		return err_set(err, EINVAL,
			"this command takes %d arguments, %d given (see --help)", c->min, count);
	return err_set(err, EINVAL, "this command takes %d to %d arguments, %d given (see --help)",
		c->min, c->max, count);
}

/* A URI stands for host, port and name. */
static int check_origin(const struct ctl_options *o, char **args, int count, struct err *err)
{
	bool by_uri = o->action == CTL_ADD_PROXY ? count == 5 : count == 2;

	if (o->action != CTL_ADD_PROXY && o->action != CTL_RECONNECT)
		return 0;
	if (by_uri && export_check_uri(args[1], err) < 0)
		return -EINVAL;
	if (o->exportname && (by_uri || count == 4))
		return err_set(err, EINVAL,
			"--target-exportname goes with a host and a port; the name is given already");
	return 0;
}

int ctl_request_check(struct ctl_options *o, char ***args, int *count, struct err *err)
{
	const struct command *c;
	int ret;

	if (o->action == CTL_NONE && *count > 0) {
		o->action = (int)ctl_action_of_word(**args);
		if (o->action == CTL_NONE)
			return err_set(err, EINVAL, "'%s': no such command (see --help)", **args);
		(*args)++;
		(*count)--;
	}
	if (o->action == CTL_NONE)
		return err_set(err, EINVAL, "no command given (see --help)");
	c = &commands[o->action];
	ret = check_count(c, *count, err);
	if (ret == 0)
		ret = check_options(o, c->options, err);
	if (ret == 0)
		ret = check_origin(o, *args, *count, err);
	return ret;
}

/* False: not UTF-8. */
static bool put(json_t *msg, const char *key, const char *text)
{
	return !text || json_object_set_new(msg, key, json_string(text)) == 0;
}

static bool put_path(json_t *msg, const char *key, const char *path)
{
	CLEANUP_FREE char *absolute = path ? fs_absolute(path) : NULL;

	return put(msg, key, absolute ? absolute : path);
}

static bool put_number(json_t *msg, const char *key, const char *text)
{
	uint64_t n;

	return str_number(text, 1, INT64_MAX, &n) == 0 &&
		json_object_set_new(msg, key, json_integer((json_int_t)n)) == 0;
}

/* URI, or HOST PORT; then what is behind it. */
static bool put_origin(json_t *msg, const struct ctl_options *o, char **args, bool by_uri)
{
	if (by_uri)
		return put(msg, "uri", args[0]);
	return put(msg, "host", args[0]) && put(msg, "port", args[1]) &&
		put(msg, "exportname", o->exportname);
}

static bool put_proxy(json_t *msg, const struct ctl_options *o, char **args, int count)
{
	bool by_uri = count == 5;
	char **files = args + (by_uri ? 2 : 3);

	return put_origin(msg, o, args + 1, by_uri) && put_path(msg, "cache", files[0]) &&
		put_path(msg, "bitmap", files[1]) && put_path(msg, "control", files[2]);
}

static bool put_migration(json_t *msg, const struct ctl_options *o)
{
	bool has_folder = o->hook && strchr(o->hook, '/');

	json_object_set_new(msg, "verify", json_boolean(o->verify));
	return put_path(msg, "cache", o->cache) && put_path(msg, "bitmap", o->bitmap) &&
		put_path(msg, "control", o->proxy_control) &&
		(has_folder ? put_path(msg, "hook", o->hook) : put(msg, "hook", o->hook));
}

static bool put_special(json_t *msg, const struct ctl_options *o, char **args, int count)
{
	switch ((enum ctl_action)o->action) {
	case CTL_ADD:
		return put_path(msg, "file", args[0]);
	case CTL_REMOVE:
		return put_number(msg, "index", args[0]);
	case CTL_DROP_SNAPSHOT:
		return put_number(msg, "id", args[1]);
	case CTL_ADD_PROXY:
		return put_proxy(msg, o, args, count);
	case CTL_RECONNECT:
		return put_origin(msg, o, args + 1, count == 2) &&
			(count < 4 || put(msg, "exportname", args[3]));
	case CTL_MIGRATE_IN:
		return put_migration(msg, o);
	default:
		return true;
	}
}

static bool put_operands(json_t *msg, const struct command *c, char **args, int count)
{
	for (int i = 0; i < count && i < (int)ARRAY_LEN(c->keys) && c->keys[i]; i++) {
		const char *key = c->keys[i];
		bool ok = *key == '=' ? put_path(msg, key + 1, args[i]) : put(msg, key, args[i]);

		if (!ok)
			return false;
	}
	return true;
}

static bool put_options(json_t *msg, const struct ctl_options *o, unsigned options)
{
	if (options & WITH_READONLY)
		json_object_set_new(msg, "readonly", json_boolean(o->readonly));
	if (o->rate)
		json_object_set_new(msg, "rate", json_integer((json_int_t)o->rate));
	if (o->force)
		json_object_set_new(msg, "force", json_true());
	return put(msg, "description", o->description) && put_path(msg, "to", o->to);
}

json_t *ctl_request_build(const struct ctl_options *o, char **args, int count)
{
	const struct command *c = &commands[o->action];
	json_t *msg = json_pack("{s:s}", "cmd", c->cmd);

	if (put_operands(msg, c, args, count) && put_options(msg, o, c->options) &&
		put_special(msg, o, args, count))
		return msg;
	json_decref(msg);
	return NULL;
}

int ctl_request_timeout(const struct ctl_options *o)
{
	return commands[o->action].is_long ? LONG_MS : USUAL_MS;
}
