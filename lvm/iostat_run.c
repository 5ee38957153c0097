/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Look after look; see iostat_run.h. Rates need two looks, so the first table comes after the first
 * interval. A table leaves in one write, and a signal ends us between two of them only. On a
 * terminal it replaces the one before, as much of it as there are lines.
 */
#include "iostat_run.h"

#include "clock.h"
#include "fsutil.h"
#include "iostat_exports.h"
#include "iostat_print.h"
#include "iostat_sample.h"
#include "iostat_view.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

enum { USUAL_LINES = 24 };

struct run {
	const struct iostat_options *options;
	struct iostat_source source;
	regex_t filter;
	bool on_screen;
	sigset_t ends; /* blocked, but for waits */
};

/* Looking. */

static int add_exports(const struct run *run, struct iostat_sample *s, struct err *err)
{
	json_t *list = NULL, *stats = NULL;
	int r = iostat_exports_ask(run->options->control, &list, &stats, err);

	if (r < 0)
		return r;
	r = iostat_exports_add(s, list, stats, run->options->name ? &run->filter : NULL);
	json_decref(list);
	json_decref(stats);
	return r < 0 ? err_sys(err, -r, "the list of exports") : 0;
}

static int look(const struct run *run, struct iostat_sample *ret, struct err *err)
{
	int r = iostat_sample_take(&run->source, ret, err);

	if (r == 0 && run->options->exports) {
		r = add_exports(run, ret, err);
		if (r < 0)
			iostat_sample_done(ret);
	}
	return r;
}

/* Printing. */

/* How many bytes of TEXT fit on the screen. */
static size_t fitting(const char *text)
{
	struct winsize size = {0};
	const char *end = text;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 2)
		size.ws_row = USUAL_LINES;
	for (int i = 1; *end && i < size.ws_row; i++) {
		end += strcspn(end, "\n");
		end += *end == '\n';
	}
	return (size_t)(end - text);
}

static int put(const struct run *run, const char *text, size_t len)
{
	static const char clear[] = "\033[H\033[J";
	int r = 0;

	if (run->on_screen && !run->options->json && run->options->mode == IOSTAT_LIVE) {
		len = fitting(text);
		r = fs_write_all(STDOUT_FILENO, clear, strlen(clear));
	}
	return r < 0 ? r : fs_write_all(STDOUT_FILENO, text, len);
}

static int show(const struct run *run, const struct iostat_sample *before,
	const struct iostat_sample *now, bool is_first)
{
	CLEANUP_FREE struct iostat_rates *rates = iostat_view(before, now);
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;
	FILE *out = rates ? open_memstream(&text, &len) : NULL;

	if (!out)
		return -ENOMEM;
	if (run->options->mode == IOSTAT_DUMP)
		iostat_print_dump(now, out);
	else if (run->options->json)
		iostat_print_json(now, rates, out);
	else {
		if (!is_first && !run->on_screen)
			putc('\n', out);
		iostat_print_table(now, rates, out);
	}
	return fclose(out) == 0 ? put(run, text, len) : -ENOMEM;
}

/* All of it. */

/* Until AT, in clock_ns(); false: a signal came. */
static bool wait_until(const struct run *run, uint64_t at)
{
	for (;;) {
		uint64_t now = clock_ns(), left = at > now ? at - now : 0;
		struct timespec t = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
		int number = sigtimedwait(&run->ends, NULL, &t);

		if (number > 0)
			return false;
		if (left == 0 || errno == EAGAIN)
			return true;
	}
}

static int show_one(
	const struct run *run, struct iostat_sample *before, uint64_t number, struct err *err)
{
	struct iostat_sample now;
	int r = look(run, &now, err);

	if (r < 0)
		return r;
	r = show(run, before, &now, number == 0);
	iostat_sample_done(before);
	*before = now;
	return r < 0 ? err_sys(err, -r, "the output") : 0;
}

static int loop(const struct run *run, struct err *err)
{
	const struct iostat_options *o = run->options;
	bool has_rates = o->mode == IOSTAT_LIVE;
	struct iostat_sample before = {0};
	uint64_t next = clock_ns();
	int r = has_rates ? look(run, &before, err) : 0;

	for (uint64_t i = 0; r == 0 && (o->looks == 0 || i < o->looks); i++) {
		if (has_rates || i > 0) {
			/* What a look takes does not shift the next one. */
			next = MAX_OF(next + o->interval * 1000000000, clock_ns());
			if (!wait_until(run, next))
				break;
		}
		r = show_one(run, &before, i, err);
	}
	iostat_sample_done(&before);
	return r;
}

int iostat_run(const struct iostat_options *o, bool on_screen)
{
	struct run run = {.options = o,
		.source = {.proc = "/proc", .sys = "/sys", .filter = &run.filter, .all = o->all},
		.on_screen = on_screen};
	struct err err = {0};
	int r;

	sigemptyset(&run.ends);
	sigaddset(&run.ends, SIGINT);
	sigaddset(&run.ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &run.ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	r = iostat_filter_compile(o->name ? o->name : IOSTAT_USUAL, &run.filter, &err);
	if (r < 0) {
		log_error("%s", err.text);
		return 2;
	}
	r = loop(&run, &err);
	regfree(&run.filter);
	if (r < 0 && r != -EPIPE) /* who stops reading knows that */
		log_error("%s", err.text);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
