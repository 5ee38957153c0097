/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the main thread to a thread of the crew for calls, and back; see errand.h. */
#include "errand.h"

#include "log.h"
#include "str.h"
#include "util.h"
#include "worker.h"

#include <errno.h>
#include <string.h>

static int run(struct io *io)
{
	struct errand *e = container_of(io, struct errand, io);

	return e->run(e);
}

/* In the thread. */
static void done(struct io *io)
{
	struct errand *e = container_of(io, struct errand, io);

	reactor_post(&e->worker->reactor, &e->back);
}

static void unlink_errand(struct errand *e)
{
	struct errand **p = &e->worker->errands;

	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
}

static void free_errand(struct errand *e)
{
	unlink_errand(e);
	json_decref(e->msg);
	json_decref(e->answer);
	free(e);
}

static void refuse(struct errand *e, int result)
{
	char line[2 * ERR_TEXT_MAX];

	if (!e->err.text[0])
		err_sys(&e->err, -result, "%s", e->what);
	str_printable(
		line, sizeof(line), e->err.text, strlen(e->err.text)); /* see ctl_send_error() */
	json_object_set_new(e->answer, "ok", json_false());
	json_object_set_new(e->answer, "error", json_string(line));
	if (!e->conn)
		log_error("%s: %s", e->what, e->err.text);
}

void errand_answer(struct errand *e, int result)
{
	struct ctl_conn *c = e->conn;

	if (result < 0)
		refuse(e, result);
	if (c)
		ctl_send(c, json_incref(e->answer), -1);
	free_errand(e);
	if (c)
		ctl_resume(c);
}

static void back(struct reactor_task *t)
{
	struct errand *e = container_of(t, struct errand, back);
	int result = e->io.result;

	if (e->after)
		e->after(e, result);
	else
		errand_answer(e, result);
}

struct errand *errand_new(
	struct worker *w, struct ctl_conn *c, json_t *msg, const char *what, void *subject)
{
	struct errand *e = calloc(1, sizeof(*e));

	if (!e) {
		if (c)
			ctl_send_error(c, "out of memory");
		return NULL;
	}
	*e = (struct errand){.worker = w,
		.conn = c,
		.what = what,
		.msg = json_incref(msg),
		.subject = subject,
		.answer = ctl_ok(),
		.next = w->errands};
	w->errands = e;
	if (c)
		ctl_pause(c);
	return e;
}

void errand_run(
	struct errand *e, int (*fn)(struct errand *e), void (*after)(struct errand *e, int result))
{
	e->run = fn;
	e->after = after;
	e->back.fn = back;
	e->io = (struct io){.op = IO_CALL, .call = run, .done = done};
	io_threads_queue(e->worker->threads, NULL, &e->io);
}

void errand_start(struct worker *w, struct ctl_conn *c, json_t *msg, const char *what,
	void *subject, int (*fn)(struct errand *e), void (*after)(struct errand *e, int result))
{
	struct errand *e = errand_new(w, c, msg, what, subject);

	if (e)
		errand_run(e, fn, after);
}

void errand_forget(struct worker *w, const struct ctl_conn *c)
{
	for (struct errand *e = w->errands; e; e = e->next) {
		if (e->conn == c)
			e->conn = NULL;
	}
}

void errand_free_all(struct worker *w)
{
	while (w->errands) {
		struct errand *e = w->errands;

		if (e->undo && e->io.result == 0)
			e->undo(e);
		free_errand(e);
	}
}
