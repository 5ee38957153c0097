/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loop around "query". SIGINT and SIGTERM are blocked while it runs and taken by
 * sigtimedwait(), which is the pause between two questions: no handler, and no signal is lost.
 * Those that whoever started us has set to be ignored stay so. A server that is silent may be busy,
 * so single questions time out early and are asked again; one that hangs up has ended.
 */
#include "watch.h"

#include "call.h"
#include "clock.h"
#include "log.h"
#include "options.h"
#include "progress.h"
#include "query.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

enum { GO_ON = -1, DEFAULT_COLUMNS = 80 };

struct waiting {
	const struct watch *w;
	sigset_t stop, old_mask;
	json_t *answer; /* the last one, NULL = none yet */
	uint64_t heard; /* ms, when it came */
	bool silent;    /* the last question had no answer */
	uint64_t next_line;
	size_t drawn; /* columns of the line on the terminal */
};

void watch_init(struct watch *w, const char *control, FILE *out)
{
	*w = (struct watch){
		.control = control,
		.out = out,
		.terminal = out && isatty(fileno(out)),
		.poll_ms = 500,
		.line_ms = 10 * 1000,
		.answer_ms = 2 * 1000,
		.silent_ms = 60 * 1000,
	};
}

static void begin(struct waiting *t, const struct watch *w)
{
	static const int signals[] = {SIGINT, SIGTERM};
	struct sigaction sa;

	*t = (struct waiting){.w = w, .heard = clock_ms(), .next_line = clock_ms() + w->line_ms};
	sigemptyset(&t->stop);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		/* A blocked signal arrives even if it is ignored. */
		if (sigaction(signals[i], NULL, &sa) == 0 && sa.sa_handler != SIG_IGN)
			sigaddset(&t->stop, signals[i]);
	}
	sigprocmask(SIG_BLOCK, &t->stop, &t->old_mask);
}

static void end(struct waiting *t)
{
	sigprocmask(SIG_SETMASK, &t->old_mask, NULL);
	json_decref(t->answer);
}

/* The pause between two questions; true if the user has seen enough. */
static bool paused_by_signal(const struct waiting *t)
{
	struct timespec ts = {t->w->poll_ms / 1000, t->w->poll_ms % 1000 * 1000000L};

	return sigtimedwait(&t->stop, NULL, &ts) > 0;
}

/* 0 and t->answer, or GO_ON with t->silent set, or BGCTL_FAILED with ERR. */
static int ask(struct waiting *t, struct err *err)
{
	json_t *answer;
	int r = call_query(t->w->control, (int)t->w->answer_ms, &answer, err);

	t->silent = r == -ETIMEDOUT;
	if (r == 0) {
		json_decref(t->answer);
		t->answer = answer;
		t->heard = clock_ms();
		return 0;
	}
	if (t->silent && clock_ms() - t->heard < t->w->silent_ms)
		return GO_ON;
	if (t->silent)
		err_set(err, ETIMEDOUT, "%s: the server does not answer any more", t->w->control);
	else if (r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET)
		err_set(err, -r, "%s: the server has gone away in the middle of it", t->w->control);
	return BGCTL_FAILED;
}

