/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See retry.h. A look at an image costs a fork, as INFO does; a server that fails costs more. */
#include "retry.h"

#include "master.h"
#include "nbd.h"
#include "probe.h"
#include "util.h"

#include <stdio.h>

struct retry {
	struct master *master;
	struct ipc_lookup who;
};

static void refuse(struct master *m, const struct ipc_lookup *who, const struct export_entry *e)
{
	uint64_t left = backoff_left(&e->backoff, m->reactor.now);
	char text[sizeof(e->trouble) + 64];

	snprintf(text, sizeof(text), "%s; it is started again in %llu s",
		e->trouble[0] ? e->trouble : "its server has ended",
		(unsigned long long)(left + 999) / 1000);
	master_refuse(m, who, NBD_REP_ERR_POLICY, text);
}

static void looked(void *arg, const struct probe_result *result)
{
	struct retry *r = arg;
	struct export_entry *e = exports_by_id(&r->master->exports, r->who.export_id);

	if (e && result->code == 0) {
		backoff_forget(&e->backoff);
		e->image_failed = false;
		link_look_up(r->master, &r->who);
	} else {
		master_refuse_image(r->master, &r->who, result->code);
	}
	free(r);
}

static bool look(struct master *m, const struct ipc_lookup *who, const struct export_entry *e)
{
	struct retry *r = malloc(sizeof(*r));

	if (!r)
		return false;
	*r = (struct retry){m, *who};
	if (probe_start(&m->probes, e->config.image, master_probes_readonly(m, e), looked, r))
		return true;
	free(r);
	return false;
}

bool retry_later(struct master *m, const struct ipc_lookup *who)
{
	const struct export_entry *e = exports_by_id(&m->exports, who->export_id);
	const struct worker *w = worker_for(m, who->export_id);

	if (!e || (w && !w->held) || backoff_left(&e->backoff, m->reactor.now) <= RETRY_HOLD_MS)
		return false;
	if (!e->image_failed || !look(m, who, e))
		refuse(m, who, e);
	return true;
}
