/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control commands of a worker, a row each.
 *
 *	status                             what it serves and how busy it is
 *	client  id, features, fd: true     a client in transmission, from the master; with
 *	        quiet: true only a failure is answered; snapshot: id of one, instead of the export
 *	stop                               the orderly end, as SIGTERM
 */
#include "util.h"
#include "worker_inner.h"

#include <fcntl.h>
#include <string.h>

static json_t *count_requests(const struct worker *w)
{
	json_t *all = json_object();

	for (unsigned type = 0; type < NBD_CMD_COUNT; type++) {
		uint64_t n = 0;

		if (type == NBD_CMD_DISC)
			continue;
		for (unsigned i = 0; i < w->lanes_ready; i++)
			n += atomic_load(&w->lanes[i].stats.requests[type]);
		json_object_set_new(all, nbd_cmd_name(type), json_integer((json_int_t)n));
	}
	return all;
}

static json_int_t sum(const struct worker *w, size_t offset)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < w->lanes_ready; i++)
		n += atomic_load((_Atomic uint64_t *)(void *)((char *)&w->lanes[i].stats + offset));
	return (json_int_t)n;
}

static void do_status(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	const struct export_facts *f = &w->storage->facts;
	json_t *answer = ctl_ok();

	(void)msg;
	fd_close(&fd);
	json_object_update_new(answer,
		json_pack("{s:s, s:s, s:i, s:s, s:I, s:i, s:i, s:i, s:i}", "version", XNBD_VERSION,
			"mode", storage_mode(w->storage), "pid", (int)getpid(), "image",
			w->config.image, "size", (json_int_t)f->size, "flags", f->flags,
			"block_min", (int)f->block_min, "block_preferred", (int)f->block_preferred,
			"block_max", (int)f->block_max));
	json_object_update_new(answer,
		json_pack("{s:b, s:i, s:s, s:i, s:I, s:I, s:I, s:o}", "readonly",
			!!(f->flags & NBD_FLAG_READ_ONLY), "clients", (int)w->clients, "engine",
			w->lanes[0].engine.ops->name, "threads", (int)w->lanes_ready, "bytes_read",
			sum(w, offsetof(struct lane_stats, bytes_read)), "bytes_written",
			sum(w, offsetof(struct lane_stats, bytes_written)), "errors",
			sum(w, offsetof(struct lane_stats, errors)), "requests",
			count_requests(w)));
	ctl_send(c, answer, -1);
}

static void do_client(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	const char *text = json_string_value(json_object_get(msg, "features"));
	json_int_t id = json_integer_value(json_object_get(msg, "id"));
	json_int_t snapshot = json_integer_value(json_object_get(msg, "snapshot"));
	struct snapshot *s = snapshot > 0 ? worker_find_snapshot(w, (uint64_t)snapshot) : NULL;
	struct features agreed;
	struct err err;

	if (fd < 0 || !text || id <= 0) {
		fd_close(&fd);
		ctl_send_error(c, "client: needs id, features and a socket");
	} else if (w->state != WORKER_RUNS) {
		fd_close(&fd);
		ctl_send_error(c, "client: the worker is shutting down");
	} else if (snapshot && !s) {
		fd_close(&fd);
		ctl_send_error(c, "client: no such snapshot");
	} else if (feature_parse(text, &agreed, &err) < 0) {
		fd_close(&fd);
		ctl_send_error(c, err.text);
	} else {
		fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
		worker_add_client(w, fd, (uint64_t)id, &agreed, s);
		if (!json_is_true(json_object_get(msg, "quiet")))
			ctl_send(c, ctl_ok(), -1);
	}
}

static void do_stop(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	(void)msg;
	fd_close(&fd);
	ctl_send(c, ctl_ok(), -1);
	worker_stop(w);
}

static const struct worker_command own_commands[] = {
	{"status", do_status},
	{"client", do_client},
	{"stop", do_stop},
	{NULL, NULL},
};

static const struct worker_command *const tables[] = {
	own_commands, worker_proxy_commands, worker_snapshot_commands};

static const struct worker_command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		for (const struct worker_command *c = tables[i]; c->name; c++) {
			if (strcmp(c->name, name) == 0)
				return c;
		}
	}
	return NULL;
}

void worker_ctl_request(struct ctl_server *s, struct ctl_conn *c, json_t *msg, int fd)
{
	struct worker *w = s->owner;
	const char *cmd = ctl_command(c, msg);

	const struct worker_command *found = cmd ? find_command(cmd) : NULL;

	if (found) {
		found->fn(w, c, msg, fd);
		return;
	}
	fd_close(&fd);
	if (cmd)
		ctl_send_error(
			c, "unknown command; see CONTROL PROTOCOL in the manual of xnbd-server");
}
