/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libmicrohttpd without threads: we accept, it has an epoll of its own, which is one descriptor of
 * the reactor, and runs when that has something or its next deadline is near. A request for the
 * figures is suspended until the servers have answered; all who wait then get the same page.
 *
 * The library's own limit of time begins anew with each byte, so the one that counts is ours: a
 * visit that takes too long is shut down, whereupon the library closes it.
 */
#include "metrics_http.h"

#include "figures.h"
#include "listen.h"
#include "log.h"
#include "master.h"
#include "metrics.h"
#include "util.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>

enum {
	IDLE_S = 5,              /* without a byte */
	LOOK_MS = 1000,          /* how often for visits that take too long */
	REQUEST_MAX = 16 * 1024, /* line, headers and what is being sent */
};

/* A connection. */
struct visit {
	struct metrics_http *http;
	struct visit *next;
	struct MHD_Connection *conn;
	uint64_t since;
	int fd;
	bool waiting; /* suspended */
	bool woken;   /* what it waited for is there */
};

struct door {
	struct metrics_http *http;
	struct reactor_watch watch;
};

struct metrics_http {
	struct master *master;
	struct sock_list sockets;
	struct door doors[SOCK_LISTEN_MAX];
	size_t open;                 /* doors that are watched */
	struct reactor_timer reopen; /* after running out of descriptors */
	struct MHD_Daemon *daemon;
	struct reactor_watch ready;
	struct reactor_timer deadline; /* the library's */
	struct reactor_timer look;
	struct reactor_task again;
	struct visit *visits;
	struct MHD_Response *page, *not_found, *not_allowed, *failure;
	uint64_t page_at; /* ms */
	bool asking, has_watch;
	bool ended; /* waits for the figures only */
};

/* Running the library. */

static void run(struct metrics_http *h)
{
	struct reactor *r = &h->master->reactor;
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(h->daemon);
	if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
		reactor_timer_set(r, &h->deadline, ms);
	else
		reactor_timer_cancel(r, &h->deadline);
}

static void has_events(struct reactor_watch *w, uint32_t events)
{
	(void)events;
	run(container_of(w, struct metrics_http, ready));
}

static void is_due(struct reactor_timer *t)
{
	run(container_of(t, struct metrics_http, deadline));
}

static void run_again(struct reactor_task *t)
{
	run(container_of(t, struct metrics_http, again));
}

/* Visits. */

static void look(struct reactor_timer *t)
{
	struct metrics_http *h = container_of(t, struct metrics_http, look);
	struct reactor *r = &h->master->reactor;

	for (struct visit *v = h->visits; v; v = v->next) {
		if (r->now - v->since >= METRICS_HTTP_MS)
			shutdown(v->fd, SHUT_RDWR);
	}
	if (h->visits)
		reactor_timer_set(r, &h->look, LOOK_MS);
}

static void begin_visit(struct metrics_http *h, struct MHD_Connection *c, void **context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct visit *v = info ? malloc(sizeof(*v)) : NULL;

	if (v)
		*v = (struct visit){
			h, h->visits, c, h->master->reactor.now, info->connect_fd, false, false};
	else if (info)
		shutdown(info->connect_fd, SHUT_RDWR);
	if (v)
		h->visits = v;
	*context = v;
	if (!h->look.slot)
		reactor_timer_set(&h->master->reactor, &h->look, LOOK_MS);
}

static void visit_changed(void *arg, struct MHD_Connection *c, void **context,
	enum MHD_ConnectionNotificationCode what)
{
	struct metrics_http *h = arg;
	struct visit **p = &h->visits;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		begin_visit(h, c, context);
		return;
	}
	while (*p && *p != *context)
		p = &(*p)->next;
	if (*p)
		*p = (*p)->next;
	free(*context);
	*context = NULL;
}

static void close_doors(struct metrics_http *h)
{
	while (h->open > 0)
		reactor_remove(&h->master->reactor, &h->doors[--h->open].watch);
	reactor_timer_set(&h->master->reactor, &h->reopen, LOOK_MS);
}

static int open_doors(struct metrics_http *h, struct err *err);

static void reopen_doors(struct reactor_timer *t)
{
	struct err err;

	if (open_doors(container_of(t, struct metrics_http, reopen), &err) < 0)
		log_warn("%s", err.text);
}

/* Too many, or no descriptor left: the library has closed it. */
static void came(struct reactor_watch *w, uint32_t events)
{
	struct metrics_http *h = container_of(w, struct door, watch)->http;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int fd = accept4(w->fd, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0) {
		MHD_add_connection(h->daemon, fd, (struct sockaddr *)&peer, len);
		run(h);
	} else if (errno == EMFILE || errno == ENFILE) {
		close_doors(h);
	}
}

/* Answers. */

static void resume_all(struct metrics_http *h)
{
	for (struct visit *v = h->visits; v; v = v->next) {
		if (v->waiting) {
			v->waiting = false;
			v->woken = true;
			MHD_resume_connection(v->conn);
		}
	}
	reactor_defer(&h->master->reactor, &h->again);
}

static struct MHD_Response *response_of(
	char *text, enum MHD_ResponseMemoryMode mode, const char *type)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), text, mode);

	if (r) {
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	} else if (mode == MHD_RESPMEM_MUST_FREE) {
		free(text);
	}
	return r;
}

static void free_http(struct metrics_http *h);

static void has_figures(void *arg, json_t *figures)
{
	struct metrics_http *h = arg;
	char *text;

	h->asking = false;
	if (h->ended) {
		json_decref(figures);
		free_http(h);
		return;
	}
	text = figures ? metrics_text(figures) : NULL;
	json_decref(figures);
	if (h->page)
		MHD_destroy_response(h->page);
	h->page = text ? response_of(text, MHD_RESPMEM_MUST_FREE, METRICS_CONTENT_TYPE) : NULL;
	h->page_at = h->master->reactor.now;
	resume_all(h);
}

