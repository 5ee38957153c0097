/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is connected, and what was asked and answered.
 *
 *	stats  [clients]       counts and times, of all together and, unless false, of each client
 *	clients                who they are, and how many requests they wait for
 *	log-level [level]
 *
 * A survey: first every lane takes a turn, so that whatever a client has been told before is
 * counted; then the list of clients is gone through, some in a turn of the main thread, and what is
 * said of each is written down and added to the sum at once: nothing is left to do at the end that
 * grows with their number. A client that leaves before its turn came is added all the same.
 *
 * Counters are only read, lanes are not held up. All in the main thread but for what is marked.
 */
#include "log.h"
#include "snapshot.h"
#include "util.h"
#include "worker_inner.h"

#include <string.h>

enum { SURVEY_CLIENTS = 32 /* in a turn */ };

#define HEAD "{\"v\":1,\"ok\":true"
_Static_assert(CTL_VERSION == 1, "HEAD");

struct survey {
	struct worker *worker;
	struct ctl_conn *conn; /* NULL = gone */
	bool full;             /* stats; else clients */
	bool is_brief;         /* stats of all together only */
	struct round round;
	struct reactor_task more;
	struct conn *at; /* the client that is next; NULL = the end */
	struct buf text; /* the answer */
	bool empty;      /* no client in it yet */
	struct tally sum;
	struct survey *next;
};

/* Numbers to JSON. */

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

json_t *worker_requests(const struct tally *t)
{
	json_t *all = json_object();

	for (unsigned type = 0; type < NBD_CMD_COUNT; type++) {
		if (type != NBD_CMD_DISC)
			json_object_set_new(
				all, nbd_cmd_name(type), number(counter_get(&t->requests[type])));
	}
	return all;
}

static json_t *errors_by_code(const struct tally *t)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < TALLY_ERRORS; i++) {
		uint64_t n = counter_get(&t->errors[i]);

		if (n > 0)
			json_object_set_new(all, tally_error_name(i), number(n));
	}
	return all;
}

static json_t *latency(const struct latency *l)
{
	static const unsigned shares[] = {50000, 99000, 99900};
	uint64_t us[ARRAY_LEN(shares)];

	latency_quantiles(l, shares, ARRAY_LEN(shares), us);
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "count", (json_int_t)latency_count(l), "p50",
		(json_int_t)us[0], "p99", (json_int_t)us[1], "p999", (json_int_t)us[2], "max",
		(json_int_t)counter_get(&l->max));
}

static json_t *histogram(const struct latency *l)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		uint64_t n = counter_get(&l->buckets[i]);

		if (n > 0)
			json_array_append_new(all,
				json_pack("[I, I]", (json_int_t)latency_upper(i), (json_int_t)n));
	}
	return all;
}

static json_t *by_kind(const struct tally *t, json_t *(*describe)(const struct latency *l))
{
	json_t *all = json_object();

	for (unsigned i = 0; i < TALLY_KINDS; i++)
		json_object_set_new(all, tally_kind_name(i), describe(&t->latency[i]));
	return all;
}

static json_t *counts(const struct tally *t)
{
	return json_pack("{s:o, s:I, s:I, s:I, s:o, s:I, s:I, s:o}", "requests", worker_requests(t),
		"bytes_read", (json_int_t)counter_get(&t->bytes_read), "bytes_written",
		(json_int_t)counter_get(&t->bytes_written), "errors", (json_int_t)tally_errors(t),
		"errors_by", errors_by_code(t), "in_flight", (json_int_t)counter_get(&t->in_flight),
		"in_flight_max", (json_int_t)counter_get(&t->in_flight_max), "latency",
		by_kind(t, latency));
}

static json_t *counts_of_all(const struct tally *sum)
{
	json_t *ret = counts(sum);

	json_object_set_new(ret, "histogram", by_kind(sum, histogram));
	return ret;
}

void worker_tally(const struct worker *w, struct tally *ret)
{
	*ret = (struct tally){0};
	tally_merge_counts(ret, &w->gone);
	for (const struct conn *c = w->first_client; c; c = c->later)
		tally_merge_counts(ret, &c->tally);
}

static json_t *client(const struct conn *c)
{
	char features[FEATURE_TEXT_MAX];
	json_t *ret;

	feature_format(&c->rules.agreed, features);
	ret = json_pack("{s:I, s:s, s:I, s:s, s:b}", "id", (json_int_t)c->id, "peer", c->name,
		"since", (json_int_t)c->since, "features", features, "readonly",
		!!(c->rules.flags & NBD_FLAG_READ_ONLY));
	if (c->snapshot)
		json_object_set_new(ret, "snapshot", number(c->snapshot->id));
	return ret;
}

/* The survey. */

static void put(struct buf *text, const char *more)
{
	buf_put(text, more, strlen(more));
}

static int put_some(const char *more, size_t len, void *text)
{
	buf_put(text, more, len);
	return 0;
}

/* Takes WHAT; NULL: there was no memory for it. */
static void put_json(struct buf *text, json_t *what)
{
	if (!what || json_dump_callback(what, put_some, text, JSON_COMPACT | JSON_ENCODE_ANY) < 0)
		text->failed = true;
	json_decref(what);
}

