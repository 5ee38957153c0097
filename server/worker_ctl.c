/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control commands of a worker, a row each.
 *
 *	status                             what it serves and how busy it is
 *	client  id, features, fd: true     a client in transmission, from the master; with
 *	        quiet: true only a failure is answered; snapshot: id of one, instead of the export;
 *	        readonly: true and size: what it was told
 *	stop                               the orderly end, as SIGTERM
 */
#include "util.h"
#include "worker_inner.h"

#include <fcntl.h>
#include <string.h>

static void do_status(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	const struct export_facts *f = &w->storage->facts;
	json_t *answer = ctl_ok();
	struct tally all;

	(void)msg;
	fd_close(&fd);
	worker_tally(w, &all);
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
			(json_int_t)all.bytes_read, "bytes_written", (json_int_t)all.bytes_written,
			"errors", (json_int_t)tally_errors(&all), "requests",
			worker_requests(&all)));
	worker_add_limits(w, answer);
	ctl_send(c, answer, -1);
}

static void do_client(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	const char *text = json_string_value(json_object_get(msg, "features"));
	json_int_t id = json_integer_value(json_object_get(msg, "id"));
	json_int_t snapshot = json_integer_value(json_object_get(msg, "snapshot"));
	json_int_t size = json_integer_value(json_object_get(msg, "size"));
	struct worker_client client = {.fd = fd,
		.id = (uint64_t)MAX_OF(id, (json_int_t)0),
		.snapshot = snapshot > 0 ? worker_find_snapshot(w, (uint64_t)snapshot) : NULL,
		.readonly = json_is_true(json_object_get(msg, "readonly")),
		.told = (uint64_t)MAX_OF(size, (json_int_t)0)};
	struct err err;

	if (fd < 0 || !text || id <= 0) {
		fd_close(&fd);
		ctl_send_error(c, "client: needs id, features and a socket");
	} else if (w->state != WORKER_RUNS) {
		fd_close(&fd);
		ctl_send_error(c, "client: the worker is shutting down");
	} else if (snapshot && !client.snapshot) {
		fd_close(&fd);
		ctl_send_error(c, "client: no such snapshot");
	} else if (feature_parse(text, &client.agreed, &err) < 0) {
		fd_close(&fd);
		ctl_send_error(c, err.text);
	} else {
		fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
		worker_add_client(w, &client);
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

static const struct worker_command *const tables[] = {own_commands, worker_adopt_commands,
	worker_rules_commands, worker_resize_commands, worker_stats_commands, worker_proxy_commands,
	worker_snapshot_commands};

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
