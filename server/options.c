/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of xnbd-server; man/xnbd-server.8 is compared with this table by a test. */
#include "options.h"

#include "cow.h"
#include "export.h"
#include "log.h"
#include "nbd.h"
#include "origin.h"
#include "spin.h"
#include "util.h"

#include <errno.h>
#include <string.h>

enum { BLOCK_MIN_MAX = 64 * 1024, BLOCK_PREFERRED_MIN = 512 };
enum { ORIGIN_TIMEOUT_S = 15, ORIGIN_WAIT_S = 300, ORIGIN_CONNECTIONS = 4 };

#define FIELD(name) offsetof(struct server_options, name)

static const struct opt rows[] = {
	{"target", 't', OPT_SET, FIELD(mode), NULL, MODE_TARGET, 0,
		"serve IMAGE, a file or block device"},
	{"cow-target", 'c', OPT_SET, FIELD(mode), NULL, MODE_COW, 0,
		"serve BASE copy-on-write; it is never written to"},
	{"proxy", 'p', OPT_SET, FIELD(mode), NULL, MODE_PROXY, 0,
		"serve another server's export through a cache here"},
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
	{"cow-shared", 0, OPT_FLAG, FIELD(cow_shared), NULL, 0, 0,
		"one overlay for all clients (default: one for each)"},
	{"cow-dir", 0, OPT_TEXT, FIELD(cow_dir), "FOLDER", 0, 0,
		"where overlays are, without a name (default: beside BASE)"},
	{"cow-layer", 0, OPT_TEXT, FIELD(cow_layer), "FILE", 0, 0,
		"an overlay that stays: FILE and FILE.bitmap"},
	{"cow-block", 0, OPT_SIZE, FIELD(cow_block), "BYTES", COW_BLOCK_MIN, COW_BLOCK_MAX,
		"what is copied at least when a part is written (default 64K)"},
	{"target-exportname", 'n', OPT_TEXT, FIELD(target_exportname), "NAME", 0, 0,
		"proxy: name of the export at the origin (default: empty)"},
	{"clear-bitmap", 'z', OPT_FLAG, FIELD(clear_bitmap), NULL, 0, 0,
		"proxy: take nothing in the cache for granted"},
	{"origin-timeout", 0, OPT_NUMBER, FIELD(origin_timeout), "SEC", 1, 3600,
		"proxy: without an answer the connection is made anew (default 15)"},
	{"origin-wait", 0, OPT_NUMBER, FIELD(origin_wait), "SEC", 0, 1000000,
		"proxy: reads wait so long for a lost origin (default 300, 0 = for ever)"},
	{"origin-connections", 0, OPT_NUMBER, FIELD(origin_connections), "N", 1,
		ORIGIN_CONNECTIONS_MAX, "proxy: connections to the origin (default 4)"},
	{"logpath", 'L', OPT_TEXT, FIELD(logpath), "FILE", 0, 0, "append log lines to FILE"},
	{"syslog", 'S', OPT_FLAG, FIELD(syslog), NULL, 0, 0, "log to syslog"},
	{"journal", 0, OPT_FLAG, FIELD(journal), NULL, 0, 0, "log to the systemd journal"},
	{"log-level", 0, OPT_TEXT, FIELD(log_level), "LEVEL", 0, 0,
		"what is logged: error, warn, info (default) or debug"},
	{"inetd", 'i', OPT_FLAG, FIELD(inetd), NULL, 0, 0,
		"serve the one client connected to stdin"},
	{"connected-fd", 'F', OPT_NUMBER, FIELD(connected_fd), "N", 0, 1000000,
		"serve the one client on descriptor N, handshake already done"},
	{"negotiated", 'N', OPT_TEXT, FIELD(negotiated), "FEATURES", 0, 0,
		"what was agreed with it: simple, or structured,extended,base:allocation"},
	{"oldstyle", 'O', OPT_FLAG, FIELD(oldstyle), NULL, 0, 0,
		"greet in the old way, for old initrds"},
	{"export-name", 0, OPT_TEXT, FIELD(export_name), "NAME", 0, 0,
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
	{"block-min", 0, OPT_SIZE, FIELD(block_min), "BYTES", 1, BLOCK_MIN_MAX,
		"shortest and unit of all requests, up to 64K (default 1)"},
	{"block-preferred", 0, OPT_SIZE, FIELD(block_preferred), "BYTES", BLOCK_PREFERRED_MIN,
		EXPORT_PAYLOAD_MAX, "size and unit of requests that clients do best with"},
	{"block-max", 0, OPT_SIZE, FIELD(block_max), "BYTES", BLOCK_PREFERRED_MIN,
		EXPORT_PAYLOAD_MAX, "longest READ or WRITE (default 64M)"},
	{"idle-timeout", 0, OPT_NUMBER, FIELD(idle_timeout), "SEC", 0, 1000000,
		"end clients that rest so long (default 0 = never)"},
	{"limit-requests", 0, OPT_NUMBER, FIELD(limit_requests), "N", 0, 1000 * 1000 * 1000,
		"requests a second, of all clients together (default 0 = no limit)"},
	{"limit-bandwidth", 0, OPT_SIZE, FIELD(limit_bandwidth), "BYTES", 0, 1ULL << 40,
		"bytes a second, of all clients together (default 0 = no limit)"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
	{"version", 'v', OPT_FLAG, FIELD(version), NULL, 0, 0, "show the version"},
};

const struct opt_set server_option_set = {
	.usage = "xnbd-server --target [OPTION ...] IMAGE\n"
		 "       xnbd-server --cow-target [OPTION ...] BASE\n"
		 "       xnbd-server --proxy [OPTION ...] HOST PORT CACHE BITMAP CONTROL\n"
		 "       xnbd-server --proxy [OPTION ...] URI CACHE BITMAP CONTROL",
	.about = "Serves one disk image, block device or other server's export to NBD clients.",
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
	o->log_level = "info";
	o->busy_poll = SPIN_DEFAULT_US;
	o->origin_timeout = ORIGIN_TIMEOUT_S;
	o->origin_wait = ORIGIN_WAIT_S;
	o->origin_connections = ORIGIN_CONNECTIONS;
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

static int check_origin(const struct server_options *o, int operands, char **words, struct err *err)
{
	char uri[ORIGIN_URI_MAX];

	if (operands == 5)
		return origin_uri(words[0], words[1], o->target_exportname, uri, err);
	if (o->target_exportname)
		return err_set(err, EINVAL,
			"--target-exportname: with a URI the name is part of it (nbd://HOST:PORT/NAME)");
	return export_check_uri(words[0], err);
}

static int check_operands(
	const struct server_options *o, int operands, char **words, struct err *err)
{
	if (o->mode == MODE_PROXY && operands != 4 && operands != 5)
		return err_set(err, EINVAL,
			"--proxy needs HOST PORT CACHE BITMAP CONTROL, or URI CACHE BITMAP CONTROL; %d words given",
			operands);
	if (o->mode != MODE_PROXY && operands != 1)
		return err_set(err, EINVAL, "--%s needs one image or device, %d given",
			o->mode == MODE_COW ? "cow-target" : "target", operands);
	if (o->mode == MODE_PROXY && o->control)
		return err_set(err, EINVAL, "--control: a proxy's control socket is its last word");
	return o->mode == MODE_PROXY ? check_origin(o, operands, words, err) : 0;
}

static int check_proxy(const struct server_options *o, struct err *err)
{
	if (o->mode != MODE_PROXY && (o->target_exportname || o->clear_bitmap))
		return err_set(err, EINVAL, "--target-exportname and --clear-bitmap need --proxy");
	if (o->mode != MODE_PROXY &&
		(o->origin_timeout != ORIGIN_TIMEOUT_S || o->origin_wait != ORIGIN_WAIT_S ||
			o->origin_connections != ORIGIN_CONNECTIONS))
		return err_set(err, EINVAL,
			"--origin-timeout, --origin-wait and --origin-connections need --proxy");
	if (o->mode == MODE_PROXY && o->direct)
		return err_set(err, EINVAL, "--direct excludes --proxy");
	return 0;
}

static int check_cow(const struct server_options *o, struct err *err)
{
	if (o->mode != MODE_COW && (o->cow_shared || o->cow_dir || o->cow_layer || o->cow_block))
		return err_set(err, EINVAL,
			"--cow-shared, --cow-dir, --cow-layer and --cow-block need --cow-target");
	if (o->cow_layer && (o->cow_dir || o->cow_shared))
		return err_set(err, EINVAL,
			"--cow-layer is one overlay for all clients, in FILE; it excludes --cow-shared and --cow-dir");
	if (o->cow_block && !is_power_of_2(o->cow_block))
		return err_set(err, EINVAL, "--cow-block %llu: must be a power of two",
			(unsigned long long)o->cow_block);
	if (o->mode == MODE_COW && o->direct)
		return err_set(err, EINVAL, "--direct excludes --cow-target");
	return 0;
}

static int check_block(
	const char *name, uint64_t bytes, uint64_t least, const char *below, struct err *err)
{
	if (bytes && !is_power_of_2(bytes))
		return err_set(err, EINVAL, "--%s %llu: must be a power of two", name,
			(unsigned long long)bytes);
	if (bytes && bytes < least)
		return err_set(err, EINVAL, "--%s %llu: must be at least %llu, as %s", name,
			(unsigned long long)bytes, (unsigned long long)least, below);
	return 0;
}

/* The rules of the protocol, "Block size constraints". */
static int check_blocks(const struct server_options *o, struct err *err)
{
	uint64_t most = MAX_OF(o->block_min, o->block_preferred);
	const char *largest = o->block_preferred ? "--block-preferred" : "--block-min";
	int ret = check_block("block-min", o->block_min, 1, "", err);

	if (ret == 0)
		ret = check_block(
			"block-preferred", o->block_preferred, o->block_min, "--block-min", err);
	if (ret == 0)
		ret = check_block("block-max", o->block_max, most, largest, err);
	return ret;
}

int server_options_check(
	const struct server_options *o, int operands, char **words, struct err *err)
{
	int ret = check_client_source(o, err);
	enum log_level level;

	if (ret < 0)
		return ret;
	if (o->mode == MODE_NONE)
		return err_set(err, EINVAL,
			"no mode given; use --target, --cow-target or --proxy (see --help)");
	ret = check_operands(o, operands, words, err);
	if (ret < 0)
		return ret;
	ret = check_cow(o, err);
	if (ret == 0)
		ret = check_proxy(o, err);
	if (ret < 0)
		return ret;
	if (strcmp(o->engine, "auto") && strcmp(o->engine, "io_uring") &&
		strcmp(o->engine, "threads"))
		return err_set(
			err, EINVAL, "--engine %s: must be auto, io_uring or threads", o->engine);
	if (!log_level_parse(o->log_level, &level))
		return err_set(
			err, EINVAL, "--log-level %s: must be " LOG_LEVEL_NAMES, o->log_level);
	ret = check_blocks(o, err);
	if (ret < 0)
		return ret;
	if (o->control && o->control_fd != UINT64_MAX)
		return err_set(err, EINVAL, "--control excludes --control-fd");
	return export_check_name(o->export_name, strlen(o->export_name), err);
}