static void unlink_survey(struct survey *s)
{
	struct survey **p = &s->worker->surveys;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
}

static void free_survey(struct survey *s)
{
	unlink_survey(s);
	buf_done(&s->text);
	free(s);
}

static void answer(struct survey *s)
{
	struct ctl_conn *c = s->conn;

	put(&s->text, "]");
	if (s->full) {
		put(&s->text, ",\"total\":");
		put_json(&s->text, counts_of_all(&s->sum));
	}
	put(&s->text, "}");
	if (c && buf_failed(&s->text))
		ctl_send_error(c, "out of memory, or more clients than fit into an answer");
	else if (c)
		ctl_send_text(c, (const char *)buf_bytes(&s->text), buf_len(&s->text));
	free_survey(s);
	if (c)
		ctl_resume(c);
}

static void describe(struct survey *s, const struct conn *c)
{
	json_t *one = s->is_brief ? NULL : client(c);

	if (s->is_brief) {
		tally_merge(&s->sum, &c->tally);
		return;
	}
	if (s->full) {
		json_object_update_new(one, counts(&c->tally));
		tally_merge(&s->sum, &c->tally);
	} else {
		json_object_set_new(one, "in_flight", number(counter_get(&c->tally.in_flight)));
	}
	put(&s->text, s->empty ? "" : ",");
	put_json(&s->text, one);
	s->empty = false;
}

static void describe_some(struct reactor_task *t)
{
	struct survey *s = container_of(t, struct survey, more);

	for (int i = 0; s->at && s->conn && i < SURVEY_CLIENTS; i++) {
		describe(s, s->at);
		s->at = s->at->later;
	}
	if (s->at && s->conn)
		reactor_post(&s->worker->reactor, &s->more);
	else
		answer(s);
}

/* In a later turn: who called us is not through with the command yet. */
static void begin_list(struct survey *s)
{
	put(&s->text, ",\"clients\":[");
	s->at = s->worker->first_client;
	tally_merge(&s->sum, &s->worker->gone);
	reactor_post(&s->worker->reactor, &s->more);
}

/* In each lane: nothing, the turns before this one have counted. */
static void count_step(struct round_step *step)
{
	round_step_done(step);
}

static void all_counted(struct round *r)
{
	struct survey *s = container_of(r, struct survey, round);

	put(&s->text, ",\"since\":");
	put_json(&s->text, number(s->worker->since));
	begin_list(s);
}

/* With the start of the answer. */
static struct survey *survey_new(struct worker *w, struct ctl_conn *c, bool full)
{
	struct survey *s = calloc(1, sizeof(*s));

	if (!s) {
		ctl_send_error(c, "out of memory");
		return NULL;
	}
	*s = (struct survey){.worker = w,
		.conn = c,
		.full = full,
		.more.fn = describe_some,
		.empty = true,
		.next = w->surveys};
	w->surveys = s;
	buf_init(&s->text, CTL_ANSWER_MAX - 1);
	put(&s->text, HEAD);
	ctl_pause(c);
	return s;
}

void worker_count_gone(struct worker *w, struct conn *c)
{
	for (struct survey *s = w->surveys; s; s = s->next) {
		if (s->at && c->number >= s->at->number)
			tally_merge(&s->sum, &c->tally);
		if (s->at == c)
			s->at = c->later;
	}
	tally_merge(&w->gone, &c->tally);
}

void worker_survey_forget(struct worker *w, const struct ctl_conn *c)
{
	for (struct survey *s = w->surveys; s; s = s->next) {
		if (s->conn == c)
			s->conn = NULL;
	}
}

void worker_end_surveys(struct worker *w)
{
	while (w->surveys)
		free_survey(w->surveys);
}

/* Commands. */

static void do_stats(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	struct survey *s = survey_new(w, c, true);

	fd_close(&fd);
	if (!s)
		return;
	s->is_brief = json_is_false(json_object_get(msg, "clients"));
	round_start(&s->round, &w->reactor, w->lanes, w->lanes_ready, count_step, all_counted);
}

static void do_clients(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	struct survey *s = survey_new(w, c, false);

	(void)msg;
	fd_close(&fd);
	if (s)
		begin_list(s);
}

/* Without a level only tells it. */
static void do_log_level(struct worker *w, struct ctl_conn *c, json_t *msg, int fd)
{
	json_t *wanted = json_object_get(msg, "level");
	enum log_level level = log_level_now();
	json_t *answer;

	(void)w;
	fd_close(&fd);
	if (wanted &&
		(!json_is_string(wanted) || !log_level_parse(json_string_value(wanted), &level))) {
		ctl_send_error(c, "log-level: \"level\" must be " LOG_LEVEL_NAMES);
		return;
	}
	log_level(level);
	answer = ctl_ok();
	json_object_set_new(answer, "level", json_string(log_level_name(level)));
	ctl_send(c, answer, -1);
}

const struct worker_command worker_stats_commands[] = {
	{"stats", do_stats},
	{"clients", do_clients},
	{"log-level", do_log_level},
	{NULL, NULL},
};
