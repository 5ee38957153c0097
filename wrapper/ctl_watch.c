/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stats --watch: a look every few seconds, what changed between two of them. On a terminal it
 * replaces the last one, as much as fits; elsewhere it follows, without escapes, as JSON an object
 * a line. A signal ends us between two blocks, never within one.
 */
#include "ctl.h"
#include "ctl_stats.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

enum { USUAL_SECONDS = 2 };

struct watch {
	const struct ctl_options *options;
	const char *name;
	bool on_screen;
	json_t *before;
	struct timespec at, next; /* of `before`; of the next look */
};

static void on_signal(int number)
{
	(void)number;
	_exit(EXIT_SUCCESS);
}

static void set_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(how, &set, NULL);
}

static double seconds_since(const struct timespec *then, const struct timespec *now)
{
	return (double)(now->tv_sec - then->tv_sec) + (double)(now->tv_nsec - then->tv_nsec) / 1e9;
}

/* TEXT, on a screen no more than it has lines. */
static int put(const struct watch *w, const char *text)
{
	struct winsize size = {0};
	const char *end = text;

	if (!w->on_screen) {
		fputs(text, stdout);
	} else {
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 2)
			size.ws_row = 24;
		for (int i = 1; *end && i < size.ws_row; i++)
			end += strcspn(end, "\n") + 1;
		printf("\033[H\033[J%.*s", (int)(end - text), text);
	}
	return fflush(stdout) == 0 ? 0 : -EIO;
}

static void print_head(const struct watch *w, json_t *answer, FILE *out)
{
	time_t now = time(NULL);
	char when[64] = "";
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
	fprintf(out, "%s, %lld clients, requests and bytes a second\n\n", when,
		(long long)json_integer_value(json_object_get(answer, "clients")));
	(void)w;
}

static int show(const struct watch *w, json_t *answer, double seconds)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int ret = -ENOMEM;

	if (out && w->options->json) {
		json_dumpf(answer, out, JSON_COMPACT);
		putc('\n', out);
	} else if (out) {
		print_head(w, answer, out);
		ctl_stats_print(answer, w->before, seconds, w->name, out);
		if (!w->on_screen)
			putc('\n', out);
	}
	if (out && fclose(out) == 0)
		ret = put(w, text);
	free(text);
	return ret;
}

static int look(struct watch *w, json_t *answer)
{
	struct timespec now;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &now);
	json_object_del(answer, "v");
	json_object_del(answer, "ok");
	set_signals(SIG_BLOCK);
	if (w->before || w->options->json)
		ret = show(w, answer, seconds_since(&w->at, &now));
	set_signals(SIG_UNBLOCK);
	json_decref(w->before);
	w->before = answer;
	w->at = now;
	return ret;
}

static void wait_for_next(struct watch *w)
{
	struct timespec now;

	w->next.tv_sec += (time_t)(w->options->interval ? w->options->interval : USUAL_SECONDS);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (seconds_since(&w->next, &now) > 0)
		w->next = now; /* a server was silent, or we were stopped */
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &w->next, NULL);
}

int ctl_stats_watch(const struct ctl_options *o, json_t *request, int timeout_ms)
{
	struct sigaction act = {.sa_handler = on_signal};
	struct watch w = {.options = o,
		.name = json_string_value(json_object_get(request, "name")),
		.on_screen = isatty(STDOUT_FILENO) && !o->json};
	struct err err = {0};
	json_t *answer;
	int ret;

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	clock_gettime(CLOCK_MONOTONIC, &w.next);
	while ((ret = ctl_call(o->control, json_deep_copy(request), timeout_ms, &answer, &err)) ==
		0) {
		ret = look(&w, answer);
		if (ret < 0)
			break;
		wait_for_next(&w);
	}
	if (ret < 0 && err.code)
		log_error("%s", err.text);
	json_decref(w.before);
	json_decref(request);
	return EXIT_FAILURE;
}
