/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Everything that the daemon knows, as one JSON object; nothing is changed here. */
#include "watch_inner.h"

#include "clock.h"

static void put(json_t *d, const char *key, uint64_t n)
{
	json_object_set_new(d, key, json_integer((json_int_t)n));
}

static void put_text(json_t *d, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(d, key, json_string(text));
}

/* ms since then. */
static void put_age(json_t *d, const char *key, uint64_t at)
{
	if (at)
		put(d, key, clock_ms() - at);
}

static json_t *list_findings(const struct watch *w)
{
	json_t *list = json_array();

	for (size_t i = 0; i < w->finds.count; i++) {
		const struct watch_find *f = &w->finds.finds[i];
		json_t *d;

		if (!f->on)
			continue;
		d = json_object();
		put_text(d, "finding", watch_find_name(f->kind));
		put_text(d, "node", f->node);
		put_text(d, "pdu", f->pdu);
		put_text(d, "outlet", f->outlet);
		put_age(d, "for-ms", f->since);
		put_text(d, "text", f->text);
		json_array_append_new(list, d);
	}
	return list;
}

static json_t *list_pdus(const struct watch *w)
{
	json_t *list = json_array();

	for (size_t i = 0; i < w->config->pdu_count; i++) {
		const struct config_pdu *c = &w->config->pdus[i];
		const struct watch_pdu *p = &w->pdus[i];
		json_t *d = json_object();

		put_text(d, "pdu", c->name);
		put_text(d, "address", c->address);
		put_text(d, "profile", c->profile->name);
		json_object_set_new(d, "up", json_boolean(p->up));
		if (p->rtt_us)
			put(d, "round-trip-us", p->rtt_us);
		put(d, "audits", p->finished);
		put_age(d, "last-audit-ms", p->finished_at);
		json_object_set_new(d, "busy", json_boolean(p->step != WATCH_IDLE));
		put(d, "skipped", p->skipped);
		json_array_append_new(list, d);
	}
	return list;
}

static const char *state_name(const struct watch_judge_outlet *o)
{
	static const char *const names[OUTLET_STATES] = {[OUTLET_UNKNOWN] = "unknown",
		[OUTLET_OFF] = "off",
		[OUTLET_ON] = "on",
		[OUTLET_PENDING] = "pending",
		[OUTLET_ODD] = "odd",
		[OUTLET_TYPE] = "type",
		[OUTLET_MISSING] = "missing",
		[OUTLET_UNUSABLE] = "unusable",
		[OUTLET_FAULT] = "fault"};

	return o->tested ? names[o->state] : "unknown";
}

static json_t *list_outlets(const struct watch *w, size_t node)
{
	const struct config_node *n = &w->config->nodes[node];
	json_t *list = json_array();

	for (size_t i = 0; i < n->outlet_count; i++) {
		const struct watch_judge_outlet *o = &w->outlets[w->first[node] + i];
		json_t *d = json_object();

		put_text(d, "outlet", o->config->text);
		put_text(d, "state", state_name(o));
		if (o->has_name)
			put_text(d, "name", o->name);
		json_array_append_new(list, d);
	}
	return list;
}

static const char *far_power(const struct watch *w, const struct config_node *n)
{
	for (size_t i = 0; i < w->far_count; i++) {
		if (w->fars[i].node == n)
			return w->fars[i].power == FENCE_POWER_ON     ? "on"
				: w->fars[i].power == FENCE_POWER_OFF ? "off"
								      : "unknown";
	}
	return NULL;
}

static json_t *list_nodes(const struct watch *w)
{
	json_t *list = json_array();

	for (size_t i = 0; i < w->config->node_count; i++) {
		const struct config_node *n = &w->config->nodes[i];
		json_t *d = json_object();

		put_text(d, "node", n->name);
		json_object_set_new(d, "self", json_boolean(n == w->self));
		if (n->proxy) {
			put_text(d, "proxy", n->proxy->name);
			put_text(d, "power", far_power(w, n));
		} else {
			json_object_set_new(d, "outlets", list_outlets(w, i));
		}
		json_array_append_new(list, d);
	}
	return list;
}

static json_t *repair(const struct watch *w)
{
	json_t *d = json_object();

	json_object_set_new(d, "configured", json_boolean(w->config->general.repair_own));
	put_text(d, "state", w->own.state);
	put_text(d, "why", w->own.why);
	put(d, "done", w->own.done);
	return d;
}

/* Numbers only, for a program that draws them. */
static json_t *metrics(const struct watch *w)
{
	json_t *d = json_object();
	uint64_t up = 0, skipped = 0;

	for (size_t i = 0; i < w->config->pdu_count; i++) {
		up += w->pdus[i].up;
		skipped += w->pdus[i].skipped;
	}
	put(d, "audits", w->audits);
	put(d, "findings", watch_findings(w));
	put(d, "findings-begun", w->begun);
	put(d, "findings-over", w->over);
	put(d, "pdus", w->config->pdu_count);
	put(d, "pdus-up", up);
	put(d, "skipped-for-shots", skipped);
	put(d, "repairs", w->own.done);
	return d;
}

json_t *watch_status(const struct watch *w)
{
	json_t *d = json_object();

	json_object_set_new(d, "complete", json_boolean(watch_is_complete(w)));
	put(d, "interval-s", w->config->general.audit_interval);
	put(d, "audits", w->audits);
	put_age(d, "last-audit-ms", w->audit_at);
	json_object_set_new(d, "findings", list_findings(w));
	json_object_set_new(d, "pdus", list_pdus(w));
	json_object_set_new(d, "nodes", list_nodes(w));
	json_object_set_new(d, "repair", repair(w));
	json_object_set_new(d, "metrics", metrics(w));
	return d;
}
