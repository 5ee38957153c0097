/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --dry-run: the units of a campaign, with what their names stand for now, and nothing is sent. All
 * lookups run at once; those that take too long are left, and the line says so.
 */
#include "report.h"

#include "report_inner.h"
#include "resolve.h"
#include "unit.h"
#include "util.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

struct preview {
	struct units units;
	struct reactor reactor; /* of our own: nothing else happens meanwhile */
	struct resolve resolve;
	struct reactor_timer timer;
	uint32_t waiting; /* lookups */
	bool late;
};

static bool on_lookup(void *arg, uint32_t number, const char **ret_name, const char **ret_other)
{
	struct preview *p = arg;

	return unit_lookup(&p->units, &p->units.all[number], ret_name, ret_other);
}

static void on_resolved(void *arg, uint32_t number, const struct addr *addrs, size_t count)
{
	struct preview *p = arg;
	struct unit *u = &p->units.all[number];

	if (count > 0)
		unit_set_addrs(&p->units, u, addrs, count);
	u->over = true;
	p->waiting--;
}

static void on_late(struct reactor_timer *t)
{
	container_of(t, struct preview, timer)->late = true;
}

static bool is_done(void *arg)
{
	const struct preview *p = arg;

	return p->waiting == 0 || p->late;
}

static void ask_all(struct preview *p)
{
	for (uint32_t i = 0; i < p->units.count; i++) {
		struct unit *u = &p->units.all[i];

		if (u->plan.count > 0 || !u->plan.named)
			continue;
		p->waiting++;
		resolve_want(&p->resolve, i, true);
	}
}

static int look_up(struct preview *p)
{
	struct resolve_handler h = {on_lookup, on_resolved, p};
	struct reactor *r = &p->reactor;
	int ret = reactor_init(r);

	if (ret < 0)
		return ret;
	ret = resolve_init(&p->resolve, r, p->units.count, &h);
	if (ret == 0) {
		ask_all(p);
		p->timer.fn = on_late;
		ret = reactor_timer_set(r, &p->timer, REPORT_LOOKUP_MS);
	}
	if (ret == 0)
		ret = reactor_run_until(r, is_done, p);
	resolve_done(&p->resolve);
	reactor_done(r);
	return ret;
}

/* Text. */

static const char *no_address(const struct unit *u)
{
	return u->plan.named && !u->over ? "(no answer from the resolver yet)" : "(no address)";
}

/* False: just now it has none there. */
static bool addr_text(
	const struct preview *p, const struct unit *u, uint8_t at, char ret[ADDR_TEXT_MAX])
{
	struct addr a;

	if (!unit_addr(&p->units, u, at, &a))
		return false;
	addr_print(&a, ret);
	return true;
}

static void print_addrs(FILE *out, const struct preview *p, const struct unit *u)
{
	char text[ADDR_TEXT_MAX];

	for (uint8_t at = 0; at < u->plan.count; at++) {
		if (addr_text(p, u, at, text))
			fprintf(out, " %s", text);
	}
	if (u->plan.count == 0)
		fprintf(out, " %s", no_address(u));
}

/* Goes through the names as a campaign would; the list is in place, so no file is touched. */
static bool next_name(struct preview *p, struct unit *u)
{
	return unit_has_more(&p->units, u) && unit_advance(&p->units, u, NULL) == 0;
}

static void print_unit(FILE *out, struct preview *p, struct unit *u)
{
	size_t len;

	fprintf(out, "%s at", unit_peer_name(&p->units, u));
	print_addrs(out, p, u);
	fprintf(out, " as");
	do {
		const char *name = unit_name(&p->units, u, &len);

		fprintf(out, " %.*s", (int)len, name);
	} while (next_name(p, u));
	fputc('\n', out);
}

/* JSON. */

static json_t *json_addrs(const struct preview *p, const struct unit *u)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_MAX];

	for (uint8_t at = 0; at < u->plan.count; at++) {
		if (addr_text(p, u, at, text))
			json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *json_names(struct preview *p, struct unit *u)
{
	json_t *list = json_array();
	size_t len;

	do {
		const char *name = unit_name(&p->units, u, &len);

		json_array_append_new(list, report_text(name, len));
	} while (next_name(p, u));
	return list;
}

static json_t *json_unit(struct preview *p, struct unit *u)
{
	const char *peer = unit_peer_name(&p->units, u), *mon = unit_mon(&p->units, u);

	return json_pack("{s:o, s:o, s:o, s:o}", "peer", report_text(peer, strlen(peer)),
		"mon_name", report_text(mon, strlen(mon)), "addresses", json_addrs(p, u), "names",
		json_names(p, u));
}

static void print(FILE *out, struct preview *p, bool json)
{
	bool first = true;

	for (uint32_t i = 0; i < p->units.count; i++) {
		if (json)
			report_item(out, json_unit(p, &p->units.all[i]), &first);
		else
			print_unit(out, p, &p->units.all[i]);
	}
	if (json)
		report_items_end(out, first);
	fflush(out);
}

int report_dry_run(FILE *out, const struct campaign_job *job, struct err *err)
{
	struct preview p = {.waiting = 0};
	int r = units_init(&p.units, job->list, job->self);

	assert(job->list->in_place);
	if (r == 0)
		r = look_up(&p);
	if (r == 0)
		print(out, &p, job->settings->json);
	units_done(&p.units);
	return r < 0 ? err_sys(err, -r, "looking up names") : 0;
}
