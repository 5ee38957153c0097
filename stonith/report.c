/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a shot came to, as a line and as JSON; see report.h. */
#include "report.h"

#include "log.h"
#include "record.h"

#include <errno.h>
#include <stdio.h>

void report_json(json_t *document)
{
	if (document && json_dumpf(document, stdout, JSON_INDENT(2)) == 0)
		putchar('\n');
	json_decref(document);
}

static const char *power_name(enum fence_power p)
{
	return p == FENCE_POWER_OFF ? "off" : p == FENCE_POWER_ON ? "on" : "unknown";
}

static json_t *document_of(const struct shoot_order *order, const struct shoot_result *r, int ret)
{
	json_t *d = json_object(), *list = json_array();

	json_object_set_new(d, "node", json_string(order->victim->name));
	json_object_set_new(d, "action", json_string(shoot_goal_text(order->goal)));
	json_object_set_new(d, "done", json_boolean(ret == 0));
	json_object_set_new(d, "refused", json_boolean(ret == -EPERM || ret == -EBUSY));
	json_object_set_new(d, "confirmed", json_boolean(r->confirmed));
	json_object_set_new(d, "power", json_string(power_name(fence_power(&r->fence))));
	if (order->goal == FENCE_CYCLE)
		json_object_set_new(d, "on-again",
			json_boolean(ret == 0 && !r->confirmed && !r->fence.on_failed));
	json_object_set_new(d, "ms", json_integer((json_int_t)r->ms));
	json_object_set_new(d, "recorded", json_boolean(!r->unrecorded));
	if (r->audit_hash[0])
		json_object_set_new(d, "audit", json_string(r->audit_hash));
	for (size_t i = 0; i < r->fence.outlet_count; i++)
		json_array_append_new(list, record_outlet(r, i));
	json_object_set_new(d, "outlets", list);
	json_object_set_new(d, "text", json_string(r->text));
	return d;
}

/* One outlet is on, so the node is: the answer is whole though not all could be asked. */
static bool is_on_anyhow(const struct shoot_order *order, const struct shoot_result *r, int ret)
{
	return ret < 0 && order->goal == FENCE_READ && fence_power(&r->fence) == FENCE_POWER_ON;
}

void report_shot(const struct options *o, const struct shoot_order *order,
	const struct shoot_result *r, int ret, const struct err *err)
{
	bool on = is_on_anyhow(order, r, ret);

	if (on)
		log_warn("%s", err->text);
	else if (ret < 0)
		log_error("%s", err->text);
	if (o->json)
		report_json(document_of(order, r, ret));
	else if (on)
		printf("%s is on, by what could be read\n", order->victim->name);
	else if (ret == 0)
		printf("%s\n", r->text);
	if (ret == 0 && (r->fence.on_failed || r->unrecorded || r->confirmed))
		log_warn("%s", r->text);
}
