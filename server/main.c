/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xnbd-server: options and start-up order. Options -> log -> background (the last fork) -> storage
 * -> sockets -> threads and rings -> ready -> loop.
 */
#include "ctl.h"
#include "fsutil.h"
#include "listen.h"
#include "log.h"
#include "modes.h"
#include "notify.h"
#include "options.h"
#include "util.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { EXIT_USAGE = 2, DEFAULT_LANES_MAX = 4 };

static struct worker worker;
static struct notify notify;

static int fail(const struct err *err, int status)
{
	log_start_error(err->text);
	return status;
}

static int open_log(const struct server_options *o, struct err *err)
{
	int ret = o->logpath ? log_to_file(o->logpath, err) : 0;
	enum log_level level = LOG_LEVEL_INFO;

	log_level_parse(o->log_level, &level);
	log_level(level);
	log_own_export(o->export_name);
	if (ret == 0 && o->journal)
		ret = log_to_journal(NULL, err);
	if (o->syslog || ((o->daemonize || o->inetd) && !o->logpath && !o->journal))
		log_to_syslog();
	log_upgrade_stderr();
	return ret;
}

static enum engine_kind engine_named(const char *name)
{
	if (strcmp(name, "io_uring") == 0)
		return ENGINE_URING;
	return strcmp(name, "threads") == 0 ? ENGINE_THREADS : ENGINE_AUTO;
}

static struct worker_config config_of(const struct server_options *o, const char *image)
{
	long cpus = MAX_OF(sysconf(_SC_NPROCESSORS_ONLN), 1L);
	bool one_client = o->inetd || o->connected_fd != UINT64_MAX;
	unsigned lanes = one_client ? 1 : (unsigned)MIN_OF(cpus, (long)DEFAULT_LANES_MAX);

	return (struct worker_config){.image = image,
		.export_name = o->export_name,
		.readonly = o->readonly,
		.lanes = o->threads ? (unsigned)o->threads : lanes,
		.engine = engine_named(o->engine),
		.one_client = one_client,
		.of_master = o->control_fd != UINT64_MAX && !one_client,
		.limit_requests = o->limit_requests,
		.limit_bandwidth = o->limit_bandwidth,
		.limits = {.requests = o->max_queue_size ? (unsigned)o->max_queue_size : 256,
			.poll_ns = o->busy_poll * 1000,
			.idle_ms = o->idle_timeout * 1000,
			.conn_bytes = 64 * 1024 * 1024,
			.buffer_bytes =
				o->max_buf_size ? (size_t)o->max_buf_size : 512 * 1024 * 1024}};
}

/* systemd with Accept=yes passes a connected socket: that is inetd in other words. */
static int add_socket(struct worker *w, int fd)
{
	if (sock_is_listening(fd))
		return lobby_listen(&w->lobby, fd);
	w->config.one_client = true;
	sock_prepare(fd);
	return lobby_admit(&w->lobby, fd);
}

static int take_clients(struct worker *w, struct sock_list *list, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < list->count; i++)
		ret = add_socket(w, list->fds[i]);
	return ret < 0 ? err_sys(err, -ret, "client socket") : 0;
}

static int check_socket(int fd, const char *option, struct err *err)
{
	int type;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return err_sys(err, errno, "--%s: descriptor %d", option, fd);
	return 0;
}

/* A client that is already there: fd 0 of inetd, or one in transmission. */
static int take_given_client(struct worker *w, const struct server_options *o, struct err *err)
{
	struct features agreed = {0};
	int fd = o->inetd ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : (int)o->connected_fd;
	int ret = check_socket(fd, o->inetd ? "inetd" : "connected-fd", err);

	if (ret == 0 && o->negotiated)
		ret = feature_parse(o->negotiated, &agreed, err);
	if (ret < 0)
		return ret;
	sock_prepare(fd);
	if (!o->inetd) {
		worker_add_client(w, &(struct worker_client){.fd = fd, .agreed = agreed});
		return 0;
	}
	ret = lobby_admit(&w->lobby, fd);
	return ret < 0 ? err_sys(err, -ret, "client") : 0;
}

static int open_control(struct worker *w, const struct server_options *o, struct err *err)
{
	int fd, ret = 0;

	if (o->control_fd != UINT64_MAX) {
		char path[SOCK_NAME_MAX];

		fd = (int)o->control_fd;
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
		sock_local_name(fd, path, sizeof(path));
		ret = worker_control(w, fd, path, err);
	}
	if (ret < 0 || !o->control)
		return ret;
	fd = sock_listen_unix(o->control, 0600, err);
	return fd < 0 ? fd : worker_control(w, fd, o->control, err);
}

