/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs and commands run for a backup: each in a process group of its own, told to end (SIGTERM)
 * when we die, its output and complaints in files in memory. A run that is to end ends them: by
 * SIGTERM, and the whole group by SIGKILL CHILD_GRACE_MS later.
 */
#ifndef BACKUP_CHILD_H
#define BACKUP_CHILD_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stop;

enum { CHILD_GRACE_MS = 1500, CHILD_TICK_MS = 100, CHILD_OUTPUT_MAX = 1024 * 1024 };

struct child {
	pid_t pid; /* 0 = none */
	int pidfd;
	int out, complaints; /* what it prints */
	int status;          /* as of waitpid(2), once it has ended */
	uint64_t began;      /* ms */
};

void child_init(struct child *c);
/* It must have ended, or never been started. */
void child_done(struct child *c);

struct child_input {
	const char *text; /* what it may read; NULL = nothing */
	size_t len;
	int hold; /* a descriptor that it has as number 3; 0 = none */
};

/* WORDS[0] is looked for in PATH. INPUT may be NULL. */
int child_start(struct child *c, const char *const *words, const struct child_input *input,
	struct err *err);
/* Has it ended? Never blocks. */
bool child_poll(struct child *c);
/* Kills it with its group and waits for that. No-op if there is none. */
void child_kill(struct child *c);

struct child_rules {
	struct stop *stop;   /* NULL = nothing ends it early */
	uint64_t timeout_ms; /* 0 = any */
	/* Called a few times a second while it runs, NULL = not; a negative answer, with ERR, ends
	 * the child, and is what child_wait() answers. */
	int (*tick)(void *owner, struct err *err);
	void *owner;
};

/*
 * Until it has ended. 0: c->status says how. -ECANCELED: it was ended, as the run is; -ETIMEDOUT.
 */
int child_wait(struct child *c, const struct child_rules *rules, struct err *err);

/* Its output; malloc'd. NULL: no memory. */
char *child_output(const struct child *c);
/*
 * 0 if it ended with status 0, else -EREMOTEIO with the last line that it complained: of our own
 * programs the error itself, without what stands before it.
 */
int child_judge(const struct child *c, const char *what, struct err *err);

/* Does one of the lines that it complained end in TEXT? */
bool child_complained(const struct child *c, const char *text);

#endif
