/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From an entry and the wrapper's options to the words of a command line. Operands come behind
 * "--", for names of files and hosts are not ours to choose. Called before each fork of a server.
 */
#include "command.h"

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
	return o->readonly || e->readonly;
}

/* Who may not write needs no layer to write to. */
enum export_kind command_kind(const struct wrapper_options *o, const struct export_entry *e)
{
	if (e->kind == EXPORT_PROXY)
		return EXPORT_PROXY;
	if (command_readonly(o, e))
		return EXPORT_TARGET;
	return o->cow ? EXPORT_COW : e->kind;
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
		add_text(c, "--cow-dir", e->cow_dir ? e->cow_dir : o->cow_dir);
	if (kind == EXPORT_PROXY)
		add_text(c, "--target-exportname", e->exportname);
	if (command_readonly(o, e))
		add(c, "--readonly");
	if (o->direct && kind == EXPORT_TARGET)
		add(c, "--direct"); /* layers and caches need the page cache */
}

static void add_operands(struct command *c, const struct export_entry *e, const char *control)
{
	add(c, "--");
	if (e->kind == EXPORT_PROXY && e->uri) {
		add(c, e->uri);
	} else if (e->kind == EXPORT_PROXY) {
		add(c, e->host);
		add(c, e->port);
	}
	add(c, e->image);
	if (e->kind == EXPORT_PROXY) {
		add(c, e->bitmap);
		add(c, e->control ? e->control : control);
	}
}

void command_build(struct command *c, const char *server, const struct wrapper_options *o,
	const struct export_entry *e, const char *control)
{
	*c = (struct command){0};
	add(c, server);
	add_mode(c, o, e, command_kind(o, e));
	add_text(c, "--control-fd", "3");
	if (o->syslog || (o->daemonize && !o->logpath))
		add(c, "--syslog");
	add_text(c, "--logpath", o->logpath);
	add_text(c, "--engine", o->engine);
	add_number(c, "--busy-poll", o->busy_poll);
	add_number(c, "--max-queue-size", o->max_queue_size);
	add_number(c, "--max-buf-size", o->max_buf_size);
	add_operands(c, e, control);
}
