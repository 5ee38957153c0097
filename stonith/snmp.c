/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of a lane as messages of net-snmp's single-session API, and what comes back as readings
 * or faults. Runs in helpers only. A value counts only if it belongs to the object that was asked
 * for: answers are compared name by name.
 */
#include "snmp.h"

#include "clock.h"
#include "snmp_fault.h"
#include "snmp_login.h"
#include "str.h"
#include "util.h"

#include <limits.h>
#include <string.h>

enum {
	PER_MESSAGE = 14,    /* objects: what fits into 484 bytes, which every agent takes */
	BUDGET_TIMEOUTS = 2, /* of a request */
};

struct snmp_link {
	struct snmp_login login;
	void *session; /* NULL = none now */
};

/* One request. */
struct ask {
	struct snmp_link *link;
	const struct lane_request *q;
	struct lane_reply *reply;
	uint64_t end; /* ms */
};

struct snmp_link *snmp_link_new(const struct config_pdu *pdu)
{
	struct snmp_link *l = calloc(1, sizeof(*l));

	if (l)
		snmp_login_init(&l->login, pdu);
	return l;
}

static void hang_up(struct snmp_link *l)
{
	if (l->session)
		snmp_sess_close(l->session);
	l->session = NULL;
}

void snmp_link_free(struct snmp_link *l)
{
	if (!l)
		return;
	hang_up(l);
	explicit_bzero(l, sizeof(*l));
	free(l);
}

uint64_t snmp_link_budget(const struct config_pdu *pdu)
{
	return BUDGET_TIMEOUTS * pdu->timeout;
}

/* us for the next message; 0 = the budget is spent. */
static long time_left(const struct ask *a)
{
	uint64_t now = clock_ms();

	return now >= a->end ? 0 : (long)MIN_OF(a->end - now, a->link->login.pdu->timeout) * 1000;
}

static enum fence_fault fail(struct ask *a, enum fence_fault fault, const char *why)
{
	a->reply->fault = fault;
	str_printable(a->reply->why, sizeof(a->reply->why), why, strlen(why));
	return fault;
}

/* CODE: of the library. The session is given up: after a restart of the PDU its engine is another.
 */
static enum fence_fault fail_library(struct ask *a, int code)
{
	enum fence_fault fault = snmp_fault_library(code);

	hang_up(a->link);
	return fail(a, fault, fault == FENCE_SILENT ? "no answer" : snmp_api_errstring(code));
}

/* With SNMPv3 this asks the PDU for its engine. */
static enum fence_fault connect_session(struct ask *a)
{
	struct snmp_link *l = a->link;
	long left = time_left(a);

	if (l->login.bad)
		return fail(a, FENCE_AUTH, l->login.bad);
	if (left == 0)
		return fail(a, FENCE_SILENT, "no answer");
	if (l->session) {
		snmp_sess_session(l->session)->timeout = left;
		return FENCE_NO_FAULT;
	}
	l->login.wanted.timeout = left;
	l->login.wanted.s_snmp_errno = 0;
	l->session = snmp_sess_open(&l->login.wanted);
	if (!l->session)
		return fail_library(a, l->login.wanted.s_snmp_errno);
	left = time_left(a);
	snmp_sess_session(l->session)->timeout = left;
	return left ? FENCE_NO_FAULT : fail(a, FENCE_SILENT, "no answer");
}

/* Sends Q, which is freed. On success *ret is the answer, to be freed, with whatever error it has.
 */
static enum fence_fault exchange(struct ask *a, netsnmp_pdu *q, netsnmp_pdu **ret)
{
	netsnmp_pdu *answer = NULL;
	int status, code, system_error;
	char *text = NULL;

