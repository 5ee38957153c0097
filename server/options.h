/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of xnbd-server as a table. */
#ifndef SERVER_OPTIONS_H
#define SERVER_OPTIONS_H

#include "opt.h"

#include <stdbool.h>

enum server_mode { MODE_NONE, MODE_TARGET, MODE_COW, MODE_PROXY };

struct server_options {
	int mode; /* enum server_mode */
	bool daemonize, inetd, readonly, syslog, journal, oldstyle, direct, help, version;
	const char *logpath;
	const char *log_level;
	uint64_t lport;
	struct opt_list laddr;
	struct opt_list sockets; /* unix */
	uint64_t connected_fd;   /* UINT64_MAX = none */
	const char *negotiated;
	const char *control;
	uint64_t control_fd; /* UINT64_MAX = none */
	const char *export_name;
	const char *target_exportname; /* of the origin; NULL = default */
	bool clear_bitmap;
	uint64_t origin_timeout, origin_wait; /* s */
	uint64_t origin_connections;
	bool cow_shared;
	const char *cow_dir, *cow_layer; /* NULL = not given */
	uint64_t cow_block;              /* bytes, 0 = default */
	uint64_t threads;                /* 0 = by processors */
	const char *engine;
	uint64_t busy_poll;                             /* us, 0 = never */
	uint64_t max_queue_size;                        /* 0 = default */
	uint64_t max_buf_size;                          /* bytes, 0 = default */
	uint64_t block_min, block_preferred, block_max; /* bytes, 0 = default */
	uint64_t idle_timeout;                          /* s, 0 = never */
	uint64_t limit_requests, limit_bandwidth;       /* a second, 0 = none */
};

extern const struct opt_set server_option_set;

void server_options_default(struct server_options *o);
/* What the table cannot say: combinations. 0 or -EINVAL with a line. */
int server_options_check(
	const struct server_options *o, int operands, char **words, struct err *err);

#endif
