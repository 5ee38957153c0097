/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The proxy as a forced command: configuration, caller, one conversation. Stdout is for the
 * protocol alone, so nothing else may write there; what is wrong here is refused in its words.
 */
#include "proxy_main.h"

#include "conf_objects.h"
#include "lease.h"
#include "log.h"
#include "proxy_server.h"
#include "proxy_wire.h"
#include "util.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

static int give_up(const char *why)
{
	char out[PROXY_WIRE_LINE_MAX + 2];

	log_error("proxy: %s", why);
	if (write(STDOUT_FILENO, out, proxy_wire_refusal(why, out)) < 0)
		log_debug("proxy: nobody listens");
	return 1;
}

static int start(struct proxy_server *s, const char *name)
{
	struct reactor reactor;
	struct err err;
	int r;

	s->caller = config_caller(s->config, name);
	if (!s->caller)
		return give_up("no section `caller` has the name that this key's command says");
	if (lease_prepare(s->config->general.run_directory, &err) < 0)
		log_error("proxy: %s", err.text);
	proxy_origin_find(&s->origin);
	r = reactor_init(&reactor);
	if (r < 0)
		return give_up("no event loop");
	s->reactor = &reactor;
	r = proxy_server_run(s);
	reactor_done(&reactor);
	return r == 0 ? 0 : 1;
}

int proxy_main(const char *config, const char *caller)
{
	struct proxy_server s = {.in = STDIN_FILENO, .out = STDOUT_FILENO};
	struct config c;
	struct conf files = {0};
	int r;

	if (!isatty(STDERR_FILENO))
		log_to_syslog(); /* our host's business; who asked gets lines of the protocol */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (!isatty(STDOUT_FILENO))
		fcntl(STDOUT_FILENO, F_SETFL, fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
	r = config_read(config, &c, &files);
	conf_log_faults(&files);
	conf_done(&files);
	if (r < 0)
		return give_up("the proxy's configuration has faults (see its log)");
	s.config = &c;
	r = start(&s, caller);
	config_free(&c);
	return r;
}
