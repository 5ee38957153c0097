/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands `run` and `verify`: all volumes, one after the other, under the lock; then the
 * lines, and word of a failure by mail and hook. A run that is to end tells each volume that it had
 * not come to, and nobody by mail: whoever ended it knows, and must not wait.
 */
#include "command.h"

#include "catalog.h"
#include "child.h"
#include "clock.h"
#include "hook.h"
#include "job.h"
#include "log.h"
#include "stop.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	LINE_ROOM = 2 * ERR_TEXT_MAX + 1024,
	TELL_SECONDS = 60,
	HOST_ROOM = 256,
	OTHERS_MS = 60000,
	LOOK_MS = 100
};

struct run {
	const struct options *options;
	struct config *config;
	struct stop stop;
	struct report *reports; /* one of each volume that is wanted */
	size_t count, failed, stopped;
	int children;       /* lock that is held as long as a copy is made */
	struct err exports; /* what kept the export table from being used */
};

/* Volumes. */

static void count(struct run *r, const struct report *one)
{
	r->count++;
	r->failed += one->result == REPORT_FAILED;
	r->stopped += one->result == REPORT_STOPPED;
}

static void do_one(struct run *r, const struct config_volume *v, struct report *one)
{
	const struct job_rules rules = {.force = r->options->force || r->options->operand_count > 0,
		.dry_run = r->options->dry_run,
		.hold = r->children};

	if (r->count > 0 ? hook_is_lost(&r->stop) : stop_due(&r->stop)) {
		*one = (struct report){.volume = v->name, .result = REPORT_STOPPED};
		snprintf(one->text, sizeof(one->text), "not begun: %s", r->stop.why);
	} else if (r->options->command == OPTIONS_VERIFY) {
		job_verify(r->config, v, &r->stop, &rules, one);
	} else {
		job_run(r->config, v, &r->stop, &rules, one);
	}
}

static void print(const struct run *r, const struct report *one)
{
	bool is_bad = one->result > REPORT_PLANNED || one->missed || one->warning[0];
	char line[LINE_ROOM];

	if (r->options->json || (r->options->quiet && !is_bad))
		return;
	if (r->options->command == OPTIONS_VERIFY && one->result == REPORT_GOOD)
		snprintf(line, sizeof(line), "%s: %s is good", one->volume, one->target);
	else
		report_line(one, (uint64_t)time(NULL), line, sizeof(line));
	puts(line);
	fflush(stdout);
}

static void do_all(struct run *r)
{
	for (size_t i = 0; i < r->config->count; i++) {
		struct report *one = &r->reports[r->count];

		if (!command_wants(r->options, &r->config->volumes[i]))
			continue;
		do_one(r, &r->config->volumes[i], one);
		count(r, one);
		print(r, one);
	}
}

/* What is told. */

