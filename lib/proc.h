/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes: starting programs with chosen file descriptors, the background, signals, limits. */
#ifndef LIB_PROC_H
#define LIB_PROC_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"
#include "reactor.h"

enum { PROC_FIRST_FD = 3 };

/*
 * fork + exec of ARGV[0] (a path). FDS become 3, 4, ... in the child, nothing else but stdio is
 * inherited; signals are unblocked and default, but SIGHUP stays ignored if it is. The child dies
 * never with its parent unless DIES_WITH_PARENT. Returns the pid, or -errno; failure of exec shows
 * as exit status 127.
 */
pid_t proc_spawn(char *const argv[], const int *fds, size_t count, bool dies_with_parent);

/*
 * Into the background: returns in a new session with stdio on /dev/null, while the original
 * process waits for proc_ready() and then exits 0, or with the child's status if that dies first.
 */
int proc_daemonize(struct err *err);
/* Start-up is complete: lets the original process of proc_daemonize() go. No-op otherwise. */
void proc_ready(void);

/* Opens closed ones of standard input, output and error on /dev/null: what is opened later must not
 * get the number of a stream. */
void proc_fill_streams(void);

/* Is this signal ignored, as nohup(1) or a shell has it for us? */
bool proc_is_ignored(int number);
/* Blocks SIGINT, SIGTERM and SIGHUP, but those ignored, for whoever waits for them: *ret_set. */
void proc_block_ends(sigset_t *ret_set);

/* Raises the soft limit of open files to the hard one; as root the hard one to 1,000,000 at most.
 */
void proc_raise_nofile(void);

/* Path of a program that lies beside the running one; else NAME itself, to be found in PATH. */
void proc_sibling(const char *name, char *out, size_t room);

/* Signals as events. FN gets the number. SIGPIPE is ignored from here on. */
struct proc_signals {
	struct reactor *reactor;
	struct reactor_watch watch;
	int fd;
	void (*fn)(struct proc_signals *s, int number);
};

/*
 * Blocks the signals of LIST (ends in 0) in this thread and those it starts later. Who listens
 * before it has its reactor holds them first: they wait, and nothing that it made stays behind.
 */
void proc_signals_hold(const int *list);
/* Holds the signals of LIST, and gives them to FN, also those that wait already. 0 or -errno. */
int proc_signals_init(struct proc_signals *s, struct reactor *r, const int *list,
	void (*fn)(struct proc_signals *, int));
void proc_signals_done(struct proc_signals *s);

#endif
