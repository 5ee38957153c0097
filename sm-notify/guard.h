/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Once per boot and state directory, and never two at the same time.
 *
 * At a time: a lock on the folder sm. Per boot: a file in /run that is believed only if it says
 * that in this boot, for this very folder, peers were told, or are being told. So nothing but a
 * success can ever keep us from notifying: not a file of another boot, not one half written, not a
 * full or read-only /run. The file of /var/lib/nfs is sm-notify.pid; the reference's file of that
 * name, which has a process id and no more, counts where a boot removes it (tmpfs). First line:
 * process id.
 */
#ifndef SM_NOTIFY_GUARD_H
#define SM_NOTIFY_GUARD_H

#include "err.h"
#include "kernel.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

enum guard_outcome {
	GUARD_NONE,    /* nothing is known of this boot */
	GUARD_RUNNING, /* records retired, number written; peers are being told (or were: crash) */
	GUARD_DONE,    /* all told */
	GUARD_FAILED,  /* ended before all were told */
};

struct guard {
	char path[PATH_MAX];
	char boot[KERNEL_BOOT_ROOM];
	char folder[64];       /* which sm: device, inode, time it was made */
	const char *directory; /* path of the state directory */
	int fd;                /* -1: no file */
	bool made;             /* by guard_prepare() */
};

/* DIRECTORY: realpath, kept. SM: the open folder sm. No file is made. */
void guard_init(
	struct guard *g, const char *run_dir, const char *proc_root, const char *directory, int sm);

/*
 * -EWOULDBLOCK: another process has it. Held until SM and all its copies are closed. Where there
 * are no locks that is logged, no more: notifying twice is better than not at all.
 */
int guard_lock(int sm);

/* What is known. *RET_PID: of the process that wrote it, 0 if that is not to be read. */
enum guard_outcome guard_look(const struct guard *g, pid_t *ret_pid);

/* A new run begins: what is known of those before counts no more, even if this one is killed. */
void guard_forget(const struct guard *g);

/*
 * Opens the file for guard_set(), which no longer needs the rights to. Failure is logged, no more:
 * then a second run would notify again. The file says nothing new yet.
 */
void guard_prepare(struct guard *g);
void guard_set(const struct guard *g, enum guard_outcome outcome);
/* The root phase failed: removes a file that guard_prepare() made. */
void guard_abandon(struct guard *g);

#endif