static enum MHD_Result give_page(struct metrics_http *h, struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct visit *v = info ? info->socket_context : NULL;
	bool is_fresh = h->page_at && h->master->reactor.now - h->page_at < METRICS_HTTP_FRESH_MS;

	if (!v)
		return MHD_NO;
	if (v->woken || (is_fresh && !h->asking))
		return h->page ? MHD_queue_response(c, MHD_HTTP_OK, h->page)
			       : MHD_queue_response(c, MHD_HTTP_SERVICE_UNAVAILABLE, h->failure);
	if (!h->asking && figures_ask(h->master, 0, false, has_figures, h) < 0)
		return MHD_queue_response(c, MHD_HTTP_SERVICE_UNAVAILABLE, h->failure);
	h->asking = v->waiting = true;
	MHD_suspend_connection(c);
	return MHD_YES;
}

/* Called with the headers, again for each piece of a body, which nobody wants, and at the end. */
static enum MHD_Result asked(void *arg, struct MHD_Connection *c, const char *url,
	const char *method, const char *version, const char *body, size_t *body_len, void **context)
{
	struct metrics_http *h = arg;

	(void)version;
	(void)body;
	(void)context;
	if (*body_len)
		return MHD_NO;
	if (strcmp(url, "/metrics") != 0)
		return MHD_queue_response(c, MHD_HTTP_NOT_FOUND, h->not_found);
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return MHD_queue_response(c, MHD_HTTP_METHOD_NOT_ALLOWED, h->not_allowed);
	return give_page(h, c);
}

/* Start and end. */

static int open_doors(struct metrics_http *h, struct err *err)
{
	for (size_t i = 0; i < h->sockets.count; i++) {
		struct door *d = &h->doors[i];
		int ret;

		d->http = h;
		ret = reactor_add(&h->master->reactor, &d->watch, h->sockets.fds[i], EPOLLIN, came);
		if (ret < 0)
			return err_sys(err, -ret, "metrics");
		h->open++;
	}
	return 0;
}

static bool make_responses(struct metrics_http *h)
{
	static char lost[] = "not found; see /metrics\n", wrong[] = "only GET is allowed\n",
		    failed[] = "out of memory, or ending\n";

	h->not_found = response_of(lost, MHD_RESPMEM_PERSISTENT, "text/plain");
	h->not_allowed = response_of(wrong, MHD_RESPMEM_PERSISTENT, "text/plain");
	h->failure = response_of(failed, MHD_RESPMEM_PERSISTENT, "text/plain");
	if (h->not_allowed)
		MHD_add_response_header(h->not_allowed, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	return h->not_found && h->not_allowed && h->failure;
}

static int start_library(struct metrics_http *h, struct err *err)
{
	const union MHD_DaemonInfo *info;
	int ret;

	h->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		asked, h, MHD_OPTION_CONNECTION_LIMIT, (unsigned)METRICS_HTTP_CLIENTS,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)REQUEST_MAX, MHD_OPTION_NOTIFY_CONNECTION, visit_changed, h,
		MHD_OPTION_END);
	info = h->daemon ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info || !make_responses(h))
		return err_set(err, ENOMEM, "metrics: the HTTP library did not start");
	ret = reactor_add(&h->master->reactor, &h->ready, info->epoll_fd, EPOLLIN, has_events);
	h->has_watch = ret == 0;
	return ret < 0 ? err_sys(err, -ret, "metrics") : 0;
}

static void free_http(struct metrics_http *h)
{
	struct MHD_Response *const all[] = {h->page, h->not_found, h->not_allowed, h->failure};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i])
			MHD_destroy_response(all[i]);
	}
	free(h);
}

void metrics_http_end(struct metrics_http *h)
{
	struct reactor *r;

	if (!h)
		return;
	r = &h->master->reactor;
	close_doors(h);
	sock_list_close(&h->sockets);
	resume_all(h);
	reactor_undefer(r, &h->again);
	if (h->has_watch)
		reactor_remove(r, &h->ready);
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	reactor_timer_cancel(r, &h->deadline);
	reactor_timer_cancel(r, &h->look);
	reactor_timer_cancel(r, &h->reopen);
	h->ended = true;
	if (!h->asking)
		free_http(h);
}

static int listen_at(const char *place, struct sock_list *ret, struct err *err)
{
	struct listen_place where;
	int r = listen_parse(place, &where, err);

	if (r == 0)
		r = sock_listen_tcp(*where.host ? where.host : NULL, where.port, ret, err);
	return r;
}

const struct sock_list *metrics_http_sockets(const struct metrics_http *h)
{
	return h ? &h->sockets : NULL;
}

int metrics_http_start(struct master *m, const char *place, const struct sock_list *given,
	struct metrics_http **ret, struct err *err)
{
	struct metrics_http *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return err_set(err, ENOMEM, "out of memory");
	h->master = m;
	h->deadline.fn = is_due;
	h->look.fn = look;
	h->again.fn = run_again;
	h->reopen.fn = reopen_doors;
	r = given->count ? 0 : listen_at(place, &h->sockets, err);
	if (r == 0)
		r = start_library(h, err);
	if (given->count)
		h->sockets = *given;
	if (r == 0)
		r = open_doors(h, err);
	if (r < 0 && given->count)
		h->sockets.count = 0; /* not taken */
	if (r < 0)
		metrics_http_end(h);
	else
		*ret = h;
	return r;
}
