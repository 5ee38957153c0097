/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A lane of its own for one question; see agent_detect.h. */
#include "agent_detect.h"

#include "lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 3 };

static bool is_first(const struct profile *p, const struct oid *system)
{
	struct oid first;

	return oid_parse(p->systems[0], &first) && oid_equal(&first, system);
}

const struct profile *agent_profile_for(const struct oid *system, struct err *err)
{
	const struct profile *found = NULL, *first = NULL;
	size_t count = 0, firsts = 0;

	for (size_t i = 0; i < profile_count; i++) {
		const struct profile *p = &profile_table[i];

		if (!profile_has_system(p, system))
			continue;
		count++;
		found = p;
		if (is_first(p, system)) {
			firsts++;
			first = p;
		}
	}
	if (count == 1 || firsts == 1)
		return firsts == 1 ? first : found;
	err_set(err, EINVAL,
		count ? "several profiles have its sysObjectID: choose one (profile)"
		      : "no profile has its sysObjectID, so nothing is known of it");
	return NULL;
}

struct question {
	struct lane_request request;
	struct lane_reply reply;
	bool answered;
};

static void on_reply(void *arg, const struct lane_reply *reply)
{
	struct question *q = arg;

	q->reply = *reply;
	q->answered = true;
}

static bool is_answered(void *arg)
{
	return ((struct question *)arg)->answered;
}

static int ask(struct question *q, struct lane *l, struct reactor *r)
{
	q->request = (struct lane_request){.kind = LANE_GET, .count = 1};
	oid_parse(PROFILE_SYSOBJECTID, &q->request.oids[0]);
	for (int i = 0; i < TRIES; i++) {
		q->request.id++;
		q->answered = false;
		if (lane_send(l, &q->request) == 0)
			reactor_run_until(r, is_answered, q);
		if (q->answered && q->reply.fault == FENCE_NO_FAULT)
			return 0;
	}
	return -EIO;
}

static const char *text_of(const struct question *q)
{
	if (!q->answered)
		return "no helper process could be started";
	return q->reply.why[0] ? q->reply.why : fence_fault_text(q->reply.fault);
}

static int judge(
	const struct question *q, const char *address, const struct profile **ret, struct err *err)
{
	struct oid system;
	struct err why;

	if (q->reply.readings[0].kind != PROFILE_OTHER || !oid_parse(q->reply.text, &system))
		return err_set(err, EINVAL, "%.64s: has no sysObjectID; give its profile", address);
	*ret = agent_profile_for(&system, &why);
	if (*ret)
		return 0;
	return err_set(err, EINVAL, "%.64s: %.200s: %.80s", address, why.text, q->reply.text);
}

int agent_detect(const struct config_pdu *pdu, struct reactor *r, const struct profile **ret,
	struct err *err)
{
	struct question *q = calloc(1, sizeof(*q));
	struct lane *l = q ? lane_new(r, pdu, on_reply, q) : NULL;
	int status = l ? ask(q, l, r) : -ENOMEM;

	if (status == 0)
		status = judge(q, pdu->address, ret, err);
	else
		err_set(err, -status, "%.64s: %.128s", pdu->address,
			status == -ENOMEM ? "out of memory" : text_of(q));
	lane_free(l);
	free(q);
	return status;
}