	if (connect_session(a) != FENCE_NO_FAULT) {
		snmp_free_pdu(q);
		return a->reply->fault;
	}
	status = snmp_sess_synch_response(a->link->session, q, &answer);
	if (status == STAT_SUCCESS && answer && answer->command == SNMP_MSG_RESPONSE) {
		*ret = answer;
		return FENCE_NO_FAULT;
	}
	if (answer)
		snmp_free_pdu(answer);
	if (status == STAT_TIMEOUT)
		return fail_library(a, SNMPERR_TIMEOUT);
	snmp_sess_error(a->link->session, &system_error, &code, &text);
	SNMP_FREE(text);
	code = status == STAT_SUCCESS ? SNMPERR_BAD_PARSE : code;
	fail_library(a, code);
	/* "Network is unreachable" says more. */
	if (a->reply->fault == FENCE_UNREACHABLE && system_error)
		fail(a, FENCE_UNREACHABLE, strerror(system_error));
	return a->reply->fault;
}

static size_t name_of(const struct oid *from, oid *ret)
{
	for (size_t i = 0; i < from->count; i++)
		ret[i] = from->part[i];
	return from->count;
}

static bool is_about(const netsnmp_variable_list *v, const struct oid *wanted)
{
	oid name[OID_MAX];
	size_t len = name_of(wanted, name);

	return snmp_oid_compare(v->name, v->name_length, name, len) == 0;
}

static void keep_text(struct ask *a, const netsnmp_variable_list *v)
{
	struct lane_reply *r = a->reply;
	struct oid value = {.count = 0};
	size_t len = v->val_len / sizeof(oid);

	if (r->text[0])
		return;
	if (v->type == ASN_OCTET_STR) {
		str_printable(r->text, sizeof(r->text), (const char *)v->val.string, v->val_len);
	} else if (v->type == ASN_OBJECT_ID && len <= OID_MAX) {
		for (size_t i = 0; i < len; i++)
			value.part[i] = (uint32_t)v->val.objid[i];
		value.count = (uint8_t)len;
		oid_print(&value, r->text);
	}
}

static struct profile_reading reading_of(const netsnmp_variable_list *v)
{
	struct profile_reading r = {.kind = PROFILE_OTHER};

	if (snmp_fault_missing(v->type)) {
		r.kind = PROFILE_MISSING;
	} else if (v->type == ASN_INTEGER && *v->val.integer >= INT32_MIN &&
		*v->val.integer <= INT32_MAX) {
		r.kind = PROFILE_INTEGER;
		r.value = (int32_t)*v->val.integer;
	} else if (v->type == ASN_GAUGE && *v->val.integer >= 0 && *v->val.integer <= INT32_MAX) {
		r.value = (int32_t)*v->val.integer; /* for people: watts */
	} else if (v->type == ASN_OCTET_STR) {
		r.kind = PROFILE_BITS;
		r.bits_len = (uint8_t)MIN_OF(v->val_len, sizeof(r.bits));
		memcpy(r.bits, v->val.string, r.bits_len);
	}
	return r;
}

/* A range of the objects of a GET; some are settled, as the agent has complained of them. */
struct range {
	size_t first, count;
	bool settled[PER_MESSAGE];
};

/* The N-th of those not settled, from 0; COUNT = there is none. */
static size_t nth_open(const struct range *g, size_t n)
{
	for (size_t i = 0; i < g->count; i++) {
		if (!g->settled[i] && n-- == 0)
			return i;
	}
	return g->count;
}

static netsnmp_pdu *question_of(const struct ask *a, const struct range *g)
{
	netsnmp_pdu *q = snmp_pdu_create(SNMP_MSG_GET);
	oid name[OID_MAX];

	for (size_t i = 0; q && i < g->count; i++) {
		if (!g->settled[i])
			snmp_add_null_var(q, name, name_of(&a->q->oids[g->first + i], name));
	}
	return q;
}

static enum fence_fault take_values(struct ask *a, const struct range *g, const netsnmp_pdu *answer)
{
	const netsnmp_variable_list *v = answer->variables;

	for (size_t i = 0; i < g->count; i++) {
		if (g->settled[i])
			continue;
		if (!v || !is_about(v, &a->q->oids[g->first + i]))
			return fail(a, FENCE_BROKEN, "the answer is about other objects");
		a->reply->readings[g->first + i] = reading_of(v);
		keep_text(a, v);
		v = v->next_variable;
	}
	return v ? fail(a, FENCE_BROKEN, "the answer has too many objects") : FENCE_NO_FAULT;
}

