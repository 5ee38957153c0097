/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Log lines. Programs log, libraries return errors (HACKING.md, rule 8).
 *
 * On stderr:  xnbd-server: error: disk.img: No such file or directory
 * In a file:  2026-11-21T05:10:11.123Z xnbd-server[4711] error: ...
 * Syslog:     facility daemon, same text. Control characters of peers are escaped.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stdbool.h>

#include "err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* NAME is kept, not copied. Before any other call lines go to stderr under "xnbd". */
void log_name(const char *name);
void log_level(enum log_level level);

/* From now on append to PATH (created with mode 0600; kept, not copied) instead of stderr. */
int log_to_file(const char *path, struct err *err);

/* Opens the log file anew, after it was moved away; without one nothing happens. */
void log_reopen(void);

/* From now on use syslog instead of stderr; together with a file, both get every line. */
void log_to_syslog(void);

/* From now on lines go to FN alone (a sandboxed process hands them to its parent). */
void log_to_function(void (*fn)(enum log_level level, const char *text));

/* A line from elsewhere, already built: goes where our own lines go. */
void log_line(enum log_level level, const char *text);

/* True if stderr is where lines go (neither file nor syslog chosen). */
bool log_on_stderr(void);

/* An error at the start: also on stderr wherever the log goes, so that who starts us sees it. */
void log_start_error(const char *text);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * For lines that peers can cause: at most 20 in 10 seconds for the whole process, the number of
 * those left out is told in the next line that passes.
 */
void log_peer(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
