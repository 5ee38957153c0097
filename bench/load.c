/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xnbd-load, a load generator for NBD servers: one thread for each connection (runner.h), all of
 * them opened before the first begins. Ends after --seconds, --passes or SIGTERM and prints one
 * line of JSON. bench/run calls it; exit status 1: errors or wrong data.
 */
#include "opt.h"
#include "runner.h"
#include "util.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SECONDS_DEFAULT = 3, SECONDS_MAX = 86400 };

static struct options {
	struct runner_plan plan;
	const char *mode_name;
	uint64_t seconds;
	bool help;
} opts = {.plan = {.where.export_name = "", .block = 4096, .depth = 1, .connections = 1, .seed = 1},
	.mode_name = "randread"};

#define FIELD(name) offsetof(struct options, name)

static const struct opt rows[] = {
	{"unix", 'u', OPT_TEXT, FIELD(plan.where.unix_path), "PATH", 0, 0, "server's unix socket"},
	{"host", 'H', OPT_TEXT, FIELD(plan.where.host), "HOST", 0, 0, "or its host"},
	{"port", 'p', OPT_TEXT, FIELD(plan.where.port), "PORT", 0, 0, "and port"},
	{"export", 'e', OPT_TEXT, FIELD(plan.where.export_name), "NAME", 0, 0, "export name"},
	{"mode", 'm', OPT_TEXT, FIELD(mode_name), "MODE", 0, 0,
		"randread, randwrite, randrw, read, write or connect"},
	{"bs", 'b', OPT_SIZE, FIELD(plan.block), "BYTES", 512, 32 << 20, "request size"},
	{"depth", 'd', OPT_NUMBER, FIELD(plan.depth), "N", 1, RUNNER_DEPTH_MAX,
		"requests in flight per connection"},
	{"connections", 'c', OPT_NUMBER, FIELD(plan.connections), "N", 1, 4096, "connections"},
	{"seconds", 's', OPT_NUMBER, FIELD(seconds), "N", 1, SECONDS_MAX,
		"how long (default 3, with --passes no limit)"},
	{"passes", 0, OPT_NUMBER, FIELD(plan.passes), "N", 1, 1 << 30,
		"end when as many bytes were asked for as N times the span has"},
	{"from", 0, OPT_SIZE, FIELD(plan.from), "BYTES", 0, 1ULL << 50,
		"use the export from this offset on"},
	{"span", 0, OPT_SIZE, FIELD(plan.span), "BYTES", 512, 1ULL << 50,
		"use only this much of the export"},
	{"seed", 0, OPT_NUMBER, FIELD(plan.seed), "N", 1, UINT64_MAX,
		"of random offsets and stamps"},
	{"structured", 0, OPT_FLAG, FIELD(plan.where.structured), NULL, 0, 0,
		"ask for structured replies"},
	{"verify", 0, OPT_FLAG, FIELD(plan.verify), NULL, 0, 0,
		"write stamps, check them when reading; zeros are taken for never written"},
	{"filled", 0, OPT_FLAG, FIELD(plan.filled), NULL, 0, 0,
		"with --verify: all was written before, zeros are wrong"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
};

static const struct opt_set option_set = {
	"xnbd-load [OPTION ...]", "Loads an NBD server and measures.", rows, ARRAY_LEN(rows)};

struct member {
	struct runner runner;
	pthread_t thread;
};

static _Atomic unsigned working; /* members that have not ended */

static enum runner_mode find_mode(const char *name)
{
	static const char *const names[] = {
		"", "randread", "randwrite", "randrw", "read", "write", "connect"};

	for (unsigned i = 1; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i], name) == 0)
			return (enum runner_mode)i;
	}
	return 0;
}

/* The last one to end wakes main(), which waits for signals. */
static void *member_main(void *arg)
{
	struct member *m = arg;

	runner_run(&m->runner);
	if (atomic_fetch_sub(&working, 1) == 1)
		kill(getpid(), SIGUSR1);
	return NULL;
}

static int open_all(struct member *members)
{
	for (unsigned i = 0; i < opts.plan.connections; i++) {
		if (runner_open(&members[i].runner, &opts.plan, i) < 0)
			return -1;
	}
	return 0;
}

static int start_all(struct member *members)
{
	working = (unsigned)opts.plan.connections;
	for (unsigned i = 0; i < opts.plan.connections; i++) {
		if (pthread_create(&members[i].thread, NULL, member_main, &members[i]) != 0)
			return -1;
	}
	return 0;
}

/* Signals are blocked in all threads, so that none is lost between two looks. */
static void wait_for_end(const sigset_t *signals)
{
	uint64_t seconds = opts.seconds ? opts.seconds
		: opts.plan.passes      ? SECONDS_MAX
					: SECONDS_DEFAULT;

	sigtimedwait(signals, NULL, &(struct timespec){.tv_sec = (time_t)seconds});
	opts.plan.stopping = true;
}

static int report(const struct member *members, double seconds)
{
	struct hist all = {0};
	uint64_t done = 0, errors = 0, bad = 0, block = opts.plan.block;

	for (unsigned i = 0; i < opts.plan.connections; i++) {
		const struct runner *r = &members[i].runner;

		hist_merge(&all, &r->hist);
		done += r->done;
		errors += r->errors;
		bad += r->bad;
	}
	printf("{\"requests\": %llu, \"seconds\": %.4f, \"per_second\": %.0f, \"bytes_per_second\": %.0f, "
	       "\"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"errors\": %llu, \"bad\": %llu}\n",
		(unsigned long long)done, seconds, (double)done / seconds,
		opts.plan.mode == RUNNER_CONNECT ? 0.0 : (double)(done * block) / seconds,
		(double)hist_at(&all, 500) / 1000, (double)hist_at(&all, 990) / 1000,
		(double)hist_at(&all, 999) / 1000, (unsigned long long)errors,
		(unsigned long long)bad);
	return errors || bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int measure(struct member *members, const sigset_t *signals)
{
	uint64_t began;

	if (open_all(members) < 0)
		return EXIT_FAILURE;
	began = runner_now();
	if (start_all(members) < 0)
		return EXIT_FAILURE;
	wait_for_end(signals);
	for (unsigned i = 0; i < opts.plan.connections; i++)
		pthread_join(members[i].thread, NULL);
	return report(members, (double)(runner_now() - began) / 1e9);
}

static int run(void)
{
	struct member *members = calloc(opts.plan.connections, sizeof(*members));
	sigset_t signals;
	int status;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	status = members ? measure(members, &signals) : EXIT_FAILURE;
	free(members);
	return status;
}

int main(int argc, char **argv)
{
	const struct peer_address *where = &opts.plan.where;
	struct err err;
	int rest;

	if (opt_parse(&option_set, argc, argv, &opts, &rest, &err) < 0) {
		fprintf(stderr, "xnbd-load: %s\n", err.text);
		return 2;
	}
	opts.plan.mode = find_mode(opts.mode_name);
	if (opts.help || !opts.plan.mode || (!where->unix_path && (!where->host || !where->port))) {
		opt_help(&option_set);
		return opts.help ? 0 : 2;
	}
	return run();
}
