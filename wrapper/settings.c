/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Command line and file; see settings.h. The command line is read twice: to find the file, and then
 * once more over what the file says.
 */
#include "settings.h"

#include "fsutil.h"
#include "log.h"
#include "nbd.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const engines[] = {"auto", "io_uring", "threads"};

/* From the file to the options. GIVEN: the command line by itself, without defaults. */

static void apply_log(const struct wrapper_config *w, struct wrapper_options *o)
{
	for (size_t i = 0; i < w->log.count; i++) {
		const char *text = w->log.items[i];

		if (*text == '/')
			o->logpath = text;
		o->syslog = o->syslog || strcmp(text, "syslog") == 0;
		o->journal = o->journal || strcmp(text, "journal") == 0;
	}
}

static void apply_listen(const struct wrapper_config *w, struct wrapper_options *o)
{
	for (size_t i = 0; i < w->listen.count && i < OPT_LIST_MAX; i++)
		o->listen.items[o->listen.count++] = w->listen.items[i];
}

static void apply_text(const char **field, const char *text)
{
	if (text)
		*field = text;
}

static void apply_limits(const struct wrapper_config *w, struct wrapper_options *o)
{
	o->max_clients = w->max_clients;
	o->max_clients_per_peer = w->max_clients_per_peer;
	o->handshake_timeout = w->handshake_timeout;
	o->idle_timeout = w->idle_timeout;
	o->poll_sizes = w->poll_sizes;
	o->busy_poll = w->busy_poll;
	o->max_queue_size = w->max_queue_size;
	o->max_buf_size = w->max_buf_size;
}

static void apply(const struct wrapper_config *w, const struct wrapper_options *given,
	struct wrapper_options *o)
{
	if (!given->logpath && !given->syslog && !given->journal)
		apply_log(w, o);
	if (!given->laddr.count && !given->sockets.count && !given->lport)
		apply_listen(w, o);
	apply_text(&o->control, w->control);
	apply_text(&o->dbpath, w->state_file);
	apply_text(&o->server, w->server);
	apply_text(&o->cow_dir, w->cow_dir);
	apply_text(&o->user, w->user);
	apply_text(&o->group, w->group);
	apply_text(&o->control_group, w->control_group);
	apply_text(&o->metrics, w->metrics);
	o->log_level = log_level_name((enum log_level)w->log_level);
	if (w->engine)
		o->engine = engines[w->engine];
	o->readonly = w->readonly;
	o->cow = w->cow;
	o->direct = w->direct;
	apply_limits(w, o);
}

/* Names that depend on others. */

