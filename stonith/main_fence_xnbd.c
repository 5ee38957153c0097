/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence_xnbd: a fence agent for Pacemaker and its relatives. Without arguments parameters come on
 * standard input, as clusters give them.
 */
#include "agent.h"
#include "agent_log.h"
#include "agent_run.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME "fence_xnbd"

static int usage(const struct err *err)
{
	log_error("%s", err->text);
	return EXIT_FAILURE;
}

/* The cluster reads standard error, and remembers it. */
static void to_stderr(enum log_level level, const struct log_subject *about, const char *text)
{
	(void)about;
	agent_log_write(STDERR_FILENO, NAME, level, text);
}

static void to_nowhere(enum log_level level, const struct log_subject *about, const char *text)
{
	(void)level;
	(void)about;
	(void)text;
}

/* Not syslog(3), which may wait for a logger that hangs. */
static void choose_log(const struct agent_params *p)
{
	if (p->verbose)
		log_level(LOG_LEVEL_DEBUG);
	if (p->quiet)
		log_to_function(log_to_journal(NULL, NULL) == 0 ? NULL : to_nowhere);
}

int main(int argc, char **argv)
{
	static struct agent_params params;
	struct err err = {0};
	int r;

	agent_start();
	log_name(NAME);
	log_to_function(to_stderr);
	r = argc > 1 ? agent_parse_argv(&params, argc, argv, &err)
		     : agent_parse_input(&params, stdin, &err);
	if (r < 0)
		return usage(&err);
	params.program = NAME;
	choose_log(&params);
	if (params.help) {
		agent_print_help();
		return EXIT_SUCCESS;
	}
	if (params.version) {
		printf(NAME " %s\n", XNBD_VERSION);
		return EXIT_SUCCESS;
	}
	r = agent_run(&params);
	return fflush(stdout) != 0 && r == EXIT_SUCCESS ? EXIT_FAILURE : r;
}
