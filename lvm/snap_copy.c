/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of lvm_snap_copy; see snap_copy.h. Signals are blocked from the start and taken by
 * sigtimedwait(2), which is also the clock of the watch, so none comes between two steps. Only kill
 * -9 leaves a snapshot behind; it carries the tags by which the next run finds and removes it.
 *
 * The copy is good if lvm_copy says so, and the snapshot was still good when lvm_copy ended.
 */
#include "snap_copy.h"

#include "clock.h"
#include "log.h"
#include "proc.h"
#include "snap_job.h"
#include "snap_policy.h"
#include "snap_report.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum {
	TICK_MS = 1000,
	TERM_SECONDS = 20, /* for lvm_copy to end in order */
	KILL_SECONDS = 60, /* and after kill -9: a read that hangs */
	GROW_AGAIN_S = 30, /* after there was no room to extend */
	DOOM_AGAIN_S = 60, /* between two warnings */
	WORDS_MAX = 128,
};

struct job {
	const struct snap_options *options;
	const struct toolsconf *conf;
	struct snap_report report;
	struct snap_watch watch;
	pid_t child;                                  /* 0 = has ended */
	int child_status;                             /* as of waitpid(2) */
	uint64_t told_to_end, grow_again, doom_again; /* ms; 0 = not */
	bool killed;
};

/* lvm_copy. */

static int start_copy(struct job *j, const char *program, struct err *err)
{
	const struct snap_options *o = j->options;
	const struct snap_made *made = &j->report.made;
	char source[SPEC_TEXT_MAX];
	const char *words[WORDS_MAX];
	size_t used = 0;
	pid_t pid;

	snprintf(source, sizeof(source), "lvm:/dev/%s/%s", made->vg, made->lv);
	words[used++] = program;
	words[used++] = "-s";
	words[used++] = source;
	words[used++] = "-t";
	words[used++] = o->target;
	if (o->compress)
		words[used++] = "-z";
	if (o->config) {
		words[used++] = "-c";
		words[used++] = o->config;
	}
	if (o->quiet || o->json)
		words[used++] = "-q"; /* its line is no part of our answer */
	for (char *const *more = o->more; *more; more++) {
		if (used + 1 == WORDS_MAX)
			return err_sys(err, E2BIG, "options of lvm_copy");
		words[used++] = *more;
	}
	words[used] = NULL;
	pid = proc_spawn((char *const *)(uintptr_t)words, NULL, 0, true);
	if (pid < 0)
		return err_sys(err, -(int)pid, "%s", program);
	j->child = pid;
	return 0;
}

static void reap(struct job *j)
{
	if (j->child > 0 && waitpid(j->child, &j->child_status, WNOHANG) == j->child)
		j->child = 0;
}

/* Asks it to end, once; later harder. */
static void end_copy(struct job *j)
{
	uint64_t now = clock_ms();

	if (j->child <= 0)
		return;
	if (!j->told_to_end) {
		kill(j->child, SIGTERM);
		kill(j->child, SIGCONT);
		j->told_to_end = now;
	} else if (!j->killed && now - j->told_to_end > TERM_SECONDS * 1000) {
		kill(j->child, SIGKILL);
		j->killed = true;
	}
}

/* The snapshot. */

/* As near to WANTED as there is room; extents are whole. 0: there is none. */
static uint64_t possible_size(const struct job *j, const struct vg_lv *lv, uint64_t wanted)
{
	uint64_t free = lv->vg_free > j->conf->reserve ? lv->vg_free - j->conf->reserve : 0;
	uint64_t most = lv->size + round_down(free, lv->extent);

	wanted = MIN_OF(round_up(wanted, lv->extent), most);
	return wanted > lv->size ? wanted : 0;
}

static int grow_to(struct job *j, uint64_t wanted, struct err *err)
{
	const struct snap_made *made = &j->report.made;
	const struct vg_lv *lv;
	struct vg_lvs all;
	uint64_t size;
	int r = vg_list(made->vg, &all, err);

	if (r < 0)
		return r;
	lv = vg_find(&all, made->lv);
	size = lv ? possible_size(j, lv, wanted) : 0;
	if (size > 0)
		r = vg_extend(made->vg, made->lv, size, err);
	else
		r = err_set(err, ENOSPC, "%s/%s: no room left in %s to extend it", made->vg,
			made->lv, made->vg);
	if (r == 0)
		log_info("%s/%s: extended to %llu MiB", made->vg, made->lv,
			(unsigned long long)(size >> 20));
	vg_lvs_done(&all);
	return r;
}

static void grow(struct job *j, uint64_t wanted, uint64_t now)
{
	struct err err = {0};

	if (grow_to(j, wanted, &err) == 0) {
		j->report.extended++;
		return;
	}
	log_warn("%s", err.text);
	j->watch.cannot_grow = true;
	j->grow_again = now + GROW_AGAIN_S * 1000;
}