static void print_json(const struct run *r)
{
	json_t *all = json_array(), *top;

	for (size_t i = 0; i < r->count; i++)
		json_array_append_new(all, report_json(&r->reports[i]));
	top = json_pack("{s:b, s:o}", "success", !r->failed && !r->stopped && !r->exports.code,
		"volumes", all);
	if (r->exports.code)
		json_object_set_new(top, "error", json_string(r->exports.text));
	json_dumpf(top, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(top);
}

/* All lines, and the names of what failed; malloc'd. */
static int lines_of(const struct run *r, char **ret_text, char **ret_names)
{
	size_t text_len, names_len;
	FILE *text = open_memstream(ret_text, &text_len);
	FILE *names = open_memstream(ret_names, &names_len);
	char line[LINE_ROOM];

	if (r->exports.code && text)
		fprintf(text, "%s\n", r->exports.text);
	for (size_t i = 0; text && names && i < r->count; i++) {
		report_line(&r->reports[i], (uint64_t)time(NULL), line, sizeof(line));
		fprintf(text, "%s\n", line);
		if (r->reports[i].result >= REPORT_STOPPED)
			fprintf(names, "%s%s", ftell(names) > 0 ? " " : "", r->reports[i].volume);
	}
	if (text)
		fclose(text);
	if (names)
		fclose(names);
	return text && names ? 0 : -ENOMEM;
}

static void mail(struct run *r, const char *lines, const char *names)
{
	const char *const words[] = {r->config->general.sendmail, "-t", NULL};
	const struct child_rules rules = {.stop = &r->stop, .timeout_ms = TELL_SECONDS * 1000};
	CLEANUP_FREE char *text = NULL;
	struct child_input in = {0};
	char host[HOST_ROOM] = "?";
	struct err err = {0};
	struct child c;

	gethostname(host, sizeof(host) - 1);
	if (asprintf(&text,
		    "To: %s\nSubject: xnbd-backup on %s: FAILED %.200s\n"
		    "Auto-Submitted: auto-generated\nContent-Type: text/plain; charset=utf-8\n\n%s",
		    r->config->general.mail_to, host, names, lines) < 0)
		return;
	in = (struct child_input){.text = text, .len = strlen(text)};
	child_init(&c);
	if (child_start(&c, words, &in, &err) < 0 || child_wait(&c, &rules, &err) < 0 ||
		child_judge(&c, words[0], &err) < 0)
		log_error("no mail was sent: %s", err.text);
	child_done(&c);
}

static void tell(struct run *r)
{
	CLEANUP_FREE char *lines = NULL, *names = NULL;
	const struct config_general *g = &r->config->general;
	struct err err = {0};

	if (lines_of(r, &lines, &names) < 0)
		return;
	if (g->mail_to)
		mail(r, lines, names);
	setenv("BACKUP_FAILED", names, 1);
	if (g->on_failure &&
		hook_run("on-failure", g->on_failure, TELL_SECONDS, &r->stop, lines, strlen(lines),
			&err) < 0)
		log_error("%s", err.text);
}

/* The frame. */

static int check_active(struct run *r)
{
	struct err err = {0};
	int is = 1;

	if (r->config->general.active_if)
		is = hook_is_active(r->config->general.active_if, &r->stop, &err);
	if (is < 0)
		log_error("%s", err.text);
	else if (is == 0 && !r->options->quiet && !r->options->json)
		printf("this is not the active node: nothing is done\n");
	else if (is == 0 && r->options->json)
		printf("{\"success\":true,\"volumes\":[]}\n");
	return is;
}

/* The time limit is no reason to be silent: nobody was there who knows. Nor does it end the mail.
 */
static bool wants_telling(struct run *r)
{
	bool is_late = r->stop.is_late;

	if (is_late)
		r->stop.is_due = r->stop.is_late = false;
	r->stop.until = 0;
	return (r->failed || r->exports.code || is_late) && !r->options->dry_run && !r->stop.is_due;
}

static int go(struct run *r)
{
	struct err err = {0};

	if (command_add_exports(r->config, &r->exports) < 0)
		log_error("exports: %s", r->exports.text);
	if (command_check_names(r->options, r->config, &err) < 0)
		return command_fail(&err, COMMAND_USAGE);
	r->reports = calloc(r->config->count + 1, sizeof(*r->reports));
	if (!r->reports)
		return command_fail(&(struct err){ENOMEM, "out of memory"}, COMMAND_FAILED);
	do_all(r);
	if (r->options->json)
		print_json(r);
	if (wants_telling(r))
		tell(r);
	if (r->failed || r->exports.code)
		return COMMAND_FAILED;
	return r->stopped ? COMMAND_STOPPED : COMMAND_DONE;
}

/* Copies of a run that was killed are told to end, which takes a moment: until then they may write
 * where this one would. */
static int wait_for_others(struct run *r, struct err *err)
{
	uint64_t until = clock_ms() + OTHERS_MS;

	for (;;) {
		struct pollfd p = {.fd = r->stop.fd, .events = POLLIN};

		r->children = catalog_lock_children(r->config->general.state_directory, err);
		if (r->children >= 0 || r->children != -EBUSY)
			return MIN_OF(r->children, 0);
		if (stop_due(&r->stop) || clock_ms() >= until)
			return -EBUSY;
		poll(&p, 1, LOOK_MS);
	}
}

static int run_locked(struct run *r)
{
	const char *folder = r->config->general.state_directory;
	struct err err = {0};
	CLEANUP_FD int lock = -1;
	uint64_t pid;

	if (r->options->dry_run)
		return go(r);
	lock = catalog_lock(folder, &pid, &err);
	if (lock < 0 || wait_for_others(r, &err) < 0)
		return command_fail(&err, err.code == EBUSY ? COMMAND_BUSY : COMMAND_FAILED);
	return go(r);
}

/* A node that is not active touches nothing of what the nodes share, not even the lock. */
static int run_stoppable(struct run *r)
{
	int is = check_active(r);

	if (is <= 0)
		return is == 0 ? COMMAND_DONE : COMMAND_FAILED;
	return run_locked(r);
}

static int run(const struct options *o, struct config *c)
{
	struct run r = {.options = o, .config = c, .children = -1};
	struct err err = {0};
	int status;

	if (stop_init(&r.stop, c->general.time_limit, c->general.active_if, &err) < 0)
		return command_fail(&err, COMMAND_FAILED);
	status = run_stoppable(&r);
	stop_done(&r.stop);
	fd_close(&r.children);
	free(r.reports);
	return status;
}

int command_copy(const struct options *o, struct config *c)
{
	return run(o, c);
}

int command_verify(const struct options *o, struct config *c)
{
	return run(o, c);
}
