/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What we remember of the peer in .peer-seen; see fenced.h. A file that is missing, damaged, or of
 * another peer or another log is a peer we never spoke with: nothing counts then but the word of an
 * administrator. The file is replaced as a whole, so a crash leaves the old point or the new one;
 * with the old one more counts, which is only so until the peer is spoken with again.
 */
#include "fenced.h"

#include "fenced_log.h"
#include "fsutil.h"
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { SEEN_BYTES_MAX = 16384, SEEN_MODE = 0600 };

struct seen {
	struct fenced_point point;
	bool noted; /* an administrator said so */
};

static int path_of(const struct config *c, char ret[PATH_MAX])
{
	int n = snprintf(ret, PATH_MAX, "%s/.peer-seen", c->general.state_directory);

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Text. */

static bool is_text(const json_t *o, const char *key, const char *text)
{
	const char *value = json_string_value(json_object_get(o, key));

	return value && strcmp(value, text) == 0;
}

static uint64_t number(const json_t *o, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(o, key));

	return n > 0 ? (uint64_t)n : 0;
}

static void parse_point(const json_t *o, struct fenced_point *ret)
{
	const char *hash = json_string_value(json_object_get(o, "hash"));
	uint8_t bytes[MANIFEST_HASH];

	*ret = (struct fenced_point){.log = FENCED_UNKNOWN};
	if (is_text(o, "log", "none")) {
		ret->log = FENCED_NO_LINE;
	} else if (is_text(o, "log", "point") && hash &&
		hash_from_hex(hash, strlen(hash), bytes) == 0) {
		*ret = (struct fenced_point){.log = FENCED_POINT,
			.device = number(o, "device"),
			.inode = number(o, "inode"),
			.end = number(o, "end"),
			.length = number(o, "length"),
			.seq = number(o, "seq")};
		hash_to_hex(bytes, ret->hash);
	}
}

static json_t *print(const struct config *c, const struct seen *s)
{
	static const char *const logs[] = {
		[FENCED_UNKNOWN] = "unknown", [FENCED_NO_LINE] = "none", [FENCED_POINT] = "point"};
	const struct fenced_point *p = &s->point;

	return json_pack("{ss ss ss sI sI sI sI sI ss sb}", "peer", c->peer->name, "path",
		c->general.fence_log, "log", logs[p->log], "device", (json_int_t)p->device, "inode",
		(json_int_t)p->inode, "end", (json_int_t)p->end, "length", (json_int_t)p->length,
		"seq", (json_int_t)p->seq, "hash", p->hash, "noted", s->noted);
}

/* Files. */

static void read_seen(const struct config *c, struct seen *ret)
{
	char path[PATH_MAX];
	CLEANUP_FREE char *text = NULL;
	json_t *o = NULL;
	size_t len;

	*ret = (struct seen){.point = {.log = FENCED_UNKNOWN}};
	if (path_of(c, path) == 0 && fs_read(path, SEEN_BYTES_MAX, &text, &len, NULL) == 0)
		o = json_loadb(text, len, 0, NULL);
	if (is_text(o, "peer", c->peer->name)) {
		ret->noted = json_is_true(json_object_get(o, "noted"));
		if (is_text(o, "path", c->general.fence_log))
			parse_point(o, &ret->point);
	}
	json_decref(o);
}

static int write_seen(const struct config *c, const struct seen *s, struct err *err)
{
	json_t *o = print(c, s);
	CLEANUP_FREE char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	char path[PATH_MAX];

	json_decref(o);
	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	if (path_of(c, path) < 0)
		return err_set(err, ENAMETOOLONG, "%.200s: the name of the folder is too long",
			c->general.state_directory);
	return fs_replace(path, text, strlen(text), SEEN_MODE, err);
}

static bool is_same(const struct fenced_point *a, const struct fenced_point *b)
{
	return a->log == b->log && a->device == b->device && a->inode == b->inode &&
		a->end == b->end && a->length == b->length && a->seq == b->seq &&
		strcmp(a->hash, b->hash) == 0;
}

bool fenced_since_seen(const struct config *c)
{
	struct fenced_point now;
	struct seen s;

	read_seen(c, &s);
	return fenced_log_look(c->general.fence_log, c->peer->name, &s.point, &now) || s.noted;
}

int fenced_seen(const struct config *c, struct err *err)
{
	struct seen s, now = {0};

	read_seen(c, &s);
	fenced_log_look(c->general.fence_log, c->peer->name, &s.point, &now.point);
	if (!s.noted && is_same(&s.point, &now.point))
		return 0;
	return write_seen(c, &now, err);
}

int fenced_note(const struct config *c, const char *node, struct err *err)
{
	struct seen s;

	if (strcasecmp(node, c->peer->name) != 0)
		return err_set(
			err, EINVAL, "%.64s: is not the peer, which is %s", node, c->peer->name);
	read_seen(c, &s);
	s.noted = true;
	return write_seen(c, &s, err);
}
