/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The new program's side of a handover; see handover.h. What is taken out of the document stays in
 * it until handover_finish(), and its descriptors stay open: so it can be given back as it was.
 */
#include "handover_inner.h"

#include "ipc.h"
#include "log.h"
#include "master.h"
#include "retired.h"
#include "snapshots.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define NOTIFY_VARIABLE "NOTIFY_SOCKET"

static uint64_t number_of(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return (uint64_t)MAX_OF(n, (json_int_t)0);
}

static int fd_of(const json_t *object, const char *key)
{
	json_t *fd = json_object_get(object, key);

	return json_is_integer(fd) ? (int)json_integer_value(fd) : -1;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* Taking it. */

static json_t *read_document(const char *number, struct err *err)
{
	json_error_t error;
	json_t *doc = NULL;
	uint64_t fd;

	if (str_number(number, 0, INT_MAX, &fd) < 0 || lseek((int)fd, 0, SEEK_SET) != 0) {
		err_set(err, EBADF, "%s=%s: not the descriptor of a document", HANDOVER_VARIABLE,
			number);
		return NULL;
	}
	doc = json_loadfd((int)fd, JSON_REJECT_DUPLICATES, &error);
	close((int)fd);
	if (!doc)
		err_set(err, EINVAL, "%s: %s", HANDOVER_VARIABLE, error.text);
	return doc;
}

int handover_take(struct handover *h, struct err *err)
{
	const char *number = getenv(HANDOVER_VARIABLE), *notify = getenv(NOTIFY_VARIABLE);

	*h = (struct handover){0};
	if (!number)
		return 0;
	h->doc = read_document(number, err);
	unsetenv(HANDOVER_VARIABLE);
	if (!h->doc)
		return -err->code;
	handover_inherit(h->doc, false);
	if (notify)
		json_object_set_new(h->doc, "notify", json_string(notify));
	handover_enter_folder(text_of(h->doc, "folder"));
	if (number_of(h->doc, "handover") != HANDOVER_VERSION)
		return err_set(err, EPROTO, "handover %llu: this is version %d",
			(unsigned long long)number_of(h->doc, "handover"), HANDOVER_VERSION);
	return 0;
}

static void drop_fd(json_t *doc, int fd)
{
	json_t *all = json_object_get(doc, "fds");

	for (size_t i = json_array_size(all); i-- > 0;) {
		if (json_integer_value(json_array_get(all, i)) == fd)
			json_array_remove(all, i);
	}
}

/* As the old one was started; or as we were, which is the same as a rule. */
static char **argv_of(const json_t *doc, char **ours)
{
	json_t *words = json_object_get(doc, "argv"), *word;
	char **argv = calloc(json_array_size(words) + 1, sizeof(*argv));
	size_t i;

	if (!argv || !json_array_size(words))
		return ours;
	json_array_foreach(words, i, word) argv[i] = (char *)(uintptr_t)json_string_value(word);
	return argv;
}

void handover_give_back(struct handover *h, char **argv, const char *failure)
{
	int previous = fd_of(h->doc, "previous");
	const char *notify = text_of(h->doc, "notify");

	if (!h->doc || previous < 0)
		return;
	log_error("taking over has failed, the wrapper before goes on: %s", failure);
	json_object_set_new(h->doc, "failed", json_string(failure));
	json_object_del(h->doc, "previous");
	drop_fd(h->doc, previous);
	handover_enter_folder(text_of(h->doc, "folder"));
	if (notify)
		setenv(NOTIFY_VARIABLE, notify, 1);
	if (handover_write(h->doc) >= 0)
		fexecve(previous, argv_of(h->doc, argv), environ);
	log_error("nor can that one: %s", strerror(errno));
}

/* Sockets and locks. */

void handover_listeners(const struct handover *h, struct listeners *ret)
{
	json_t *sockets = json_object_get(h->doc, "listeners"), *one;
	json_t *paths = json_object_get(h->doc, "paths");
	size_t i;

	*ret = (struct listeners){0};
	json_array_foreach(sockets, i, one)
	{
		if (ret->sockets.count < SOCK_LISTEN_MAX)
			ret->sockets.fds[ret->sockets.count++] = fd_of(one, "fd");
	}
	json_array_foreach(paths, i, one)
	{
		char *path =
			strdup(json_string_value(one)); /* as long as we live, as all options */

		if (path && ret->path_count < SOCK_LISTEN_MAX)
			ret->paths[ret->path_count++] = path;
	}
}

static int take_fd(const struct handover *h, const char *key, const char *path)
{
	json_t *row = json_object_get(h->doc, key);
	const char *before = text_of(row, "path");

	return before && strcmp(before, path) == 0 ? fd_of(row, "fd") : -1;
}

int handover_control(const struct handover *h, const char *path)
{
	return take_fd(h, "control", path);
}

int handover_claim(const struct handover *h, const char *path)
{
	return take_fd(h, "claim", path);
}

void handover_metrics(const struct handover *h, const char *place, struct sock_list *ret)
{
	json_t *metrics = json_object_get(h->doc, "metrics"), *row;
	const char *before = text_of(metrics, "path");
	size_t i;

	*ret = (struct sock_list){0};
	if (!before || strcmp(before, place) != 0)
		return;
	json_array_foreach(json_object_get(metrics, "fds"), i, row)
	{
		if (ret->count < SOCK_LISTEN_MAX)
			ret->fds[ret->count++] = fd_of(row, "fd");
	}
}

/* Exports. */

static void restore_snapshot(struct master *m, const json_t *row)
{
	const char *parent = text_of(row, "parent"), *path = text_of(row, "path");
	const struct export_entry *e = parent ? exports_by_name(&m->exports, parent) : NULL;
	const char *image = text_of(row, "parent_image");

	if (e && path && image && strcmp(image, e->config.image) == 0)
		snapshots_restore(m, e->id, number_of(row, "id"), path,
			json_is_true(json_object_get(row, "newest")),
			json_is_true(json_object_get(row, "complete")),
			json_is_true(json_object_get(row, "detached")));
}

static int by_id(const void *a, const void *b)
{
	const struct export_entry *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* Those from the index FIRST on. Who is new comes behind all there ever were. */
static void restore_rows(const json_t *doc, struct exports *t, size_t first)
{
	json_t *rows = json_object_get(doc, "exports");

	for (size_t i = first; i < t->count; i++) {
		struct export_entry *e = &t->entries[i];
		json_t *row = json_object_get(rows, e->config.name);
		uint32_t id = (uint32_t)number_of(row, "id");

		e->id = id ? id : ++t->last_id;
		if (row)
			handover_export_restore(e, row);
	}
}

/* Those of --imgfile that were removed; of the configuration they are there again. */
static void drop_removed(const json_t *doc, struct exports *t)
{
	json_t *rows = json_object_get(doc, "exports");

	for (size_t i = t->count; i-- > 0;) {
		const struct export_entry *e = &t->entries[i];

		if (e->config.source == EXPORT_FROM_OPTION &&
			!json_object_get(rows, e->config.name))
			exports_remove(t, e->id);
	}
}

/* In two steps, for snapshots refer to what they were taken of. */
static void restore_exports(const json_t *doc, struct master *m)
{
	struct exports *t = &m->exports;
	size_t count, i;
	uint32_t last;
	json_t *row;

	drop_removed(doc, t);
	count = t->count;
	t->last_id = (uint32_t)number_of(doc, "last_export");
	restore_rows(doc, t, 0);
	last = t->last_id;
	json_array_foreach(json_object_get(doc, "snapshots"), i, row) restore_snapshot(m, row);
	t->last_id = last;
	restore_rows(doc, t, count);
	if (t->count > 0)
		qsort(t->entries, t->count, sizeof(*t->entries), by_id);
}

static void restore_evicted(const json_t *doc, struct master *m)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(doc, "evicted"), i, row)
	{
		const char *host = text_of(row, "host");

		if (i >= ACCESS_EVICTED_MAX || !host)
			break;
		m->evicted[i].export_id = (uint32_t)number_of(row, "export");
		m->evicted[i].until = number_of(row, "until");
		snprintf(m->evicted[i].host, sizeof(m->evicted[i].host), "%s", host);
	}
}

