/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of xnbd-server; man/xnbd-server.8 is compared with this table by a test. */
#include "options.h"

#include "export.h"
#include "nbd.h"
#include "spin.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define FIELD(name) offsetof(struct server_options, name)

static const struct opt rows[] = {
	{"target", 't', OPT_SET, FIELD(mode), NULL, MODE_TARGET, 0,
		"serve IMAGE, a file or block device"},
	{"cow-target", 'c', OPT_LATER, 0, NULL, 0, 0, "copy-on-write target (not built yet)"},
	{"proxy", 'p', OPT_LATER, 0, NULL, 0, 0, "caching proxy (not built yet)"},
	{"lport", 'l', OPT_NUMBER, FIELD(lport), "PORT", 1, 65535,
		"TCP port to listen on (default 8520)"},
	{"laddr", 'a', OPT_LIST, FIELD(laddr), "ADDRESS", 0, 0,
		"address to listen on, repeatable (default: all of IPv4 and IPv6)"},
	{"socket", 'u', OPT_LIST, FIELD(sockets), "PATH", 0, 0,
		"listen on a unix socket, repeatable; without --laddr not on TCP"},
	{"daemonize", 'd', OPT_FLAG, FIELD(daemonize), NULL, 0, 0,
		"run in the background once ready"},
	{"readonly", 'r', OPT_FLAG, FIELD(readonly), NULL, 0, 0,
		"export read-only, refuse writes with EPERM"},
	{"direct", 0, OPT_FLAG, FIELD(direct), NULL, 0, 0,
		"read and write past the page cache (O_DIRECT)"},
	{"logpath", 'L', OPT_TEXT, FIELD(logpath), "FILE", 0, 0, "append log lines to FILE"},
	{"syslog", 'S', OPT_FLAG, FIELD(syslog), NULL, 0, 0, "log to syslog"},
	{"inetd", 'i', OPT_FLAG, FIELD(inetd), NULL, 0, 0,
		"serve the one client connected to stdin"},
	{"connected-fd", 'F', OPT_NUMBER, FIELD(connected_fd), "N", 0, 1000000,
		"serve the one client on descriptor N, handshake already done"},
	{"negotiated", 'N', OPT_TEXT, FIELD(negotiated), "FEATURES", 0, 0,
		"what was agreed with it: simple, or structured,extended,base:allocation"},
	{"oldstyle", 'O', OPT_FLAG, FIELD(oldstyle), NULL, 0, 0,
		"greet in the old way, for old initrds"},
	{"export-name", 'n', OPT_TEXT, FIELD(export_name), "NAME", 0, 0,
		"name of the export (default: empty)"},
	{"control", 'C', OPT_TEXT, FIELD(control), "PATH", 0, 0,
		"unix socket for control commands"},
	{"control-fd", 0, OPT_NUMBER, FIELD(control_fd), "N", 0, 1000000, NULL},
	{"threads", 'T', OPT_NUMBER, FIELD(threads), "N", 1, 64,
		"threads that serve clients (default: one per processor, at most 4)"},
	{"engine", 'e', OPT_TEXT, FIELD(engine), "NAME", 0, 0,
		"disk I/O by io_uring or threads (default: auto)"},
	{"busy-poll", 0, OPT_NUMBER, FIELD(busy_poll), "USEC", 0, SPIN_MAX_US,
		"look for requests so long before sleeping (default 50, 0 = never)"},
	{"max-queue-size", 'Q', OPT_NUMBER, FIELD(max_queue_size), "N", 0, 4096,
		"requests in flight per client (default 256)"},
	{"max-buf-size", 'B', OPT_SIZE, FIELD(max_buf_size), "BYTES", 0, 1ULL << 40,
		"buffer memory for all clients (default 512M)"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
	{"version", 'v', OPT_FLAG, FIELD(version), NULL, 0, 0, "show the version"},
};

const struct opt_set server_option_set = {
	.usage = "xnbd-server --target [OPTION ...] IMAGE",
	.about = "Serves one disk image or block device to NBD clients.",
	.rows = rows,
	.count = ARRAY_LEN(rows),
};

void server_options_default(struct server_options *o)
{
	memset(o, 0, sizeof(*o));
	o->lport = NBD_DEFAULT_PORT;
	o->connected_fd = o->control_fd = UINT64_MAX;
	o->export_name = "";
	o->engine = "auto";
	o->busy_poll = SPIN_DEFAULT_US;
}

static int check_client_source(const struct server_options *o, struct err *err)
{
	bool fd = o->connected_fd != UINT64_MAX;

	if (o->inetd && (fd || o->daemonize))
		return err_set(err, EINVAL, "--inetd excludes --connected-fd and --daemonize");
	if (fd && o->daemonize)
		return err_set(err, EINVAL, "--connected-fd excludes --daemonize");
	if ((fd || o->inetd) && (o->laddr.count || o->sockets.count))
		return err_set(err, EINVAL,
			"--inetd and --connected-fd serve one client; they exclude --laddr and --socket");
	if (o->negotiated && !fd)
		return err_set(err, EINVAL, "--negotiated needs --connected-fd");
	if (o->oldstyle && fd)
		return err_set(err, EINVAL,
			"--oldstyle is a handshake; with --connected-fd that is already done");
	return 0;
}

int server_options_check(const struct server_options *o, int operands, struct err *err)
{
	int ret = check_client_source(o, err);

	if (ret < 0)
		return ret;
	if (o->mode == MODE_NONE)
		return err_set(err, EINVAL, "no mode given; use --target IMAGE (see --help)");
	if (operands != 1)
		return err_set(
			err, EINVAL, "--target needs one image or device, %d given", operands);
	if (strcmp(o->engine, "auto") && strcmp(o->engine, "io_uring") &&
		strcmp(o->engine, "threads"))
		return err_set(
			err, EINVAL, "--engine %s: must be auto, io_uring or threads", o->engine);
	if (o->control && o->control_fd != UINT64_MAX)
		return err_set(err, EINVAL, "--control excludes --control-fd");
	return export_check_name(o->export_name, strlen(o->export_name), err);
}
