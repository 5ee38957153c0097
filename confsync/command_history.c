/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What there was: history, show and cat. Nothing is asked of the peer. A content of a secret set
 * goes to no pipe and no file by mistake: only to a terminal, for root, who says --secret.
 */
#include "command.h"
#include "log.h"
#include "report.h"
#include "store.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* history */

static bool same(const struct generation *a, const struct generation *b)
{
	return a->number == b->number && memcmp(a->digest, b->digest, MANIFEST_HASH) == 0;
}

static json_t *history_document(const struct generation *g, bool in_force)
{
	return json_pack("{sI so sI ss so sb}", "generation", (json_int_t)g->number, "digest",
		report_hash(g->digest), "time", (json_int_t)g->time, "origin", g->origin, "reason",
		report_text(g->reason), "in-force", in_force);
}

static void history_line(const struct generation *g, bool in_force)
{
	char digest[REPORT_SHORT], time[REPORT_TEXT];

	report_short(g->digest, digest);
	report_time(g->time, time);
	printf("%c %6llu  %s  %s  %-8s  ", in_force ? '*' : ' ', (unsigned long long)g->number,
		digest, time, *g->origin ? g->origin : "-");
	report_line(g->reason, strlen(g->reason));
	putchar('\n');
}

static void history_show(const struct options *o, const struct state *s, const struct state_past *p)
{
	json_t *list = json_array();

	if (s->now.number && o->json)
		json_array_append_new(list, history_document(&s->now, true));
	else if (s->now.number)
		history_line(&s->now, true);
	for (size_t i = 0; i < p->count; i++) {
		if (same(&p->items[i], &s->now))
			continue;
		if (o->json)
			json_array_append_new(list, history_document(&p->items[i], false));
		else
			history_line(&p->items[i], false);
	}
	if (o->json)
		report_json(json_pack("{ss sO}", "set", s->set->name, "history", list));
	json_decref(list);
}

int command_history(const struct options *o, const struct config *c)
{
	struct state_past past = {0};
	struct err err = {0};
	struct state s;
	int ret = command_open(o, c, &s);

	if (ret != COMMAND_DONE)
		return ret;
	if (state_history(&s, &past, &err) < 0) {
		ret = command_fail(s.set, &err);
	} else {
		history_show(o, &s, &past);
		state_past_done(&past);
	}
	state_close(&s);
	return ret;
}

/* show */

static void show_entry(const struct entry *e)
{
	char digest[REPORT_SHORT] = "-";

	if (e->type == MANIFEST_FILE)
		report_short(e->hash, digest);
	printf("%c %04o %-8s %-8s %10llu %-8s ", (char)e->type, e->mode, e->owner, e->group,
		(unsigned long long)e->size, digest);
	report_line(e->path, strlen(e->path));
	if (e->type == MANIFEST_LINK) {
		fputs(" -> ", stdout);
		report_line(e->target, strlen(e->target));
	}
	putchar('\n');
}

static json_t *entry_document(const struct entry *e)
{
	json_t *d = json_object();
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", e->mode);
	json_object_set_new(d, "path", report_text(e->path));
	json_object_set_new(d, "type",
		json_string(e->type == MANIFEST_FILE         ? "file"
				: e->type == MANIFEST_FOLDER ? "folder"
							     : "link"));
	json_object_set_new(d, "mode", json_string(mode));
	json_object_set_new(d, "owner", report_text(e->owner));
	json_object_set_new(d, "group", report_text(e->group));
	json_object_set_new(d, "attributes", json_integer((json_int_t)e->attr_count));
	if (e->type == MANIFEST_FILE) {
		json_object_set_new(d, "size", json_integer((json_int_t)e->size));
		json_object_set_new(d, "sha256", report_hash(e->hash));
	}
	if (e->type == MANIFEST_LINK)
		json_object_set_new(d, "target", report_text(e->target));
	return d;
}

static void show_files(const struct options *o, const struct generation *g)
{
	json_t *d, *list = json_array();

	for (size_t i = 0; i < g->files.count; i++) {
		if (o->json)
			json_array_append_new(list, entry_document(&g->files.entries[i]));
		else
			show_entry(&g->files.entries[i]);
	}
	if (o->json) {
		d = history_document(g, false);
		json_object_del(d, "in-force");
		json_object_set(d, "files", list);
		report_json(d);
	}
	json_decref(list);
}

/* RET is to be initialised. */
static int find(struct state *s, const char *which, struct generation *ret, struct err *err)
{
	if (which)
		return state_past(s, which, ret, err);
	if (!s->now.number)
		return err_set(
			err, ENOENT, "there is no generation yet: it was never synchronised");
	return generation_copy(ret, &s->now) < 0 ? err_sys(err, ENOMEM, "generation") : 0;
}

int command_show(const struct options *o, const struct config *c)
{
	struct generation g;
	struct err err = {0};
	struct state s;
	int ret = command_open(o, c, &s);

	if (ret != COMMAND_DONE)
		return ret;
	generation_init(&g);
	if (find(&s, o->operand_count > 1 ? o->operands[1] : NULL, &g, &err) < 0)
		ret = command_fail(s.set, &err);
	else
		show_files(o, &g);
	generation_done(&g);
	state_close(&s);
	return ret;
}

/* cat */

static int may_show(const struct options *o, const struct config_set *set, struct err *err)
{
	if (set->kind != CONFIG_SECRET)
		return 0;
	if (!o->secret)
		return err_set(err, EPERM, "is secret; with --secret root sees it on a terminal");
	if (geteuid() != 0 || !isatty(STDOUT_FILENO))
		return err_set(err, EPERM, "is secret: only for root, on a terminal");
	return 0;
}

/* To people line by line, else as it is. */
static int put_out(int fd)
{
	CLEANUP_FREE char *line = NULL;
	size_t room = 0;
	ssize_t n;
	FILE *in = fdopen(fd, "r");

	if (!in) {
		close(fd);
		return -errno;
	}
	rewind(in);
	while ((n = getline(&line, &room, in)) > 0) {
		bool end = line[n - 1] == '\n';

		if (isatty(STDOUT_FILENO)) {
			report_line(line, (size_t)n - end);
			putchar('\n');
		} else {
			fwrite(line, 1, (size_t)n, stdout);
		}
	}
	if (line)
		explicit_bzero(line, room);
	fclose(in);
	return 0;
}

static int cat(
	const struct options *o, struct state *s, const struct generation *g, struct err *err)
{
	const struct entry *e = manifest_find(&g->files, o->operands[2]);
	int fd, r;

	if (!e || e->type != MANIFEST_FILE)
		return err_set(err, ENOENT, "%.300s: no file of that generation", o->operands[2]);
	fd = memfd_create("xnbd-confsync", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "memory");
	r = store_copy_to(s->objects, e->hash, e->size, fd, err);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = put_out(fd);
	return r < 0 ? err_sys(err, -r, "content") : 0;
}

int command_cat(const struct options *o, const struct config *c)
{
	struct generation g;
	struct err err = {0};
	struct state s;
	int r, ret = command_open(o, c, &s);

	if (ret != COMMAND_DONE)
		return ret;
	generation_init(&g);
	r = may_show(o, s.set, &err);
	if (r == 0)
		r = find(&s, o->operands[1], &g, &err);
	if (r == 0)
		r = cat(o, &s, &g, &err);
	if (r < 0)
		ret = command_fail(s.set, &err);
	generation_done(&g);
	state_close(&s);
	return ret;
}