static void restore_log_level(const json_t *doc, const struct master *m)
{
	const char *now = text_of(doc, "log_level"), *before = text_of(doc, "log_level_configured");
	enum log_level level;

	if (before && strcmp(before, m->options->log_level) == 0 && now &&
		log_level_parse(now, &level))
		log_level(level);
}

void handover_restore(const struct handover *h, struct master *m)
{
	if (!h->doc)
		return;
	restore_exports(h->doc, m);
	restore_evicted(h->doc, m);
	restore_log_level(h->doc, m);
	m->last_client = number_of(h->doc, "last_client");
	m->last_worker = number_of(h->doc, "last_worker");
	m->began = number_of(h->doc, "began");
	m->upgrades = (unsigned)number_of(h->doc, "upgrades") + !json_object_get(h->doc, "failed");
}

json_t *handover_servers(const struct handover *h)
{
	return json_object_get(h->doc, "servers");
}

const char *handover_folder(const struct handover *h)
{
	return text_of(h->doc, "run_folder");
}

/* Negotiators. */

/* Those that speak otherwise have no clients left; they end with their channels. */
int handover_link(const struct handover *h, struct master *m)
{
	bool same = number_of(h->doc, "ipc") == IPC_VERSION;
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(h->doc, "negotiators"), i, row)
	{
		/* A copy: what was handed on must stay, to be given back. */
		int fd = same ? fcntl(fd_of(row, "fd"), F_DUPFD_CLOEXEC, 0) : -1, ret;

		if (fd < 0)
			continue;
		ret = retired_add(m, (pid_t)number_of(row, "pid"), fd);
		if (ret < 0)
			return ret;
	}
	return 0;
}