/* The agent complains of one object: it is settled. False: of the message as a whole. */
static bool settle(struct ask *a, struct range *g, long status, long index)
{
	size_t i = index > 0 ? nth_open(g, (size_t)index - 1) : g->count;

	if (i == g->count || status == SNMP_ERR_TOOBIG || status == SNMP_ERR_AUTHORIZATIONERROR)
		return false;
	g->settled[i] = true;
	a->reply->readings[g->first + i] = (struct profile_reading){
		.kind = status == SNMP_ERR_NOSUCHNAME ? PROFILE_MISSING : PROFILE_ERROR};
	return true;
}

/* *too_big: the agent cannot answer so much at once. */
static enum fence_fault get_range(struct ask *a, size_t first, size_t count, bool *too_big)
{
	struct range g = {.first = first, .count = count};
	netsnmp_pdu *answer, *q;

	while (nth_open(&g, 0) < g.count) {
		enum fence_fault fault = FENCE_NO_FAULT;
		long status, index;

		q = question_of(a, &g);
		if (!q)
			return fail(a, FENCE_BROKEN, "out of memory");
		if (exchange(a, q, &answer) != FENCE_NO_FAULT)
			return a->reply->fault;
		status = answer->errstat;
		index = answer->errindex;
		if (status == SNMP_ERR_NOERROR)
			fault = take_values(a, &g, answer);
		snmp_free_pdu(answer);
		if (status == SNMP_ERR_NOERROR)
			return fault;
		if (!settle(a, &g, status, index)) {
			*too_big = status == SNMP_ERR_TOOBIG;
			return fail(
				a, snmp_fault_status(status, false), snmp_errstring((int)status));
		}
	}
	return FENCE_NO_FAULT;
}

static void get_all(struct ask *a)
{
	size_t group = MIN_OF(MAX_OF(a->q->group, (size_t)1), (size_t)PER_MESSAGE);
	size_t step = PER_MESSAGE / group * group, done = 0;

	while (done < a->q->count) {
		bool too_big = false;
		size_t count = MIN_OF(step, a->q->count - done);

		if (get_range(a, done, count, &too_big) == FENCE_NO_FAULT) {
			done += count;
		} else if (too_big && step > group) {
			step = group;
			a->reply->fault = FENCE_NO_FAULT;
		} else {
			return;
		}
	}
	a->reply->count = a->q->count;
}

static enum fence_fault set_one(struct ask *a, const struct oid *object, long value)
{
	netsnmp_pdu *q = snmp_pdu_create(SNMP_MSG_SET), *answer;
	oid name[OID_MAX];
	size_t len = name_of(object, name);
	long status;

	if (!q || !snmp_pdu_add_variable(q, name, len, ASN_INTEGER, &value, sizeof(value))) {
		if (q)
			snmp_free_pdu(q);
		return fail(a, FENCE_BROKEN, "out of memory");
	}
	if (exchange(a, q, &answer) != FENCE_NO_FAULT)
		return a->reply->fault;
	status = answer->errstat;
	snmp_free_pdu(answer);
	if (status == SNMP_ERR_NOERROR)
		return FENCE_NO_FAULT;
	return fail(a, snmp_fault_status(status, true), snmp_errstring((int)status));
}

static void set_all(struct ask *a)
{
	for (size_t i = 0; i < a->q->count; i++) {
		if (set_one(a, &a->q->oids[i], a->q->values[i]) != FENCE_NO_FAULT)
			return;
	}
}

void snmp_link_ask(struct snmp_link *l, const struct lane_request *q, struct lane_reply *ret)
{
	struct ask a = {.link = l,
		.q = q,
		.reply = ret,
		.end = clock_ms() + snmp_link_budget(l->login.pdu)};

	*ret = (struct lane_reply){.id = q->id, .fault = FENCE_NO_FAULT};
	if (q->kind == LANE_GET)
		get_all(&a);
	else
		set_all(&a);
	if (ret->fault != FENCE_NO_FAULT)
		ret->count = 0;
}
