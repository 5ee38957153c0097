/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration file of the wrapper, xnbd.conf(5): one section wrapper, one section defaults,
 * and sections export. It is read as a whole and changes nothing by itself.
 */
#ifndef WRAPPER_CONFIG_H
#define WRAPPER_CONFIG_H

#include <stdio.h>

#include "conf.h"
#include "export_config.h"

#define CONFIG_DEFAULT "/etc/xnbd/xnbd.conf"

/* Bit of key.where: a change takes effect on reload, not only at the next start. */
enum {
	WRAPPER_KEY = 1,
	WRAPPER_KEY_LIVE = 2,
	WRAPPER_KEY_SERVERS = 4, /* live, but servers that run go on as they are */
};

/* The section wrapper. Texts not given are NULL; numbers have their defaults. */
struct wrapper_config {
	struct key_texts listen; /* ADDRESS:PORT, [ADDRESS]:PORT, *:PORT, /PATH */
	const char *control, *control_group;
	const char *user, *group;
	const char *run_directory, *state_file, *server;
	struct key_texts log; /* each stderr, syslog, journal or a path */
	int log_level;        /* enum log_level */
	uint64_t max_clients, max_clients_per_peer;
	uint64_t handshake_timeout, idle_timeout; /* s; idle: 0 = never */
	uint64_t poll_sizes;                      /* s, 0 = never */
	const char *metrics;                      /* ADDRESS:PORT, NULL = none */
	struct peers allow, deny;
	bool readonly, cow, direct;
	const char *cow_dir;
	int engine;                            /* index into "auto", "io_uring", "threads" */
	uint64_t busy_poll;                    /* us */
	uint64_t max_queue_size, max_buf_size; /* 0 = the server's default */
};

extern const struct key_set wrapper_keys;

struct config {
	struct wrapper_config wrapper;
	struct export_config *exports; /* defaults applied; in the order of the file */
	size_t count;
};

/*
 * Reads and checks PATH. FILES gets a line for each fault; it is to be given to conf_done() in any
 * case. 0, or -EINVAL with an empty RET.
 */
int config_read(const char *path, struct config *ret, struct conf *files);
void config_free(struct config *c);

/*
 * For those who look before they start: what FILES, read as C without faults, has that could not be
 * served now. Each becomes a line of RET, to be given to conf_done().
 */
void config_warn(const struct conf *files, const struct config *c, struct conf *ret);

/* All that is given, as a file that reads to the same. */
void config_dump(const struct config *c, FILE *out);

/* "stderr", "syslog", "journal" or the path of a file. */
bool config_is_log(const char *text);

#endif