void handover_retire(const struct handover *h, struct master *m)
{
	json_t *rows = json_object_get(h->doc, "exports"), *row;
	const char *name;

	json_object_foreach(rows, name, row)
	{
		uint32_t gone = (uint32_t)number_of(row, "id");

		if (!exports_by_id(&m->exports, gone))
			retired_tell(m, IPC_FORGET, &gone, sizeof(gone));
	}
	retired_tell(m, IPC_RETIRE, NULL, 0);
}

/* The end. */

static void answer(const struct handover *h, const struct master *m, struct ctl_conn *c)
{
	const char *failed = text_of(h->doc, "failed"), *before = text_of(h->doc, "version");
	char text[ERR_TEXT_MAX];
	json_t *reply;

	if (failed) {
		snprintf(text, sizeof(text),
			"the new program could not take over, the one before goes on: %s", failed);
		ctl_send_error(c, text);
		return;
	}
	snprintf(text, sizeof(text), "upgraded from version %s to %s, with %u clients",
		before ? before : "?", XNBD_VERSION, m->client_count);
	reply = ctl_ok();
	json_object_update_new(reply,
		json_pack("{s:s, s:s, s:s, s:i}", "text", text, "from", before ? before : "?",
			"version", XNBD_VERSION, "clients", (int)m->client_count));
	ctl_send(c, reply, -1);
}

static void close_fd(const json_t *object, const char *key)
{
	int fd = fd_of(object, key);

	if (fd >= 0)
		close(fd);
}

/* What was there twice so that it could be given back. */
static void close_spare(const json_t *doc, const struct master *m)
{
	json_t *control = json_object_get(doc, "control"), *claim = json_object_get(doc, "claim");
	json_t *metrics = json_object_get(doc, "metrics"), *row;
	size_t i;

	close_fd(doc, "previous");
	if (!m->options->metrics || !text_of(metrics, "path") ||
		strcmp(m->options->metrics, text_of(metrics, "path")) != 0)
		json_array_foreach(json_object_get(metrics, "fds"), i, row) close_fd(row, "fd");
	json_array_foreach(json_object_get(doc, "negotiators"), i, row) close_fd(row, "fd");
	if (fd_of(control, "fd") != m->ctl.fd) {
		unlink(text_of(control, "path"));
		close_fd(control, "fd");
	}
	if (fd_of(claim, "fd") != m->claim)
		close_fd(claim, "fd");
}

void handover_finish(struct handover *h, struct master *m)
{
	json_t *row;
	size_t i;

	if (!h->doc)
		return;
	close_spare(h->doc, m);
	json_array_foreach(json_object_get(h->doc, "conns"), i, row)
	{
		struct ctl_conn *c = ctl_server_admit(&m->ctl, fd_of(row, "fd"));

		if (c && json_is_true(json_object_get(row, "asked")))
			answer(h, m, c);
	}
	log_info("taken over from version %s, pid %d as before",
		text_of(h->doc, "version") ? text_of(h->doc, "version") : "?", (int)getpid());
	json_decref(h->doc);
	h->doc = NULL;
}
