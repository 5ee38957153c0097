/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Log lines. Programs log, libraries return errors (HACKING.md, rule 8).
 *
 * On stderr:  xnbd-server: error: disk.img: No such file or directory
 *             with "<3>" in front where the journal reads stderr (JOURNAL_STREAM)
 * In a file:  2026-11-21T05:10:11.123Z xnbd-server[4711] error: ...
 * Syslog:     facility daemon, same text. Control characters of peers are escaped.
 * Journal:    the same with PRIORITY, SYSLOG_IDENTIFIER and, from a line's subject, XNBD_EXPORT,
 *             XNBD_CLIENT and XNBD_PEER
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/*
 * What a line is about. Lines begin with it: "vm1: client 12 (192.0.2.1:4711): ", or
 * "client 192.0.2.1:4711: " before the client has a number and an export.
 */
struct log_subject {
	const char *export; /* name; NULL = none, or the only one this process has */
	uint64_t client;    /* number; 0 = none */
	const char *peer;   /* address; NULL = no client */
};

/* NAME is kept, not copied. Before any other call lines go to stderr under "xnbd". */
void log_name(const char *name);
void log_level(enum log_level level);
enum log_level log_level_now(void);
/* "error", "warn", "info" or "debug". False: NAME is none of these. */
bool log_level_parse(const char *name, enum log_level *ret);
const char *log_level_name(enum log_level level);
/* For messages: what a level may be called. */
#define LOG_LEVEL_NAMES "error, warn, info or debug"

/* From now on every line is about the export NAME (kept) unless it says otherwise; "" = none. */
void log_own_export(const char *name);

/* From now on append to PATH (created with mode 0600; kept, not copied) instead of stderr. */
int log_to_file(const char *path, struct err *err);

/* Opens the log file anew, after it was moved away; without one nothing happens. */
void log_reopen(void);

/* From now on use syslog instead of stderr; together with a file, both get every line. */
void log_to_syslog(void);

/*
 * From now on use the journal instead of stderr; together with others, all get every line. PATH:
 * its socket, NULL = the usual one. Lines it does not take at once are dropped, and counted in the
 * next one.
 */
int log_to_journal(const char *path, struct err *err);

/*
 * If lines go to stderr and the journal reads that, they go to the journal itself, where they keep
 * their fields. Without a journal there, or if it cannot be reached, nothing changes.
 */
void log_upgrade_stderr(void);

typedef void log_fn(enum log_level level, const struct log_subject *about, const char *text);
/* From now on lines go to FN alone (a sandboxed process hands them to its parent). */
void log_to_function(log_fn *fn);

/* A line from elsewhere, already built: goes where our own lines go. */
void log_line(enum log_level level, const struct log_subject *about, const char *text);

/* True if stderr is where lines go (no file, syslog or journal chosen). */
bool log_on_stderr(void);

/* An error at the start: also on stderr wherever the log goes, so that who starts us sees it. */
void log_start_error(const char *text);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

void log_about(enum log_level level, const struct log_subject *about, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same for the export NAME as a whole. */
void log_export(enum log_level level, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * For lines that peers can cause: at most 20 in 10 seconds for the whole process, the number of
 * those left out is told in the next line that passes.
 */
void log_peer(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_client(enum log_level level, const struct log_subject *about, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
