/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is remembered of the peer and of troubles, as small JSON files; see state.h. Times are for
 * people: a damaged file of these two is told as such, and nothing is decided by it.
 */
#include "fsutil.h"
#include "state.h"
#include "state_inner.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

enum { NOTE_MAX = 64 * 1024, BOOT_ID_MAX = 64 };

/* One writer at a time: notes are written without the set's lock too, and fs_replace() has but one
 * temporary name for a file. A descriptor to be closed, or -errno. */
static int own_folder(const struct state *s)
{
	int fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	while ((r = flock(fd, LOCK_EX)) < 0 && errno == EINTR)
		;
	if (r == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static int write_json(const struct state *s, const char *name, json_t *o)
{
	CLEANUP_FD int own = own_folder(s);
	CLEANUP_FREE char *path = state_file(s, name);
	CLEANUP_FREE char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;

	json_decref(o);
	if (own < 0)
		return own;
	return path && text ? fs_replace(path, text, strlen(text), 0600, NULL) : -ENOMEM;
}

/* NULL with *ret = -errno. */
static json_t *read_json(const struct state *s, const char *name, int *ret)
{
	CLEANUP_FREE char *path = state_file(s, name);
	CLEANUP_FREE char *text = NULL;
	size_t len;
	json_t *o;

	*ret = path ? fs_read(path, NOTE_MAX, &text, &len, NULL) : -ENOMEM;
	if (*ret < 0)
		return NULL;
	o = json_loadb(text, len, 0, NULL);
	if (!json_is_object(o)) {
		json_decref(o);
		o = NULL;
	}
	*ret = o ? 0 : -EBADMSG;
	return o;
}

static void get_text(const json_t *o, const char *key, char *out, size_t room)
{
	const char *text = json_string_value(json_object_get(o, key));

	str_printable(out, room, text ? text : "", text ? strlen(text) : 0);
}

static uint64_t get_count(const json_t *o, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(o, key));

	return n > 0 ? (uint64_t)n : 0;
}

static void put_hash(json_t *o, const char *key, const uint8_t hash[MANIFEST_HASH])
{
	char hex[MANIFEST_HEX];

	hash_to_hex(hash, hex);
	json_object_set_new(o, key, json_string(hex));
}

static void get_hash(const json_t *o, const char *key, uint8_t ret[MANIFEST_HASH])
{
	const char *text = json_string_value(json_object_get(o, key));

	if (!text || hash_from_hex(text, strlen(text), ret) < 0)
		memset(ret, 0, MANIFEST_HASH);
}

/* "N s ago" needs a clock that nobody sets, and that a boot begins anew. */

static uint64_t boottime_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void boot_id(char ret[BOOT_ID_MAX])
{
	CLEANUP_FD int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fs_read_at(fd, ret, BOOT_ID_MAX - 1, 0);

	ret[n > 0 ? n : 0] = 0;
	ret[strcspn(ret, "\n")] = 0;
}

/* The peer's side. */

static json_t *print_vector(const struct vector *v)
{
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(v->at); i++) {
		if (*v->at[i].node)
			json_object_set_new(
				o, v->at[i].node, json_integer((json_int_t)v->at[i].count));
	}
	return o;
}

static int name_order(const void *a, const void *b)
{
	const struct vector_count *x = a, *y = b;

	if (!*x->node || !*y->node)
		return !*x->node - !*y->node;
	return strcmp(x->node, y->node);
}

static void parse_vector(json_t *o, struct vector *ret)
{
	const char *node;
	json_t *count;
	size_t n = 0;

	*ret = (struct vector){0};
	json_object_foreach(o, node, count)
	{
		if (n == ARRAY_LEN(ret->at) || !generation_name_ok(node))
			break;
		snprintf(ret->at[n].node, sizeof(ret->at[n].node), "%s", node);
		ret->at[n++].count =
			json_integer_value(count) > 0 ? (uint64_t)json_integer_value(count) : 0;
	}
	qsort(ret->at, ARRAY_LEN(ret->at), sizeof(ret->at[0]), name_order);
}

static json_t *print_side(const struct plan_side *side)
{
	json_t *o = json_pack("{s:I, s:o, s:b, s:b, s:b, s:b}", "number", (json_int_t)side->number,
		"vector", print_vector(&side->vector), "empty", side->empty, "active", side->active,
		"unusable", side->unusable, "in_doubt", side->in_doubt);

	if (o) {
		put_hash(o, "digest", side->digest);
		put_hash(o, "live", side->live);
	}
	return o;
}

static void parse_side(const json_t *o, struct plan_side *ret)
{
	*ret = (struct plan_side){
		.number = get_count(o, "number"),
		.empty = json_is_true(json_object_get(o, "empty")),
		.active = json_is_true(json_object_get(o, "active")),
		.unusable = json_is_true(json_object_get(o, "unusable")),
		.in_doubt = json_is_true(json_object_get(o, "in_doubt")),
	};
	parse_vector(json_object_get(o, "vector"), &ret->vector);
	get_hash(o, "digest", ret->digest);
	get_hash(o, "live", ret->live);
}

