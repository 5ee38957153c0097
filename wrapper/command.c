/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From an entry and the wrapper's options to the words of a command line. Operands come behind
 * "--", for names of files and hosts are not ours to choose. Called before each fork of a server.
 */
#include "command.h"

#include "log.h"

#include <stdio.h>

static void add(struct command *c, const char *word)
{
	c->argv[c->count++] = (char *)(uintptr_t)word;
}

static void add_text(struct command *c, const char *option, const char *value)
{
	if (!value)
		return;
	add(c, option);
	add(c, value);
}

static void add_number(struct command *c, const char *option, uint64_t value)
{
	char *text = c->numbers[c->number_count++];

	snprintf(text, sizeof(c->numbers[0]), "%llu", (unsigned long long)value);
	add_text(c, option, text);
}

bool command_readonly(const struct wrapper_options *o, const struct export_entry *e)
{
	return o->readonly || e->config.readonly;
}

/* Who may not write needs no layer to write to. */
enum export_kind command_kind(const struct wrapper_options *o, const struct export_entry *e)
{
	if (e->config.kind == EXPORT_PROXY)
		return EXPORT_PROXY;
	if (command_readonly(o, e))
		return EXPORT_TARGET;
	return o->cow ? EXPORT_COW : e->config.kind;
}

static void add_mode(struct command *c, const struct wrapper_options *o,
	const struct export_entry *e, enum export_kind kind)
{
	static const char *const modes[] = {
		[EXPORT_TARGET] = "--target",
		[EXPORT_COW] = "--cow-target",
		[EXPORT_PROXY] = "--proxy",
	};

	add(c, modes[kind]);
	if (kind == EXPORT_COW)
		add_text(c, "--cow-dir", e->config.cow_dir ? e->config.cow_dir : o->cow_dir);
	if (kind == EXPORT_PROXY)
		add_text(c, "--target-exportname", e->config.exportname);
	if (command_readonly(o, e))
		add(c, "--readonly");
	if (o->direct && kind == EXPORT_TARGET)
		add(c, "--direct"); /* layers and caches need the page cache */
}

static void add_operands(struct command *c, const struct export_entry *e, const char *control)
{
	add(c, "--");
	if (e->config.kind == EXPORT_PROXY && e->config.uri) {
		add(c, e->config.uri);
	} else if (e->config.kind == EXPORT_PROXY) {
		add(c, e->config.host);
		add(c, e->config.port);
	}
	add(c, e->config.image);
	if (e->config.kind == EXPORT_PROXY) {
		add(c, e->config.bitmap);
		add(c, e->config.control ? e->config.control : control);
	}
}

/* 0 = not given: the server knows best. */
static void add_given(struct command *c, const char *option, uint64_t value)
{
	if (value)
		add_number(c, option, value);
}

/* Keys of the export that the server's options are named after. */
static void add_settings(struct command *c, const struct wrapper_options *o,
	const struct export_config *e, enum export_kind kind)
{
	if (kind == EXPORT_COW)
		add_given(c, "--cow-block", e->cow_block);
	if (kind == EXPORT_PROXY) {
		add_given(c, "--origin-timeout", e->origin_timeout);
		add_given(c, "--origin-wait", e->origin_wait);
		add_given(c, "--origin-connections", e->origin_connections);
	}
	add_given(c, "--threads", e->threads);
	add_given(c, "--block-min", e->block_min);
	add_given(c, "--block-preferred", e->block_preferred);
	add_given(c, "--block-max", e->block_max);
	add_given(c, "--idle-timeout", e->idle_timeout ? e->idle_timeout : o->idle_timeout);
	add_given(c, "--limit-requests", e->limit_requests);
	add_given(c, "--limit-bandwidth", e->limit_bandwidth);
}

/* As we log ourselves, at the level we have now. */
static void add_log(struct command *c, const struct wrapper_options *o)
{
	if (o->syslog || (o->daemonize && !o->logpath && !o->journal))
		add(c, "--syslog");
	if (o->journal)
		add(c, "--journal");
	add_text(c, "--logpath", o->logpath);
	add_text(c, "--log-level", log_level_name(log_level_now()));
}

void command_build(struct command *c, const char *server, const struct wrapper_options *o,
	const struct export_entry *e, const char *control)
{
	*c = (struct command){0};
	add(c, server);
	add_mode(c, o, e, command_kind(o, e));
	add_text(c, "--export-name", e->config.name);
	add_text(c, "--control-fd", "3");
	add_log(c, o);
	add_text(c, "--engine", o->engine);
	add_number(c, "--busy-poll", o->busy_poll);
	add_number(c, "--max-queue-size", o->max_queue_size);
	add_number(c, "--max-buf-size", o->max_buf_size);
	add_settings(c, o, &e->config, command_kind(o, e));
	add_operands(c, e, control);
}
