/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of a campaign share: campaign.c begins, ticks and ends, campaign_steps.c carries
 * out what plan.c decided, campaign_events.c hands on to plan.c what has come of it.
 */
#ifndef SM_NOTIFY_CAMPAIGN_INNER_H
#define SM_NOTIFY_CAMPAIGN_INNER_H

#include "campaign.h"
#include "due.h"
#include "resolve.h"
#include "tcp.h"
#include "unit.h"
#include "xid.h"

enum { CAMPAIGN_ERRORS = 256 }; /* more than there are errno values */

struct campaign {
	const struct campaign_job *job;
	struct reactor *reactor;
	struct units units;
	struct plan_world world;
	struct due due; /* ms since world.start */
	struct xid xid;
	struct tcp tcp;
	struct resolve resolve;
	struct reactor_task pump;
	struct reactor_timer pump_timer, flush_timer;
	struct campaign_result *result;
	bool said[CAMPAIGN_ERRORS]; /* failures of the list on disk that last, by errno */
};

static inline struct unit *campaign_unit(struct campaign *c, uint32_t number)
{
	return &c->units.all[number];
}

static inline uint32_t campaign_number(const struct campaign *c, const struct unit *u)
{
	return (uint32_t)(u - c->units.all);
}

/* As it is now; to be taken anew for each event. */
const struct plan_world *campaign_world(struct campaign *c);
/* A record could not be dropped. That is said once for each errno, however many there are. */
void campaign_list_failed(struct campaign *c, const struct err *err);

/* campaign_steps.c */

void campaign_run_steps(struct campaign *c, struct unit *u, const struct plan_steps *steps);
/* It is told, or given up. */
void campaign_end_unit(struct campaign *c, struct unit *u);
/* The call that S is about, of at most RPC_CALL_MAX bytes; its length. */
size_t campaign_build(const struct campaign *c, const struct unit *u, const struct addr *to,
	const struct plan_step *s, uint32_t xid, uint8_t *out);
/* The port it goes to. */
uint16_t campaign_port(const struct campaign *c, const struct plan_step *s);

/* campaign_events.c: handlers of net.h, tcp.h and resolve.h; ARG is the campaign. */

void campaign_on_reply(void *arg, const struct addr *from, const uint8_t *bytes, size_t len);
void campaign_on_failure(void *arg, const struct net_failure *f);
bool campaign_on_tcp_begin(void *arg, uint32_t number, struct tcp_order *ret);
void campaign_on_tcp_end(void *arg, const struct tcp_end *end);
bool campaign_on_lookup(void *arg, uint32_t number, const char **ret_name, const char **ret_other);
void campaign_on_resolved(void *arg, uint32_t number, const struct addr *addrs, size_t count);

/* campaign.c: something can be sent again. */
void campaign_on_room(void *arg);

#endif
