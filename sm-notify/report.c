/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Results in words and in JSON. Lists are written piece by piece: 100,000 records never stand in
 * memory as JSON values. Names are foreign: what is not UTF-8 is made printable.
 */
#include "report.h"

#include "log.h"
#include "plan.h"
#include "report_inner.h"
#include "str.h"
#include "util.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum { PRINTABLE_MAX = 4 * 1024 + 1 };

json_t *report_text(const char *text, size_t len)
{
	char printable[PRINTABLE_MAX];

	str_printable(printable, sizeof(printable), text, len);
	return json_string(printable);
}

static json_t *text_of(const char *text)
{
	return report_text(text, strlen(text));
}

void report_item(FILE *out, json_t *item, bool *first)
{
	fputs(*first ? "[\n  " : ",\n  ", out);
	*first = false;
	if (!item || json_dumpf(item, out, JSON_COMPACT) < 0)
		fputs("null", out);
	json_decref(item);
}

void report_items_end(FILE *out, bool first)
{
	fputs(first ? "[]\n" : "\n]\n", out);
}

/* The log. */

static void log_peer_failure(const struct monlist *l, uint32_t i, enum plan_fault fault)
{
	char reason[128];

	plan_fault_text(fault, reason, sizeof(reason));
	log_warn("%s: not notified: %s", monlist_peer_name(l, &l->peers[i]), reason);
}

void report_log(const struct campaign_job *job, const struct campaign_result *r)
{
	const struct monlist *l = job->list;
	double seconds = (double)r->ms / 1000;

	for (uint32_t i = 0; r->faults && !r->stopped && i < l->peer_count; i++) {
		if (l->peers[i].left > 0)
			log_peer_failure(l, i, (enum plan_fault)r->faults[i]);
	}
	if (r->not_told == 0)
		log_info("state %" PRId32 ": all peers notified (%" PRIu32 ") in %.2f s",
			job->state, r->told, seconds);
	else
		log_warn("state %" PRId32 ": %" PRIu32 " peers notified, %" PRIu32
			 " not, %s after %.2f s",
			job->state, r->told, r->not_told, r->stopped ? "stopped" : "given up",
			seconds);
	if (r->udp.dropped > 0)
		log_debug("%" PRIu64 " replies were lost here: no room", r->udp.dropped);
}

/* The summary. */

static json_t *failed_peer(
	const struct campaign_job *job, const struct campaign_result *r, uint32_t i)
{
	char reason[128];

	plan_fault_text(
		r->faults ? (enum plan_fault)r->faults[i] : PLAN_SILENT, reason, sizeof(reason));
	return json_pack("{s:o, s:s}", "peer",
		text_of(monlist_peer_name(job->list, &job->list->peers[i])), "reason", reason);
}

/* The last member of an object that is open. */
static void put_failed(FILE *out, const struct campaign_job *job, const struct campaign_result *r)
{
	const char *comma = "";

	fputs(",\"failed\":[", out);
	for (uint32_t i = 0; i < job->list->peer_count; i++) {
		json_t *peer;

		if (job->list->peers[i].left == 0)
			continue;
		peer = failed_peer(job, r, i);
		fputs(comma, out);
		json_dumpf(peer, out, JSON_COMPACT);
		json_decref(peer);
		comma = ",";
	}
	fputs("]}\n", out);
}

static json_t *datagrams(const struct campaign_result *r)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "sent", (json_int_t)r->udp.sent, "received",
		(json_int_t)r->udp.received, "dropped", (json_int_t)r->udp.dropped, "strange",
		(json_int_t)r->strange);
}

static json_t *counts(const struct campaign_job *job, const struct campaign_result *r)
{
	return json_pack("{s:i, s:I, s:I, s:I, s:b, s:f, s:o, s:I, s:I}", "state", (int)job->state,
		"peers", (json_int_t)job->list->peer_count, "notified", (json_int_t)r->told,
		"not_notified", (json_int_t)r->not_told, "stopped", (int)r->stopped, "seconds",
		(double)r->ms / 1000, "datagrams", datagrams(r), "connections",
		(json_int_t)r->connections, "lookups", (json_int_t)r->lookups);
}

void report_json(FILE *out, const struct campaign_job *job, const struct campaign_result *r)
{
	json_t *head = counts(job, r);
	CLEANUP_FREE char *text = json_dumps(head, JSON_COMPACT | JSON_REAL_PRECISION(6));

	if (text) {
		fprintf(out, "%.*s", (int)strlen(text) - 1, text); /* without its end */
		put_failed(out, job, r);
	}
	fflush(out);
	json_decref(head);
}

/* The list. */

static void list_record(
	FILE *out, const char *peer, const char *mon, const char *my, bool json, bool *first)
{
	if (json)
		report_item(out,
			json_pack("{s:o, s:o, s:o}", "peer", text_of(peer), "mon_name",
				text_of(mon), "my_name", text_of(my)),
			first);
	else
		fprintf(out, "%s %s %s\n", peer, mon, my);
}

void report_list(FILE *out, const struct monlist *l, bool json)
{
	bool first = true;

	for (uint32_t i = 0; i < l->peer_count; i++) {
		const struct monlist_peer *p = &l->peers[i];

		for (uint32_t k = 0; k < p->count; k++) {
			const struct monlist_record *r = monlist_record_at(l, p, k);

			list_record(out, monlist_peer_name(l, p), monlist_record_mon(l, r),
				monlist_record_my(l, r), json, &first);
		}
	}
	if (json)
		report_items_end(out, first);
	fflush(out);
}