static void warn_of_doom(struct job *j, const struct snap_forecast *f, uint64_t now)
{
	char done[64] = "a time that is not known";

	if (now < j->doom_again)
		return;
	if (f->done_s != SNAP_NEVER)
		snprintf(done, sizeof(done), "%llu s", (unsigned long long)f->done_s);
	log_warn("%s/%s: will be full in %llu s, the copy needs %s", j->report.made.vg,
		j->report.made.lv, (unsigned long long)f->full_s, done);
	j->doom_again = now + DOOM_AGAIN_S * 1000;
}

/* One look; false: there is no use in going on. */
static bool look(struct job *j)
{
	const struct snap_made *made = &j->report.made;
	struct snap_moment m = {.ms = clock_ms()};
	struct snap_forecast f;
	struct err err = {0};
	enum snap_verdict v;

	if (vg_fill_read(made->vg, made->lv, &m.fill, &err) < 0) {
		log_error("%s", err.text);
		return false;
	}
	if (j->watch.cannot_grow && m.ms >= j->grow_again)
		j->watch.cannot_grow = false;
	v = snap_watch_next(&j->watch, &m, &f);
	j->report.peak = j->watch.peak;
	if (v == SNAP_GROW)
		grow(j, f.grow_to, m.ms);
	else if (v == SNAP_DOOMED)
		warn_of_doom(j, &f, m.ms);
	else if (v == SNAP_LOST)
		j->report.overflowed = true;
	return v != SNAP_LOST;
}

static void take_signal(struct job *j, int number)
{
	if (number == SIGCHLD || number <= 0)
		return;
	if (!j->report.signal)
		log_warn("ended by signal %d; the copy is given up", number);
	j->report.signal = number;
}

/* Until lvm_copy has ended, or will not. */
static void attend(struct job *j, const sigset_t *set)
{
	uint64_t next = clock_ms();
	bool good = true;

	for (reap(j); j->child > 0; reap(j)) {
		uint64_t now = clock_ms();
		uint64_t wait = now < next ? next - now : 0;
		struct timespec t = {(time_t)(wait / 1000), (long)(wait % 1000 * 1000000)};

		take_signal(j, sigtimedwait(set, NULL, &t));
		if (clock_ms() >= next) {
			next = clock_ms() + TICK_MS;
			good = good && look(j);
		}
		if (!good || j->report.signal)
			end_copy(j);
		if (j->killed && clock_ms() - j->told_to_end > (TERM_SECONDS + KILL_SECONDS) * 1000)
			return;
	}
}

/* Is what lvm_copy has made any good? */
static void judge(struct job *j)
{
	struct snap_report *r = &j->report;

	if (j->child > 0)
		log_error("lvm_copy does not end, not even by kill -9");
	else if (WIFEXITED(j->child_status))
		r->copy_status = WEXITSTATUS(j->child_status);
	else if (!j->told_to_end)
		log_error("lvm_copy was ended by signal %d", WTERMSIG(j->child_status));
	if (r->copy_status == 127)
		log_error("lvm_copy could not be started");
	if (!r->overflowed && !look(j) && r->copy_status == 0)
		r->copy_status = -1;
	if (r->overflowed)
		log_error("%s/%s: the snapshot has overflowed: the copy is bad; more room (--size) "
			  "or SNAP_EXTEND_AT would help",
			r->made.vg, r->made.lv);
	r->is_good = r->copy_status == 0 && !r->overflowed && !r->signal;
}

/* All of it. */

static int copy(struct job *j, const sigset_t *set, struct err *err)
{
	const struct snap_options *o = j->options;
	struct snap_made *made = &j->report.made;
	struct snap_request q = {.source = &o->source,
		.suffix = o->suffix,
		.want = &o->want,
		.conf = j->conf,
		.job = o->job,
		.why = o->why ? o->why : "copy",
		.is_temporary = true,
		.dry_run = o->dry_run};
	char program[PATH_MAX];
	int r = snap_create(&q, made, err);

	if (r < 0 || o->dry_run)
		return r;
	j->report.created = true;
	snap_watch_init(&j->watch,
		&(struct snap_rules){made->origin_size,
			snap_size_full(made->origin_size, made->size.chunk), j->conf->extend_at,
			j->conf->extend_by});
	proc_sibling("lvm_copy", program, sizeof(program));
	r = start_copy(j, program, err);
	if (r < 0)
		return r;
	attend(j, set);
	judge(j);
	return 0;
}

static void block_signals(sigset_t *set)
{
	proc_block_ends(set);
	sigaddset(set, SIGCHLD);
	sigprocmask(SIG_BLOCK, set, NULL);
}

int snap_copy_run(const struct snap_options *o, const struct toolsconf *conf)
{
	struct job j = {.options = o, .conf = conf, .report = {.copy_status = -1}};
	struct err err = {0};
	sigset_t set;
	int r;

	block_signals(&set);
	r = copy(&j, &set, &err);
	if (r < 0)
		log_error("%s", err.text);
	if (j.report.created) {
		err = (struct err){0};
		j.report.removed =
			snap_remove(j.report.made.vg, j.report.made.lv, false, &err) == 0;
		if (!j.report.removed)
			log_error("%s", err.text);
	}
	if (r == 0)
		snap_report_copy(&j.report, o);
	return r == 0 && (o->dry_run || (j.report.is_good && j.report.removed)) ? EXIT_SUCCESS
										: EXIT_FAILURE;
}