static int derive(struct settings *s, const struct wrapper_options *given, struct err *err)
{
	const struct wrapper_config *w = &s->config.wrapper;
	struct wrapper_options *o = &s->options;
	int r = 0;

	if (w->run_directory && !w->control && !given->control) {
		r = asprintf(&s->control, "%s/wrapper.ctl", w->run_directory);
		o->control = r < 0 ? NULL : s->control;
	}
	if (r >= 0)
		r = w->run_directory ? asprintf(&s->run_folder, "%s/%s.d", w->run_directory,
					       str_base_name(o->control))
				     : asprintf(&s->run_folder, "%s.d", o->control);
	o->run_folder = r < 0 ? NULL : s->run_folder;
	return r < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

int settings_read(int argc, char **argv, struct settings *ret, int *ret_rest, struct conf *faults,
	struct err *err)
{
	struct wrapper_options given = {0}, *o = &ret->options;
	int r = opt_parse(&wrapper_option_set, argc, argv, &given, ret_rest, err);

	*ret = (struct settings){.argc = argc, .argv = argv};
	*faults = (struct conf){0};
	wrapper_options_default(o);
	if (r < 0)
		return r;
	if (given.check && !given.config)
		given.config = CONFIG_DEFAULT;
	if (given.config && config_read(given.config, &ret->config, faults) < 0)
		r = -EBADMSG;
	else if (given.config)
		apply(&ret->config.wrapper, &given, o);
	opt_parse(&wrapper_option_set, argc, argv, o, ret_rest, err);
	o->config = given.config;
	if (derive(ret, &given, err) < 0)
		return -EINVAL;
	return r;
}

/* What WRAPPER_KEY_LIVE stands for. */
static void take_live(struct wrapper_options *to, const struct wrapper_options *from)
{
	to->server = from->server;
	to->log_level = from->log_level;
	to->max_clients = from->max_clients;
	to->max_clients_per_peer = from->max_clients_per_peer;
	to->handshake_timeout = from->handshake_timeout;
	to->idle_timeout = from->idle_timeout;
	to->poll_sizes = from->poll_sizes;
	to->readonly = from->readonly;
	to->cow = from->cow;
	to->direct = from->direct;
	to->cow_dir = from->cow_dir;
	to->engine = from->engine;
	to->busy_poll = from->busy_poll;
	to->max_queue_size = from->max_queue_size;
	to->max_buf_size = from->max_buf_size;
}

int settings_reread(
	const struct settings *before, struct settings *ret, struct conf *faults, struct err *err)
{
	struct wrapper_options given = {0}, fresh;
	int rest;

	*ret = (struct settings){.argc = before->argc, .argv = before->argv};
	*faults = (struct conf){0};
	ret->options = before->options;
	if (config_read(before->options.config, &ret->config, faults) < 0)
		return err_set(err, EBADMSG, "the configuration has faults");
	opt_parse(&wrapper_option_set, ret->argc, ret->argv, &given, &rest, err);
	wrapper_options_default(&fresh);
	apply(&ret->config.wrapper, &given, &fresh);
	opt_parse(&wrapper_option_set, ret->argc, ret->argv, &fresh, &rest, err);
	/* Those paths were made absolute, in another folder perhaps. */
	if (given.server)
		fresh.server = before->options.server;
	if (given.cow_dir)
		fresh.cow_dir = before->options.cow_dir;
	take_live(&ret->options, &fresh);
	return 0;
}

void settings_done(struct settings *s)
{
	config_free(&s->config);
	free(s->control);
	free(s->run_folder);
	s->control = s->run_folder =
		NULL; /* settled paths of options stay, for nobody frees them */
}

void settings_settle_paths(struct wrapper_options *o)
{
	fs_settle(&o->control);
	fs_settle(&o->run_folder);
	fs_settle(&o->config);
	fs_settle(&o->dbpath);
	fs_settle(&o->logpath);
	fs_settle(&o->cow_dir);
	if (o->server && strchr(o->server, '/'))
		fs_settle(&o->server);
	for (size_t i = 0; i < o->sockets.count; i++)
		fs_settle(&o->sockets.items[i]);
}

/* From the options to a configuration. */

struct filling {
	struct wrapper_config *w;
	struct err *err;
	int ret;
};

static void put_list(struct filling *f, const char *name, const char *const *texts, size_t count)
{
	struct err why = {0};

	if (f->ret == 0 && key_set(key_find(&wrapper_keys, name), f->w, texts, count, &why) < 0)
		f->ret = err_set(f->err, EINVAL, "%s: %s", name, why.text);
}

static void put(struct filling *f, const char *name, const char *text)
{
	if (text)
		put_list(f, name, &text, 1);
}

static void put_number(struct filling *f, const char *name, uint64_t n)
{
	char text[32];

	/* What a key has by default may be a number that it cannot be set to. */
	if (n == key_find(&wrapper_keys, name)->initial) {
		key_clear(key_find(&wrapper_keys, name), f->w);
		return;
	}
	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	put(f, name, text);
}

static void put_flag(struct filling *f, const char *name, bool flag)
{
	put(f, name, flag ? "true" : "false");
}

static void put_log(struct filling *f, const struct wrapper_options *o)
{
	const char *texts[3];
	size_t count = 0;

	if (o->syslog)
		texts[count++] = "syslog";
	if (o->journal)
		texts[count++] = "journal";
	if (o->logpath)
		texts[count++] = o->logpath;
	put_list(f, "log", texts, count);
}

static bool is_everywhere(const struct wrapper_options *o)
{
	return !o->laddr.count && !o->sockets.count;
}

static void put_options_listen(struct filling *f, const struct wrapper_options *o)
{
	char places[OPT_LIST_MAX][300];
	const char *texts[2 * OPT_LIST_MAX];
	size_t count = 0;

	if (is_everywhere(o) && o->lport != NBD_DEFAULT_PORT) {
		snprintf(places[0], sizeof(places[0]), "*:%llu", (unsigned long long)o->lport);
		texts[count++] = places[0];
	}
	for (size_t i = 0; i < o->laddr.count; i++) {
		bool brackets = strchr(o->laddr.items[i], ':');

		snprintf(places[i], sizeof(places[i]), "%s%.255s%s:%llu", brackets ? "[" : "",
			o->laddr.items[i], brackets ? "]" : "", (unsigned long long)o->lport);
		texts[count++] = places[i];
	}
	for (size_t i = 0; i < o->sockets.count; i++)
		texts[count++] = o->sockets.items[i];
	put_list(f, "listen", texts, count);
}

/* Those that have no option are there already. */
static void put_all(struct filling *f, const struct wrapper_options *o)
{
	if (!o->listen.count)
		put_options_listen(f, o);
	put_log(f, o);
	put(f, "control", o->control);
	put(f, "state-file", o->dbpath);
	put(f, "xnbd-server", o->server);
	put(f, "log-level", o->log_level);
	put(f, "metrics", o->metrics);
	put(f, "cow-dir", o->cow_dir);
	put(f, "engine", o->engine);
	put_flag(f, "readonly", o->readonly);
	put_flag(f, "cow", o->cow);
	put_flag(f, "direct", o->direct);
	put_number(f, "max-clients", o->max_clients);
	put_number(f, "max-clients-per-peer", o->max_clients_per_peer);
	put_number(f, "busy-poll", o->busy_poll);
	put_number(f, "max-queue-size", o->max_queue_size);
	put_number(f, "max-buf-size", o->max_buf_size);
}

static int copy_exports(const struct settings *s, struct config *ret, struct err *err)
{
	const struct opt_list *images = &s->options.imgfiles;

	ret->exports = calloc(s->config.count + images->count + 1, sizeof(*ret->exports));
	if (!ret->exports)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < images->count; i++) {
		CLEANUP_FREE char *path = fs_absolute(images->items[i]);
		const struct export_config c = {.name = images->items[i], .image = path};

		if (!path || export_config_copy(&ret->exports[ret->count++], &c) < 0)
			return err_set(err, EINVAL, "--imgfile: must be the path of a file");
	}
	for (size_t i = 0; i < s->config.count; i++) {
		if (export_config_copy(&ret->exports[ret->count++], &s->config.exports[i]) < 0)
			return err_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

int settings_effective(const struct settings *s, struct config *ret, struct err *err)
{
	struct config c = {0};
	struct filling f = {&c.wrapper, err, 0};

	if (s->options.config)
		f.ret = key_copy_all(&wrapper_keys, &c.wrapper, &s->config.wrapper);
	else
		key_init_all(&wrapper_keys, &c.wrapper);
	if (f.ret < 0)
		return err_set(err, ENOMEM, "out of memory");
	put_all(&f, &s->options);
	if (f.ret == 0)
		f.ret = copy_exports(s, &c, err);
	if (f.ret < 0)
		config_free(&c);
	else
		*ret = c;
	return f.ret;
}
