/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Puts together what the master knows by itself and what the servers answered. Memory and time of
 * processes are read from /proc, which waits for nobody.
 */
#include "figures.h"

#include "access.h"
#include "gather.h"
#include "master.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct asked {
	struct master *master;
	figures_fn *fn;
	void *arg;
};

/* Fields of /proc/PID/stat behind the name, which may have any byte in it. False: it is gone. */
static bool read_stat(pid_t pid, char out[1024], const char **ret_fields)
{
	char path[64];
	CLEANUP_FD int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out, 1023);
	if (n <= 0)
		return false;
	out[n] = 0;
	*ret_fields = strrchr(out, ')');
	return *ret_fields != NULL;
}

/* proc(5): utime and stime are the fields 14 and 15, rss is field 24; the name is field 2. */
static void add_process(json_t *object, pid_t pid)
{
	unsigned long user, system;
	const char *fields;
	char text[1024];
	long pages;

	if (pid <= 0 || !read_stat(pid, text, &fields) ||
		sscanf(fields,
			") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d "
			"%*d %*d %*u %*u %ld",
			&user, &system, &pages) != 3)
		return;
	json_object_set_new(object, "rss", json_integer((json_int_t)pages * sysconf(_SC_PAGESIZE)));
	json_object_set_new(
		object, "cpu", json_real((double)(user + system) / (double)sysconf(_SC_CLK_TCK)));
}

static json_t *process(const char *name, pid_t pid)
{
	json_t *ret = json_pack("{s:s, s:I}", "process", name, "pid", (json_int_t)pid);

	add_process(ret, pid);
	return ret;
}

static json_t *processes(const struct master *m)
{
	json_t *all = json_array();

	json_array_append_new(all, process("master", getpid()));
	if (m->negotiator_pid > 0)
		json_array_append_new(all, process("negotiator", m->negotiator_pid));
	return all;
}

static json_t *snapshots(const struct master *m)
{
	json_t *all = json_object();

	for (size_t i = 0; i < m->exports.count; i++) {
		const struct export_entry *e = &m->exports.entries[i];
		const struct export_entry *of =
			e->parent ? exports_by_id(&m->exports, e->parent) : NULL;
		json_int_t n;

		if (!of || e->newest) /* the newest has a second name */
			continue;
		n = json_integer_value(json_object_get(all, of->config.name));
		json_object_set_new(all, of->config.name, json_integer(n + 1));
	}
	return all;
}

static void gathered(void *arg, json_t *servers)
{
	struct asked *a = arg;
	const struct master *m = a->master;
	json_t *figures, *server;
	size_t i;

	json_array_foreach(servers, i, server)
		add_process(server, (pid_t)json_integer_value(json_object_get(server, "pid")));
	figures = json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:O}", "version", XNBD_VERSION,
		"pid", (json_int_t)getpid(), "began", (json_int_t)access_time(m, m->began),
		"exports", (json_int_t)m->exports.count, "clients", (json_int_t)m->client_count,
		"snapshots", snapshots(m), "processes", processes(m), "servers", servers);
	a->fn(a->arg, figures);
	free(a);
}

int figures_ask(struct master *m, uint32_t export_id, bool clients, figures_fn *fn, void *arg)
{
	json_t *stats = json_pack("{s:s, s:b}", "cmd", "stats", "clients", clients);
	json_t *query = json_pack("{s:s}", "cmd", "query");
	const struct gather_question questions[] = {{.key = "stats", .request = stats},
		{.key = "query", .request = query, .proxies_only = true}};
	struct asked *a = malloc(sizeof(*a));
	int ret = -ENOMEM;

	if (a) {
		*a = (struct asked){m, fn, arg};
		ret = gather_start(m, export_id, questions, ARRAY_LEN(questions), gathered, a);
	}
	if (ret < 0)
		free(a);
	json_decref(stats);
	json_decref(query);
	return ret;
}