int state_peer_write(const struct state *s, const struct state_peer *p)
{
	char boot[BOOT_ID_MAX], text[sizeof(p->text)];
	json_t *o;

	boot_id(boot);
	str_printable(text, sizeof(text), p->text, strnlen(p->text, sizeof(p->text) - 1));
	o = json_pack("{s:o, s:s, s:I, s:I, s:s, s:b, s:s}", "side", print_side(&p->side),
		"definition", p->definition, "time", (json_int_t)p->time, "boottime",
		(json_int_t)(p->boottime ? p->boottime : boottime_ms()), "boot", boot, "reached",
		p->reached, "text", text);
	return write_json(s, "peer", o);
}

int state_peer_read(const struct state *s, struct state_peer *ret)
{
	char boot[BOOT_ID_MAX], now[BOOT_ID_MAX];
	int r;
	json_t *o = read_json(s, "peer", &r);

	if (!o)
		return r;
	*ret = (struct state_peer){
		.time = json_integer_value(json_object_get(o, "time")),
		.boottime = get_count(o, "boottime"),
		.reached = json_is_true(json_object_get(o, "reached")),
	};
	parse_side(json_object_get(o, "side"), &ret->side);
	get_text(o, "definition", ret->definition, sizeof(ret->definition));
	get_text(o, "text", ret->text, sizeof(ret->text));
	get_text(o, "boot", boot, sizeof(boot));
	boot_id(now);
	if (!*now || strcmp(boot, now) != 0)
		ret->boottime = 0;
	json_decref(o);
	return 0;
}

void state_peer_called(const struct state *s)
{
	CLEANUP_FREE char *path = state_file(s, "peer");

	if (path)
		utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

/* Troubles. */

int state_trouble_write(const struct state *s, const struct state_trouble *t)
{
	char text[sizeof(t->text)];
	json_t *o;

	str_printable(text, sizeof(text), t->text, strnlen(t->text, sizeof(t->text) - 1));
	o = json_pack("{s:i, s:b, s:b, s:I, s:s}", "why", (int)t->why, "held", t->held, "failed",
		t->failed, "since", (json_int_t)t->since, "text", text);
	if (o)
		put_hash(o, "digest", t->digest);
	return write_json(s, "trouble", o);
}

bool state_trouble_read(const struct state *s, struct state_trouble *ret)
{
	int r;
	json_t *o = read_json(s, "trouble", &r);

	if (!o && r == -ENOENT)
		return false;
	*ret = (struct state_trouble){.failed = true};
	if (!o) {
		snprintf(ret->text, sizeof(ret->text), "%s/trouble cannot be read: %s", s->folder,
			strerror(-r));
		return true;
	}
	ret->why = (enum plan_why)MIN_OF(get_count(o, "why"), (uint64_t)PLAN_BECAUSE_IN_DOUBT);
	ret->held = json_is_true(json_object_get(o, "held"));
	ret->failed = json_is_true(json_object_get(o, "failed"));
	ret->since = json_integer_value(json_object_get(o, "since"));
	get_text(o, "text", ret->text, sizeof(ret->text));
	get_hash(o, "digest", ret->digest);
	json_decref(o);
	return true;
}

static int remove_file(const struct state *s, const char *name)
{
	CLEANUP_FREE char *path = state_file(s, name);

	if (!path)
		return -ENOMEM;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

void state_trouble_clear(const struct state *s)
{
	remove_file(s, "trouble");
	remove_file(s, "held");
}

int state_held_write(const struct state *s, const struct generation *g, struct err *err)
{
	CLEANUP_FREE char *path = state_file(s, "held");
	CLEANUP_FD int own = own_folder(s);

	if (own < 0)
		return err_sys(err, -own, "%s", s->folder);
	return path ? state_write_generation(path, g, err) : err_sys(err, ENOMEM, "%s", s->folder);
}

int state_held_read(const struct state *s, struct generation *ret, struct err *err)
{
	CLEANUP_FREE char *path = state_file(s, "held");

	generation_init(ret);
	return path ? state_read_generation(path, ret, err) : err_sys(err, ENOMEM, "%s", s->folder);
}

bool state_is_frozen(const struct state *s)
{
	CLEANUP_FREE char *path = state_file(s, "frozen");

	return !path || access(path, F_OK) == 0;
}

int state_freeze(const struct state *s, bool on, struct err *err)
{
	CLEANUP_FREE char *path = state_file(s, "frozen");
	int r = path ? 0 : -ENOMEM;

	if (r == 0 && on)
		return fs_replace(path, "", 0, 0600, err);
	if (r == 0)
		r = remove_file(s, "frozen");
	return r < 0 ? err_sys(err, -r, "%s/frozen", s->folder) : 0;
}
