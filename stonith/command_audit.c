/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `xnbd-stonith audit`: is the chain of the log whole, and what are its last lines? And `confirm`,
 * which is in the log too.
 */
#include "audit.h"
#include "command.h"
#include "confirm.h"
#include "lease.h"
#include "log.h"
#include "report.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The last lines of a log, in a ring. */
struct tail {
	char **lines;
	size_t room, seen;
};

static bool keep_line(void *arg, const char *line, size_t len)
{
	struct tail *t = arg;
	char **place;

	if (t->room == 0)
		return false;
	place = &t->lines[t->seen++ % t->room];
	free(*place);
	*place = strndup(line, len);
	return *place;
}

/* The N-th of those kept, oldest first; NULL: no more. */
static const char *tail_line(const struct tail *t, size_t n)
{
	size_t kept = MIN_OF(t->seen, t->room);

	return n < kept ? t->lines[(t->seen - kept + n) % t->room] : NULL;
}

static void tail_free(struct tail *t)
{
	for (size_t i = 0; t->lines && i < t->room; i++)
		free(t->lines[i]);
	free(t->lines);
}

static const char *text_of(const json_t *line, const char *member)
{
	const char *text = json_string_value(json_object_get(line, member));

	return text ? text : "-";
}

static void print_line(const char *text)
{
	json_t *line = json_loads(text, 0, NULL);
	const char *reason = json_string_value(json_object_get(line, "reason"));

	printf("%s %s %s %s by %s", text_of(line, "time"), text_of(line, "victim"),
		text_of(line, "action"), text_of(line, "event"), text_of(line, "who"));
	if (reason)
		printf(" (%s)", reason);
	if (json_object_get(line, "outcome"))
		printf(": %s: %s", text_of(line, "outcome"), text_of(line, "text"));
	putchar('\n');
	json_decref(line);
}

/* Log files, oldest first, and what was found in those looked at: up to the first that is bad. */
struct logs {
	const char *current; /* as configured */
	char *const *paths;
	size_t count, checked;
	struct audit_check *checks;
};

static bool is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Each goes on where the one before ended. */
static int check_files(struct logs *l, const char *known, struct err *err)
{
	while (l->checked < l->count) {
		size_t i = l->checked;
		bool current = i + 1 == l->count && is_same_file(l->paths[i], l->current);
		int ret = audit_verify(l->paths[i], i ? &l->checks[i - 1].last : NULL, known,
			current, &l->checks[i], err);

		if (ret < 0)
			return ret;
		l->checked++;
		if (l->checks[i].why[0])
			break;
	}
	return 0;
}

/* All of them as one; what is bad, and the end, are of the last one looked at. */
static struct audit_check sum(const struct logs *l)
{
	struct audit_check all = l->checks[l->checked - 1];

	for (size_t i = 0; i + 1 < l->checked; i++) {
		all.lines += l->checks[i].lines;
		all.torn += l->checks[i].torn + l->checks[i].torn_tail;
		all.lost += l->checks[i].lost;
		all.known_found = all.known_found || l->checks[i].known_found;
	}
	return all;
}

static json_t *check_document(const struct logs *l, const struct tail *t, bool good)
{
	json_t *d = json_object(), *list = json_array();
	struct audit_check a = sum(l);
	const char *line;

	json_object_set_new(d, "good", json_boolean(good));
	json_object_set_new(d, "lines", json_integer((json_int_t)a.lines));
	json_object_set_new(d, "torn", json_integer((json_int_t)a.torn + a.torn_tail));
	json_object_set_new(d, "lost", json_integer((json_int_t)a.lost));
	json_object_set_new(d, "file", json_string(l->paths[l->checked - 1]));
	json_object_set_new(d, "bad-line", json_integer((json_int_t)a.bad_line));
	json_object_set_new(d, "why", json_string(a.why));
	json_object_set_new(d, "last", json_string(a.last.hash));
	for (size_t i = 0; (line = tail_line(t, i)); i++)
		json_array_append_new(list, json_loads(line, 0, NULL));
	json_object_set_new(d, "log", list);
	return d;
}

static void say_check(const struct audit_check *a, const char *path)
{
	if (a->why[0])
		log_error("%s: %s", path, a->why);
	if (a->torn || a->torn_tail)
		log_warn("%s: %llu lines were cut off by a crash", path,
			(unsigned long long)a->torn + a->torn_tail);
	if (a->lost)
		log_warn("%s: %llu lines are missing", path, (unsigned long long)a->lost);
}

static void print_check(const struct audit_check *a, const char *path)
{
	if (!a->why[0])
		printf("%s: %llu lines, the chain is whole, last %s\n", path,
			(unsigned long long)a->lines, a->last.seq ? a->last.hash : "none");
}

