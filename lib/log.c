/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where lines go is decided once at start; a line is built on the stack and written by one
 * write(2) or send(2), so lines of several threads and processes never mix.
 */
#include "log.h"

#include "clock.h"
#include "journal.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum {
	LINE_MAX_BYTES = 2048,
	EXPORT_SHOWN_MAX = 128, /* bytes of a name in a line; a journal field has all */
	PEER_LINES = 20,
	PEER_WINDOW_MS = 10000
};

static struct {
	const char *name;
	const char *own_export; /* NULL = none */
	_Atomic enum log_level level;
	int file; /* -1 = none */
	const char *path;
	bool syslog;
	bool stderr_is_journal;
	struct journal journal;
	atomic_uint journal_lost;
	log_fn *fn;
} target = {.name = "xnbd", .level = LOG_LEVEL_INFO, .file = -1, .journal.fd = -1};

static struct {
	pthread_mutex_t lock;
	uint64_t since; /* ms, start of the window */
	unsigned lines, dropped;
} peer = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const level_text[] = {"error", "warning", "info", "debug"};
static const char *const level_names[] = {"error", "warn", "info", "debug"}; /* for options */
static const int level_syslog[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

/* "DEVICE:INODE" of the stream to the journal; a program started by us may have another stderr. */
static bool stderr_is(const char *stream)
{
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
		fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_name(const char *name)
{
	target.name = name;
	target.stderr_is_journal = stderr_is(getenv("JOURNAL_STREAM"));
}

void log_own_export(const char *name)
{
	target.own_export = *name ? name : NULL;
}

void log_level(enum log_level level)
{
	target.level = level;
}

enum log_level log_level_now(void)
{
	return target.level;
}

bool log_level_parse(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	}
	return false;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
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

int log_to_journal(const char *path, struct err *err)
{
	return journal_open(&target.journal, path, err);
}

void log_upgrade_stderr(void)
{
	if (log_on_stderr() && target.stderr_is_journal)
		log_to_journal(NULL, NULL);
}

void log_to_function(log_fn *fn)
{
	target.fn = fn;
}

bool log_on_stderr(void)
{
	return target.file < 0 && !target.syslog && target.journal.fd < 0;
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
	char line[LINE_MAX_BYTES + 128], priority[8] = "";
	int n;

	if (target.stderr_is_journal)
		snprintf(priority, sizeof(priority), "<%d>", level_syslog[level]);
	n = snprintf(line, sizeof(line), "%s%s: %s: %s\n", priority, target.name, level_text[level],
		text);
	write_all_or_drop(STDERR_FILENO, line, (size_t)n);
}

static int journal_line(enum log_level level, const struct log_subject *about, const char *text)
{
	char priority[] = {(char)('0' + level_syslog[level]), 0}, client[24];
	const struct journal_field fields[] = {
		{"MESSAGE", text},
		{"PRIORITY", priority},
		{"SYSLOG_IDENTIFIER", target.name},
		{"SYSLOG_FACILITY", "3"}, /* daemon */
		{"XNBD_CLIENT", about->client ? client : NULL},
		{"XNBD_PEER", about->peer},
		{"XNBD_EXPORT", about->export},
	};

	snprintf(client, sizeof(client), "%llu", (unsigned long long)about->client);
	return journal_send(&target.journal, fields, ARRAY_LEN(fields));
}

static void to_journal(enum log_level level, const struct log_subject *about, const char *text)
{
	char more[64];
	unsigned lost;

	if (journal_line(level, about, text) < 0) {
		target.journal_lost++;
		return;
	}
	lost = atomic_exchange(&target.journal_lost, 0);
	if (!lost)
		return;
	snprintf(more, sizeof(more), "%u lines before this were lost: the journal was full", lost);
	if (journal_line(LOG_LEVEL_WARN, &(struct log_subject){0}, more) < 0)
		target.journal_lost += lost;
}

void log_line(enum log_level level, const struct log_subject *about, const char *text)
{
	if (target.level < level)
		return;
	if (target.fn) {
		target.fn(level, about, text);
		return;
	}
	if (target.journal.fd >= 0)
		to_journal(level, about, text);
	if (target.syslog)
		syslog(level_syslog[level], "%s", text);
	if (target.file >= 0)
		to_file(level, text);
	if (log_on_stderr())
		to_stderr(level, text);
}

/* What of a long name goes into a line: never half a character. */
static int shown_length(const char *name)
{
	size_t len = strlen(name);

	if (len <= EXPORT_SHOWN_MAX)
		return (int)len;
	for (len = EXPORT_SHOWN_MAX; len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80;)
		len--;
	return (int)len;
}

static int put_subject(char *out, size_t room, const struct log_subject *s)
{
	int shown = s->export ? shown_length(s->export) : 0, n = 0;

	if (shown)
		n = snprintf(
			out, room, "%.*s%s: ", shown, s->export, s->export[shown] ? "..." : "");
	if (s->client)
		n += snprintf(out + n, room - (size_t)n,
			"client %llu (%.128s): ", (unsigned long long)s->client,
			s->peer ? s->peer : "unknown");
	else if (s->peer)
		n += snprintf(out + n, room - (size_t)n, "client %.128s: ", s->peer);
	return n;
}

__attribute__((format(printf, 3, 0))) static void emit(
	enum log_level level, const struct log_subject *about, const char *fmt, va_list ap)
{
	struct log_subject subject = about ? *about : (struct log_subject){0};
	char raw[LINE_MAX_BYTES / 2], text[LINE_MAX_BYTES];
	int n, saved = errno;

	if (!subject.export)
		subject.export = target.own_export;
	n = put_subject(raw, sizeof(raw), &subject);
	vsnprintf(raw + n, sizeof(raw) - (size_t)n, fmt, ap);
	str_printable(text, sizeof(text), raw, strlen(raw));
	log_line(level, &subject, text);
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
		emit((value), NULL, fmt, ap);                                                      \
		va_end(ap);                                                                        \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

void log_about(enum log_level level, const struct log_subject *about, const char *fmt, ...)
{
	va_list ap;

	if (target.level < level)
		return;
	va_start(ap, fmt);
	emit(level, about, fmt, ap);
	va_end(ap);
}

void log_export(enum log_level level, const char *name, const char *fmt, ...)
{
	const struct log_subject about = {.export = name};
	va_list ap;

	if (target.level < level)
		return;
	va_start(ap, fmt);
	emit(level, &about, fmt, ap);
	va_end(ap);
}

void log_start_error(const char *text)
{
	bool seen = log_on_stderr() || (target.journal.fd >= 0 && target.stderr_is_journal);

	log_error("%s", text);
	if (!seen)
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

/* Of a line at this level; also tells of those that were left out before. */
static bool peer_line_passes(enum log_level level)
{
	unsigned dropped;

	if (target.level < level || !peer_line_allowed(&dropped))
		return false;
	if (dropped)
		log_warn("%u lines about clients were left out (too many at once)", dropped);
	return true;
}

void log_peer(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!peer_line_passes(level))
		return;
	va_start(ap, fmt);
	emit(level, NULL, fmt, ap);
	va_end(ap);
}

void log_client(enum log_level level, const struct log_subject *about, const char *fmt, ...)
{
	va_list ap;

	if (!peer_line_passes(level))
		return;
	va_start(ap, fmt);
	emit(level, about, fmt, ap);
	va_end(ap);
}