/* After the change to / they must still be found, to be removed or opened anew. */
static void settle_paths(struct server_options *o)
{
	fs_settle(&o->cow_dir);
	fs_settle(&o->cow_layer);
	fs_settle(&o->control);
	fs_settle(&o->logpath);
	for (size_t i = 0; i < o->sockets.count; i++)
		fs_settle(&o->sockets.items[i]);
}

static int open_listeners(const struct server_options *o, const struct worker_config *config,
	struct listeners *l, struct err *err)
{
	const struct listen_wish wish = {&o->laddr, (uint16_t)o->lport, &o->sockets, NULL, 0600};

	if (config->one_client || config->of_master)
		return 0;
	return listen_open(&wish, l, err);
}

/* Takes ST. */
static int set_up_worker(const struct server_options *o, const struct worker_config *config,
	struct storage *st, struct listeners *l, struct err *err)
{
	int ret = worker_init(&worker, config, st, err);

	if (ret == 0)
		ret = open_control(&worker, o, err);
	if (ret == 0 && o->oldstyle)
		worker.lobby.oldstyle = &worker.storage->facts;
	if (ret == 0)
		ret = config->one_client ? take_given_client(&worker, o, err)
					 : take_clients(&worker, &l->sockets, err);
	if (ret < 0)
		worker_done(&worker);
	return ret;
}

/* A proxy's storage has threads, so the last fork comes before it. */
static int set_up(const struct server_options *o, const struct modes_words *words,
	struct listeners *l, struct err *err)
{
	struct worker_config config = config_of(o, words->image);
	struct storage *st;
	int ret = o->daemonize ? proc_daemonize(err) : 0;

	if (ret < 0)
		return ret;
	st = modes_open(o, words, err);
	if (!st)
		return -1;
	worker_hold_signals();
	ret = open_listeners(o, &config, l, err);
	if (ret < 0) {
		st->ops->close(st);
		return ret;
	}
	return set_up_worker(o, &config, st, l, err);
}

static void announce(const struct server_options *o, const char *image)
{
	char status[256];

	for (size_t i = 0; i < worker.lobby.listening; i++) {
		char where[SOCK_NAME_MAX];

		sock_local_name(worker.lobby.listeners[i].fd, where, sizeof(where));
		log_info("serving %s%s on %s", image, o->readonly ? " (read-only)" : "", where);
	}
	snprintf(status, sizeof(status), "serving %.200s", image);
	notify_ready(&notify, status);
}

/* The master is connected already; what it asked is not answered any more. */
static void tell_master(const struct server_options *o, const struct err *err)
{
	CLEANUP_FD int fd = o->control_fd == UINT64_MAX
		? -1
		: accept4((int)o->control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	json_t *msg = json_pack("{s:i, s:b, s:s}", "v", CTL_VERSION, "ok", 0, "error", err->text);
	CLEANUP_FREE char *text = msg ? json_dumps(msg, JSON_COMPACT) : NULL;
	char asked[256];

	json_decref(msg);
	if (fd < 0 || !text)
		return;
	while (recv(fd, asked, sizeof(asked), MSG_DONTWAIT) > 0)
		;
	dprintf(fd, "%s\n", text);
}

static int serve(const struct server_options *o, const struct modes_words *words)
{
	struct listeners listeners = {0};
	struct err err = {0};
	int ret;

	proc_raise_nofile();
	if (notify_init(&notify, &err) < 0)
		log_warn("%s", err.text);
	if (set_up(o, words, &listeners, &err) < 0) {
		listen_remove_files(&listeners);
		tell_master(o, &err);
		return fail(&err, EXIT_FAILURE);
	}
	announce(o, words->image);
	proc_ready();
	worker.files = &listeners;
	worker.notify = &notify;
	ret = worker_run(&worker);
	worker_done(&worker);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static struct server_options o; /* owns the absolute paths */
	static struct modes_words words;
	struct err err = {0};
	int rest, ret;

	log_name("xnbd-server");
	server_options_default(&o);
	if (opt_parse(&server_option_set, argc, argv, &o, &rest, &err) < 0)
		return fail(&err, EXIT_USAGE);
	if (o.help || o.version) {
		if (o.help)
			opt_help(&server_option_set);
		else
			printf("xnbd-server %s\n", XNBD_VERSION);
		return EXIT_SUCCESS;
	}
	ret = server_options_check(&o, argc - rest, argv + rest, &err);
	if (ret < 0)
		return fail(&err, EXIT_USAGE);
	settle_paths(&o);
	if (open_log(&o, &err) < 0)
		return fail(&err, EXIT_FAILURE);
	modes_take(&o, argc - rest, argv + rest, &words);
	if (words.control)
		o.control = words.control;
	return serve(&o, &words);
}
