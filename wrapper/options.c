/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of xnbd-wrapper; man/xnbd-wrapper.8 is compared with this table by a test. */
#include "options.h"

#include "handshake.h"
#include "listen.h"
#include "log.h"
#include "nbd.h"
#include "spin.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define FIELD(name) offsetof(struct wrapper_options, name)

static const struct opt rows[] = {
	{"imgfile", 'f', OPT_LIST, FIELD(imgfiles), "PATH", 0, 0,
		"export PATH under the name PATH, repeatable"},
	{"config", 'c', OPT_TEXT, FIELD(config), "FILE", 0, 0,
		"read settings and exports from FILE; options win over it"},
	{"check", 0, OPT_FLAG, FIELD(check), NULL, 0, 0,
		"tell all faults of the configuration, serve nothing"},
	{"dump", 0, OPT_FLAG, FIELD(dump), NULL, 0, 0,
		"show the configuration as it is in effect, serve nothing"},
	{"laddr", 'l', OPT_LIST, FIELD(laddr), "ADDRESS", 0, 0,
		"address to listen on, repeatable (default: all of IPv4 and IPv6)"},
	{"lport", 'p', OPT_NUMBER, FIELD(lport), "PORT", 1, 65535,
		"TCP port to listen on (default 8520)"},
	{"port", 0, OPT_NUMBER, FIELD(lport), "PORT", 1, 65535, "the same as --lport"},
	{"lsocket", 'u', OPT_LIST, FIELD(sockets), "PATH", 0, 0,
		"serve clients on a unix socket, repeatable; without --laddr not on TCP"},
	{"socket", 's', OPT_TEXT, FIELD(control), "PATH", 0, 0,
		"control socket (default " WRAPPER_DEFAULT_CONTROL ")"},
	{"xnbd-server", 'b', OPT_TEXT, FIELD(server), "COMMAND", 0, 0, "the xnbd-server to start"},
	{"xnbd-binary", 0, OPT_TEXT, FIELD(server), "COMMAND", 0, 0, "the same as --xnbd-server"},
	{"xnbd-bgctl", 0, OPT_TEXT, FIELD(bgctl), "COMMAND", 0, 0,
		"not needed, taken for old command lines"},
	{"cow", 0, OPT_FLAG, FIELD(cow), NULL, 0, 0,
		"give each client a private overlay, images stay unchanged"},
	{"cow-dir", 0, OPT_TEXT, FIELD(cow_dir), "DIR", 0, 0,
		"folder for overlays (default: that of the image)"},
	{"readonly", 0, OPT_FLAG, FIELD(readonly), NULL, 0, 0, "export everything read-only"},
	{"daemonize", 'd', OPT_FLAG, FIELD(daemonize), NULL, 0, 0,
		"run in the background once ready"},
	{"logpath", 'L', OPT_TEXT, FIELD(logpath), "FILE", 0, 0, "append log lines to FILE"},
	{"syslog", 'S', OPT_FLAG, FIELD(syslog), NULL, 0, 0, "log to syslog"},
	{"journal", 0, OPT_FLAG, FIELD(journal), NULL, 0, 0, "log to the systemd journal"},
	{"log-level", 0, OPT_TEXT, FIELD(log_level), "LEVEL", 0, 0,
		"what is logged: error, warn, info (default) or debug"},
	{"dbpath", 0, OPT_TEXT, FIELD(dbpath), "FILE", 0, 0,
		"state file (default " WRAPPER_DEFAULT_STATE ")"},
	{"max-queue-size", 'Q', OPT_NUMBER, FIELD(max_queue_size), "N", 0, 4096,
		"requests in flight per client (default 256)"},
	{"max-buf-size", 'B', OPT_SIZE, FIELD(max_buf_size), "BYTES", 0, 1ULL << 40,
		"buffer memory of an export (default 512M)"},
	{"max-clients", 0, OPT_NUMBER, FIELD(max_clients), "N", 1, 1000000,
		"clients at once (default 16384)"},
	{"max-clients-per-peer", 0, OPT_NUMBER, FIELD(max_clients_per_peer), "N", 1, 1000000,
		"clients at once from one address (default 16384)"},
	{"engine", 'e', OPT_TEXT, FIELD(engine), "NAME", 0, 0,
		"disk I/O by io_uring or threads (default: auto)"},
	{"busy-poll", 0, OPT_NUMBER, FIELD(busy_poll), "USEC", 0, SPIN_MAX_US,
		"look for requests so long before sleeping (default 50, 0 = never)"},
	{"direct", 0, OPT_FLAG, FIELD(direct), NULL, 0, 0,
		"read and write images past the page cache (O_DIRECT)"},
	{"metrics", 0, OPT_TEXT, FIELD(metrics), "ADDRESS:PORT", 0, 0,
		"serve figures for Prometheus by HTTP"},
	{"upgrade-check", 0, OPT_FLAG, FIELD(upgrade_check), NULL, 0, 0, NULL},
	{"negotiator-fd", 0, OPT_NUMBER, FIELD(negotiator_fd), "N", 0, 1000000, NULL},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
	{"version", 'v', OPT_FLAG, FIELD(version), NULL, 0, 0, "show the version"},
};

const struct opt_set wrapper_option_set = {
	.usage = "xnbd-wrapper [OPTION ...]",
	.about = "Serves named exports to NBD clients, each by an xnbd-server of its own.",
	.rows = rows,
	.count = ARRAY_LEN(rows),
};

void wrapper_options_default(struct wrapper_options *o)
{
	memset(o, 0, sizeof(*o));
	o->lport = NBD_DEFAULT_PORT;
	o->control = WRAPPER_DEFAULT_CONTROL;
	o->dbpath = WRAPPER_DEFAULT_STATE;
	o->max_clients = o->max_clients_per_peer = 16384;
	o->busy_poll = SPIN_DEFAULT_US;
	o->log_level = "info";
	o->handshake_timeout = HANDSHAKE_OPTION_MS / 1000;
	o->negotiator_fd = UINT64_MAX;
}

static int check_metrics(const char *text, struct err *err)
{
	struct listen_place place;

	if (text && (listen_parse(text, &place, NULL) < 0 || place.path))
		return err_set(err, EINVAL,
			"--metrics %.200s: must be ADDRESS:PORT, [ADDRESS]:PORT or *:PORT", text);
	return 0;
}

int wrapper_options_check(const struct wrapper_options *o, int operands, struct err *err)
{
	enum log_level level;

	if (operands > 0)
		return err_set(
			err, EINVAL, "operands are not expected; name images by --imgfile PATH");
	if (o->engine && strcmp(o->engine, "auto") && strcmp(o->engine, "io_uring") &&
		strcmp(o->engine, "threads"))
		return err_set(
			err, EINVAL, "--engine %s: must be auto, io_uring or threads", o->engine);
	if (!log_level_parse(o->log_level, &level))
		return err_set(
			err, EINVAL, "--log-level %s: must be " LOG_LEVEL_NAMES, o->log_level);
	return check_metrics(o->metrics, err);
}
