/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where lines go is decided once at start; a line is built on the stack and written by one
 * write(2), so lines of several threads and processes never mix.
 */
#include "log.h"

#include "clock.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048, PEER_LINES = 20, PEER_WINDOW_MS = 10000 };

static struct {
	const char *name;
	enum log_level level;
	int file; /* -1 = none */
	const char *path;
	bool syslog;
	void (*fn)(enum log_level level, const char *text);
} target = {.name = "xnbd", .level = LOG_LEVEL_INFO, .file = -1};

static struct {
	pthread_mutex_t lock;
	uint64_t since; /* ms, start of the window */
	unsigned lines, dropped;
} peer = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const level_text[] = {"error", "warning", "info", "debug"};
static const int level_syslog[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

void log_name(const char *name)
{
	target.name = name;
}

void log_level(enum log_level level)
{
	target.level = level;
}

int log_to_file(const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(err, errno, "log file %s", path);
	target.file = fd;
	target.path = path;
	return 0;
}

/* dup2: other threads may be writing; they find the old or the new file, never none. */
void log_reopen(void)
{
	int fd;

	if (target.file < 0)
		return;
	fd = open(target.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		log_error("log file %s: %s; the old one is kept", target.path, strerror(errno));
		return;
	}
	dup3(fd, target.file, O_CLOEXEC);
	close(fd);
}

void log_to_syslog(void)
{
	openlog(target.name, LOG_PID | LOG_NDELAY, LOG_DAEMON);
	target.syslog = true;
}

void log_to_function(void (*fn)(enum log_level level, const char *text))
{
	target.fn = fn;
}

bool log_on_stderr(void)
{
	return target.file < 0 && !target.syslog;
}

static void write_all_or_drop(int fd, const char *line, size_t len)
{
	ssize_t r;

	do
		r = write(fd, line, len);
	while (r < 0 && errno == EINTR);
}

static void to_file(enum log_level level, const char *text)
{
	char line[LINE_MAX_BYTES + 128], when[32];
	struct timespec ts;
	struct tm tm;
	int n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	n = snprintf(line, sizeof(line), "%s.%03ldZ %s[%d] %s: %s\n", when, ts.tv_nsec / 1000000,
		target.name, (int)getpid(), level_text[level], text);
	write_all_or_drop(target.file, line, (size_t)n);
}

static void to_stderr(enum log_level level, const char *text)
{
	char line[LINE_MAX_BYTES + 128];
	int n = snprintf(line, sizeof(line), "%s: %s: %s\n", target.name, level_text[level], text);

	write_all_or_drop(STDERR_FILENO, line, (size_t)n);
}

void log_line(enum log_level level, const char *text)
{
	if (target.level < level)
		return;
	if (target.fn) {
		target.fn(level, text);
		return;
	}
	if (target.syslog)
		syslog(level_syslog[level], "%s", text);
	if (target.file >= 0)
		to_file(level, text);
	if (log_on_stderr())
		to_stderr(level, text);
}

__attribute__((format(printf, 2, 0))) static void emit(
	enum log_level level, const char *fmt, va_list ap)
{
	char raw[LINE_MAX_BYTES / 2], text[LINE_MAX_BYTES];
	int saved = errno;

	vsnprintf(raw, sizeof(raw), fmt, ap);
	str_printable(text, sizeof(text), raw, strlen(raw));
	log_line(level, text);
	errno = saved;
}

#define LOG_FUNCTION(function, value)                                                              \
	void function(const char *fmt, ...)                                                        \
	{                                                                                          \
		va_list ap;                                                                        \
                                                                                                   \
		if (target.level < (value))                                                        \
			return;                                                                    \
		va_start(ap, fmt);                                                                 \
		emit((value), fmt, ap);                                                            \
		va_end(ap);                                                                        \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

void log_start_error(const char *text)
{
	log_error("%s", text);
	if (!log_on_stderr())
		to_stderr(LOG_LEVEL_ERROR, text);
}

static bool peer_line_allowed(unsigned *ret_dropped)
{
	uint64_t now = clock_ms();
	bool ok;

	*ret_dropped = 0;
	pthread_mutex_lock(&peer.lock);
	if (now - peer.since >= PEER_WINDOW_MS) {
		*ret_dropped = peer.dropped;
		peer.since = now;
		peer.lines = peer.dropped = 0;
	}
	ok = peer.lines < PEER_LINES;
	if (ok)
		peer.lines++;
	else
		peer.dropped++;
	pthread_mutex_unlock(&peer.lock);
	return ok;
}

void log_peer(enum log_level level, const char *fmt, ...)
{
	unsigned dropped;
	va_list ap;

	if (target.level < level || !peer_line_allowed(&dropped))
		return;
	if (dropped)
		log_warn("%u lines about clients were left out (too many at once)", dropped);
	va_start(ap, fmt);
	emit(level, fmt, ap);
	va_end(ap);
}