static bool report_checks(const struct options *o, const struct logs *l, const struct tail *t)
{
	struct audit_check a = sum(l);
	bool good = !a.why[0] && (!o->known || a.known_found);
	const char *line;

	for (size_t i = 0; i < l->checked; i++)
		say_check(&l->checks[i], l->paths[i]);
	for (size_t i = l->checked; i < l->count; i++)
		log_warn("%s: was not looked at", l->paths[i]);
	if (o->known && !a.known_found)
		log_error("%s: no line has the hash %.64s", l->paths[l->checked - 1], o->known);
	for (size_t i = 0; !o->json && (line = tail_line(t, i)); i++)
		print_line(line);
	for (size_t i = 0; !o->json && i < l->checked; i++)
		print_check(&l->checks[i], l->paths[i]);
	if (o->json)
		report_json(check_document(l, t, good));
	return good;
}

static int show_logs(const struct options *o, struct logs *l)
{
	struct tail t = {.lines = calloc(o->lines + 1, sizeof(char *)), .room = o->lines};
	struct err err = {0};
	int ret = -ENOMEM;
	bool good = false;

	if (!t.lines || !l->checks)
		err_set(&err, ENOMEM, "out of memory");
	else
		ret = check_files(l, o->known, &err);
	for (size_t i = 0; ret == 0 && i < l->count; i++)
		ret = audit_each(l->paths[i], keep_line, &t, &err);
	if (ret == 0)
		good = report_checks(o, l, &t);
	else
		command_fail(&err);
	tail_free(&t);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int command_audit(const struct options *o, const struct config *c)
{
	char *own[] = {(char *)(uintptr_t)c->general.audit_log};
	struct logs l = {.current = c->general.audit_log,
		.paths = o->operand ? o->operands : own,
		.count = o->operand ? o->operand_count : 1};
	int status;

	l.checks = calloc(l.count, sizeof(*l.checks));
	status = show_logs(o, &l);
	free(l.checks);
	return status;
}

/* Confirmations. */

static void who_confirms(char *ret, size_t room)
{
	char tty[64] = "";

	if (ttyname_r(STDIN_FILENO, tty, sizeof(tty)) != 0)
		tty[0] = 0;
	snprintf(ret, room, "uid %u%s%s", getuid(), tty[0] ? " on " : "", tty);
}

static int note_in_log(const struct options *o, const struct config *c, const struct config_node *n,
	const char *who, struct err *err)
{
	struct audit *a = audit_new(c->general.audit_log);
	json_t *e = json_object();
	char reason[256] = "";
	int ret;

	if (o->reason)
		str_printable(reason, sizeof(reason), o->reason, strlen(o->reason));
	json_object_set_new(e, "event", json_string(o->withdraw ? "withdraw" : "confirm"));
	json_object_set_new(e, "victim", json_string(n->name));
	json_object_set_new(e, "action", json_string(o->on ? "on" : "off"));
	json_object_set_new(e, "who", json_string(who));
	json_object_set_new(e, "reason", o->reason ? json_string(reason) : json_null());
	ret = a ? audit_append(a, e, NULL, err) : err_set(err, ENOMEM, "out of memory");
	json_decref(e);
	audit_free(a);
	return ret;
}

static int refuse(const struct options *o, const struct config_node *n, struct err *err)
{
	if (!n)
		return err_set(
			err, ENOENT, "'%.64s': no such node in %.300s", o->operand, o->config);
	if (!o->on && !n->accept_confirmation)
		return err_set(err, EPERM,
			"%s: a confirmation has no effect, as its section has no "
			"accept-confirmation = yes",
			n->name);
	return 0;
}

int command_confirm(const struct options *o, const struct config *c)
{
	const struct config_node *n = config_node(c, o->operand);
	const char *dir = c->general.run_directory;
	enum confirm_kind kind = o->on ? CONFIRM_ON : CONFIRM_DOWN;
	char who[CONFIRM_WHO_MAX];
	struct err err = {0};

	if (refuse(o, n, &err) < 0)
		return command_fail(&err);
	who_confirms(who, sizeof(who));
	/* The log comes first: nothing counts that is not in it. */
	if (note_in_log(o, c, n, who, &err) < 0)
		return command_fail(&err);
	if (o->withdraw)
		confirm_drop(dir, n->name, kind);
	else if (lease_prepare(dir, &err) < 0 ||
		confirm_set(dir, n->name, kind, who, o->minutes * 60000, &err) < 0)
		return command_fail(&err);
	if (o->json)
		report_json(json_pack("{ssssso}", "node", n->name, "confirmed",
			o->on ? "may be switched on" : "is off", "withdrawn",
			json_boolean(o->withdraw)));
	else
		printf("%s: %s\n", n->name,
			o->withdraw ? "withdrawn"
				: o->on
				? "may be switched on"
				: "the next shot at it believes that it is off, where it cannot "
				  "be verified");
	return EXIT_SUCCESS;
}
