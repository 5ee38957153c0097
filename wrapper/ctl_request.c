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
	WITH_WHO = 1 << 9, /* --client, --peer */
	WITH_SET = 1 << 10,
	WITH_WATCH = 1 << 11, /* --watch, --interval */
	WITH_WHEN_IDLE = 1 << 12,
	WITH_DRY_RUN = 1 << 13, /* --dry-run, --offline, --config */
	WITH_BINARY = 1 << 20,
	WITH_WAY = WITH_FORCE | WITH_WHEN_IDLE,
};
enum { WITH_COW = WITH_DESCRIPTION | WITH_SET, WITH_ADD = WITH_READONLY | WITH_COW };

static const struct command {
	const char *cmd;
	int min, max; /* operands */
	unsigned options;
	const char *keys[2]; /* of the operands; "=" before the name of a file */
	bool is_long;
} commands[CTL_ACTIONS] = {
	[CTL_LIST] = {"list", 0, 0, 0, {NULL}, false},
	[CTL_STATUS] = {"status", 0, 0, 0, {NULL}, false},
	[CTL_STATS] = {"stats", 0, 1, WITH_WATCH, {"name"}, false},
	[CTL_METRICS] = {"metrics", 0, 0, 0, {NULL}, false},
	[CTL_LOG_LEVEL] = {"log-level", 1, 1, 0, {"level"}, false},
	[CTL_CLIENTS] = {"clients", 0, 1, 0, {"name"}, false},
	[CTL_EVICT] = {"evict", 1, 1, WITH_FORCE | WITH_WHO, {"name"}, false},
	[CTL_ADD] = {"add-target", 1, 1, WITH_ADD, {"name"}, false},
	[CTL_ADD_TARGET] = {"add-target", 2, 2, WITH_ADD, {"name", "=file"}, false},
	[CTL_ADD_COW] = {"add-cow", 2, 2, WITH_COW, {"name", "=file"}, false},
	[CTL_ADD_PROXY] = {"add-proxy", 5, 6, WITH_ADD | WITH_EXPORTNAME, {"name"}, false},
	[CTL_REMOVE] = {"remove", 1, 1, WITH_WAY, {NULL}, false},
	[CTL_REMOVE_BY_NAME] = {"remove", 1, 1, WITH_WAY, {"name"}, false},
	[CTL_REMOVE_BY_FILE] = {"remove", 1, 1, WITH_WAY, {"=file"}, false},
	[CTL_RELOAD] = {"reload", 0, 0, WITH_WAY | WITH_DRY_RUN, {NULL}, true},
	[CTL_RESIZE] = {"resize", 1, 1, WITH_FORCE, {"name"}, true},
	[CTL_SAVE] = {"save", 0, 0, 0, {NULL}, false},
	[CTL_SHUTDOWN] = {"shutdown", 0, 0, 0, {NULL}, false},
	[CTL_ORPHAN] = {"orphan", 0, 0, 0, {NULL}, false},
	[CTL_UPGRADE] = {"upgrade", 0, 0, WITH_BINARY, {NULL}, true},
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
		{WITH_FORCE, o->force,
			"--force goes with --reload, --resize, --remove, --evict and --bgctl-switch"},
		{WITH_WHEN_IDLE, o->when_idle,
			"--when-idle goes with --reload and commands that remove"},
		{WITH_DRY_RUN, o->dry_run || o->offline || o->config,
			"--dry-run, --offline and --config go with --reload"},
		{WITH_TO, o->to, "--to goes with --snapshot"},
		{WITH_FILES, o->cache || o->bitmap || o->proxy_control,
			"--cache, --bitmap and --control go with --migrate-in"},
		{WITH_VERIFY, o->verify, "--verify goes with --migrate-in"},
		{WITH_HOOK, o->hook, "--hook goes with --migrate-in"},
		{WITH_WHO, o->client || o->peer, "--client and --peer go with --evict"},
		{WITH_BINARY, o->binary, "--binary goes with --upgrade"},
		{WITH_SET, o->set.count, "--set goes with commands that add"},
		{WITH_WATCH, o->watch || o->interval, "--watch and --interval go with --stats"},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i].given && !(allowed & all[i].bit))
			return err_set(err, EINVAL, "%s", all[i].text);
	}
	return 0;
}

/* What keys there are the wrapper knows. */
static int check_settings(const struct opt_list *set, struct err *err)
{
	for (size_t i = 0; i < set->count; i++) {
		if (!strchr(set->items[i], '=') || *set->items[i] == '=')
			return err_set(
				err, EINVAL, "--set %.100s: must be KEY=VALUE", set->items[i]);
	}
	return 0;
}

static int check_way(const struct ctl_options *o, struct err *err)
{
	if (o->force && o->when_idle)
		return err_set(err, EINVAL, "--force and --when-idle exclude each other");
	if (o->offline && (o->force || o->when_idle || o->dry_run))
		return err_set(err, EINVAL,
			"--offline changes nothing, so --force, --when-idle and --dry-run do not go with it");
	if (o->config && !o->offline)
		return err_set(err, EINVAL,
			"--config goes with --offline; a running wrapper reads the file it was started with");
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
	if (o->interval && !o->watch)
		return err_set(err, EINVAL, "--interval goes with --watch");
	c = &commands[o->action];
	ret = check_count(c, *count, err);
	if (ret == 0)
		ret = check_options(o, c->options, err);
	if (ret == 0)
		ret = check_way(o, err);
	if (ret == 0)
		ret = check_settings(&o->set, err);
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
	case CTL_STATS:
		return json_object_set_new(msg, "clients", json_boolean(count > 0 || o->json)) == 0;
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

/* {KEY: [VALUE, ...]}; one more of the same key is one more of a list. */
static bool put_settings(json_t *msg, const struct opt_list *set)
{
	json_t *all = json_object();
	bool ok = set->count == 0 || json_object_set(msg, "settings", all) == 0;

	for (size_t i = 0; ok && i < set->count; i++) {
		const char *value = strchr(set->items[i], '=') + 1;
		CLEANUP_FREE char *key =
			strndup(set->items[i], (size_t)(value - 1 - set->items[i]));
		json_t *list = key ? json_object_get(all, key) : NULL;

		if (key && !list && json_object_set_new(all, key, json_array()) == 0)
			list = json_object_get(all, key);
		ok = list && json_array_append_new(list, json_string(value)) == 0;
	}
	json_decref(all);
	return ok;
}

static bool put_options(json_t *msg, const struct ctl_options *o, unsigned options)
{
	if (options & WITH_READONLY)
		json_object_set_new(msg, "readonly", json_boolean(o->readonly));
	if (o->rate)
		json_object_set_new(msg, "rate", json_integer((json_int_t)o->rate));
	if (o->force)
		json_object_set_new(msg, "force", json_true());
	if (o->when_idle)
		json_object_set_new(msg, "when_idle", json_true());
	if (o->dry_run)
		json_object_set_new(msg, "dry_run", json_true());
	if (o->client)
		json_object_set_new(msg, "client", json_integer((json_int_t)o->client));
	return put(msg, "description", o->description) && put(msg, "peer", o->peer) &&
		put_path(msg, "to", o->to) && put_path(msg, "binary", o->binary) &&
		put_settings(msg, &o->set);
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