static unsigned columns_of(FILE *out)
{
	struct winsize size;

	if (ioctl(fileno(out), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return DEFAULT_COLUMNS;
	return size.ws_col;
}

/* Over the last line, whose rest is wiped out with blanks: any terminal can do that. */
static void rewrite(struct waiting *t, const char *line)
{
	size_t columns = progress_columns(line);
	size_t rest = t->drawn > columns ? t->drawn - columns : 0;

	fprintf(t->w->out, "\r%s%*s", line, (int)rest, "");
	fflush(t->w->out);
	t->drawn = columns;
}

static void progress_of(
	const struct waiting *t, const struct query *q, char *waiting, struct progress *ret)
{
	query_waiting(q, waiting);
	if (t->silent)
		strcpy(waiting, "waiting: the server does not answer");
	*ret = (struct progress){
		.blocks = q->blocks,
		.cached = q->cached,
		.size = q->size,
		.cached_bytes = query_cached_bytes(q),
		.rate = q->copy.rate,
		.seconds_left = q->copy.seconds_left,
		.done = query_done(q),
		.waiting = waiting,
	};
}

/* LAST: whatever the time, and the terminal's line is ended. */
static void draw(struct waiting *t, bool last)
{
	char line[PROGRESS_LINE_MAX], waiting[QUERY_WAITING_MAX];
	struct progress p;
	struct query q;

	if (!t->w->out || !t->answer)
		return;
	query_read(t->answer, &q);
	progress_of(t, &q, waiting, &p);
	if (t->w->terminal) {
		progress_bar(&p, columns_of(t->w->out), line);
		rewrite(t, line);
		if (last)
			fputc('\n', t->w->out);
	} else if (last || clock_ms() >= t->next_line) {
		progress_plain(&p, line);
		fprintf(t->w->out, "%s\n", line);
		t->next_line = clock_ms() + t->w->line_ms;
	}
	fflush(t->w->out);
}

static int judge_copy(struct waiting *t, struct err *err)
{
	struct query q;

	query_read(t->answer, &q);
	if (query_done(&q))
		return BGCTL_DONE;
	if (query_copying(&q))
		return GO_ON;
	err_set(err, EIO, "the copy has ended before all blocks were there%s%s",
		*q.copy.error ? ": " : "", q.copy.error);
	return BGCTL_FAILED;
}

int watch_copy(const struct watch *w)
{
	struct err err = {0};
	struct waiting t;
	int status;

	begin(&t, w);
	for (;;) {
		status = ask(&t, &err);
		if (status == 0)
			status = judge_copy(&t, &err);
		if (status != GO_ON)
			break;
		draw(&t, false);
		if (paused_by_signal(&t)) {
			status = BGCTL_INCOMPLETE;
			break;
		}
	}
	draw(&t, true);
	if (status == BGCTL_FAILED)
		log_error("%s", err.text);
	if (status == BGCTL_INCOMPLETE)
		log_info("the copy goes on in the server: 'xnbd-bgctl --query %s' shows it, "
			 "'xnbd-bgctl --pause %s' holds it",
			w->control, w->control);
	end(&t);
	return status;
}

static int judge_snapshot(struct waiting *t, json_int_t id, json_t **ret, struct err *err)
{
	const char *state, *error;
	struct query q;
	json_t *s;

	query_read(t->answer, &q);
	s = query_snapshot(&q, id);
	state = query_text(s, "state");
	error = query_text(s, "error");
	if (strcmp(state, "copying") == 0)
		return GO_ON;
	if (strcmp(state, "complete") == 0) {
		*ret = json_incref(s);
		return BGCTL_DONE;
	}
	err_set(err, EIO, "snapshot %lld %s%s%s", (long long)id,
		s ? "has failed" : "was dropped before it was complete", *error ? ": " : "", error);
	return BGCTL_FAILED;
}

int watch_snapshot(const struct watch *w, json_int_t id, json_t **ret)
{
	struct err err = {0};
	struct waiting t;
	int status;

	begin(&t, w);
	for (;;) {
		status = ask(&t, &err);
		if (status == 0)
			status = judge_snapshot(&t, id, ret, &err);
		if (status != GO_ON)
			break;
		if (paused_by_signal(&t)) {
			status = BGCTL_INCOMPLETE;
			break;
		}
	}
	if (status == BGCTL_FAILED)
		log_error("%s", err.text);
	if (status == BGCTL_INCOMPLETE)
		log_info("the snapshot goes on in the server: 'xnbd-bgctl --list-snapshots %s' "
			 "shows it, 'xnbd-bgctl --drop-snapshot %s %lld' ends it",
			w->control, w->control, (long long)id);
	end(&t);
	return status;
}
