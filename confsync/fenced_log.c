/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of the audit log; see fenced_log.h. A line is an object with number and hash of the line
 * before, and ends in a newline; anything else is a piece that a crash left, and is passed over.
 * Lines count as soon as it is certain that they are behind the point: by their place, by the chain
 * of hashes, or by their number in a file that says it continues another one.
 */
#include "fenced_log.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { LINE_MAX_BYTES = 32768 };

struct walk {
	const char *victim;
	const struct fenced_point *from;
	struct fenced_point to;
	bool behind; /* what follows is behind FROM */
	bool first;  /* no line was seen yet */
	bool fenced;
};

static bool hash_line(const char *line, size_t len, char ret[MANIFEST_HEX])
{
	uint8_t hash[EVP_MAX_MD_SIZE];

	if (EVP_Digest(line, len, hash, NULL, EVP_sha256(), NULL) != 1)
		return false;
	hash_to_hex(hash, ret);
	return true;
}

/* Lines. */

static bool has_text(const json_t *o, const char *key, const char *text)
{
	const char *value = json_string_value(json_object_get(o, key));

	return value && strcmp(value, text) == 0;
}

/* A reboot that is done was off in between. What an administrator confirmed was not verified. */
static bool says_off(const json_t *o, const char *victim)
{
	const char *name = json_string_value(json_object_get(o, "victim"));

	return has_text(o, "event", "end") && has_text(o, "outcome", "done") &&
		(has_text(o, "action", "off") || has_text(o, "action", "reboot")) && name &&
		strcasecmp(name, victim) == 0;
}

/* Does the file's first line go on from FROM, or from a line behind it? */
static bool goes_on(const struct walk *w, const json_t *o, uint64_t seq)
{
	if (w->from->log == FENCED_NO_LINE)
		return true;
	return w->from->log == FENCED_POINT &&
		(has_text(o, "prev", w->from->hash) ||
			(json_is_true(json_object_get(o, "continues")) && seq > w->from->seq));
}

static void take_object(struct walk *w, const json_t *o, const char *line, size_t len, uint64_t end)
{
	uint64_t seq = (uint64_t)json_integer_value(json_object_get(o, "seq"));
	char hash[MANIFEST_HEX];

	if (!hash_line(line, len, hash))
		return;
	if (w->first)
		w->behind = w->behind || goes_on(w, o, seq);
	w->first = false;
	if (w->behind && says_off(o, w->victim))
		w->fenced = true;
	if (w->from->log == FENCED_POINT && strcmp(hash, w->from->hash) == 0)
		w->behind = true;
	w->to.log = FENCED_POINT;
	w->to.end = end;
	w->to.length = len;
	w->to.seq = seq;
	memcpy(w->to.hash, hash, sizeof(hash));
}

static void take_line(struct walk *w, const char *line, size_t len, uint64_t end)
{
	json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *prev = json_string_value(json_object_get(o, "prev"));

	if (json_integer_value(json_object_get(o, "seq")) > 0 && prev &&
		strlen(prev) == MANIFEST_HEX - 1)
		take_object(w, o, line, len, end);
	json_decref(o);
}

/* Files. */

/* Longer ones are none. */
static void walk_lines(struct walk *w, FILE *in, uint64_t at)
{
	CLEANUP_FREE char *line = malloc(LINE_MAX_BYTES);
	size_t len = 0;
	int ch;

	while (line && (ch = getc_unlocked(in)) != EOF) {
		at++;
		if (ch != '\n') {
			if (len < LINE_MAX_BYTES)
				line[len] = (char)ch;
			len += len <= LINE_MAX_BYTES;
			continue;
		}
		if (len && len <= LINE_MAX_BYTES)
			take_line(w, line, len, at);
		len = 0;
	}
}

/* Is FROM still where it was? */
static bool is_there(int fd, const struct stat *st, const struct fenced_point *from)
{
	char line[LINE_MAX_BYTES + 1], hash[MANIFEST_HEX];
	size_t len = from->length + 1;

	if (from->log != FENCED_POINT || st->st_dev != from->device || st->st_ino != from->inode ||
		from->length >= sizeof(line) || from->end < len ||
		from->end > (uint64_t)st->st_size ||
		pread(fd, line, len, (off_t)(from->end - len)) != (ssize_t)len)
		return false;
	return line[len - 1] == '\n' && hash_line(line, len - 1, hash) &&
		strcmp(hash, from->hash) == 0;
}

/* 0, -ENOENT, other -errno. KNOWN: only if FROM is in it. */
static int walk_file(struct walk *w, const char *path, bool known)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	FILE *in;
	bool there;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	there = is_there(fd, &st, w->from);
	in = !known || there ? fdopen(fd, "r") : NULL;
	if (!in || (there && fseeko(in, (off_t)w->from->end, SEEK_SET) < 0)) {
		in ? fclose(in) : close(fd);
		return known ? -ENOENT : -EIO;
	}
	if (there)
		w->to = *w->from;
	w->to.device = st.st_dev;
	w->to.inode = st.st_ino;
	w->first = true;
	w->behind = there;
	walk_lines(w, in, there ? w->from->end : 0);
	there = ferror(in);
	fclose(in);
	return there ? -EIO : 0;
}

/* The rest of a log that was moved away since. */
static bool look_in_old(const char *path, struct walk w)
{
	char old[PATH_MAX];

	if (w.from->log != FENCED_POINT ||
		snprintf(old, sizeof(old), "%s.1", path) >= (int)sizeof(old))
		return false;
	w.fenced = false;
	return walk_file(&w, old, true) == 0 && w.fenced;
}

/* A log without a line goes on from where it was: its next line says so. */
bool fenced_log_look(const char *path, const char *victim, const struct fenced_point *from,
	struct fenced_point *ret)
{
	struct walk w = {.victim = victim, .from = from, .to = {.log = FENCED_NO_LINE}};
	int r = *path ? walk_file(&w, path, false) : -ENOENT;
	bool old = *path && look_in_old(path, w);

	if (r < 0 && r != -ENOENT)
		w.to = (struct fenced_point){.log = FENCED_UNKNOWN};
	else if (w.to.log == FENCED_NO_LINE && from->log == FENCED_POINT)
		w.to = *from;
	*ret = w.to;
	return (r == 0 && w.fenced) || old;
}
