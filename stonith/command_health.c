/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `xnbd-stonith health`: what xnbd-stonithd has found. It alone of all commands needs the daemon;
 * no PDU is asked.
 */
#include "command.h"

#include "ctl.h"
#include "log.h"
#include "report.h"

#include <stdio.h>
#include <string.h>

enum { WELL = 0, FINDINGS = 1, NOT_RUNNING = 3, WAIT_MS = 10000 };

static const char *text_of(const json_t *d, const char *key)
{
	const char *text = json_string_value(json_object_get(d, key));

	return text ? text : "";
}

static bool is_well(const json_t *status)
{
	return json_array_size(json_object_get(status, "findings")) == 0 &&
		!json_object_get(status, "fault") &&
		json_is_true(json_object_get(status, "complete"));
}

static void print_findings(const json_t *status)
{
	const json_t *f;
	size_t i;

	json_array_foreach(json_object_get(status, "findings"), i, f)
	{
		long long ms = json_integer_value(json_object_get(f, "for-ms"));

		printf("%s (for %lld s)\n", text_of(f, "text"), ms / 1000);
	}
	if (json_object_get(status, "fault"))
		printf("the new configuration is not in use: %s\n", text_of(status, "fault"));
	if (!json_is_true(json_object_get(status, "complete")))
		printf("the first audit is not over\n");
}

static void print_pdus(const json_t *status)
{
	const json_t *p;
	size_t i;

	json_array_foreach(json_object_get(status, "pdus"), i, p)
	{
		const json_t *age = json_object_get(p, "last-audit-ms");
		bool up = json_is_true(json_object_get(p, "up"));

		printf("PDU %s (%s): %s", text_of(p, "pdu"), text_of(p, "address"),
			up ? "up" : "not known to be up");
		if (up)
			printf(", answered in %lld us",
				(long long)json_integer_value(json_object_get(p, "round-trip-us")));
		if (age)
			printf(", looked at %lld s ago", (long long)json_integer_value(age) / 1000);
		putchar('\n');
	}
}

static void print_status(const json_t *status)
{
	if (is_well(status))
		printf("all is well\n");
	print_findings(status);
	print_pdus(status);
}

static int not_running(const struct options *o, const struct err *err)
{
	log_error("xnbd-stonithd does not answer: %s", err->text);
	if (o->json)
		report_json(json_pack("{sb}", "running", 0));
	return NOT_RUNNING;
}

int command_health(const struct options *o, const struct config *c)
{
	json_t *status = NULL;
	struct err err;
	int ret;

	if (ctl_call(c->general.control, json_pack("{ss}", "cmd", "status"), WAIT_MS, &status,
		    &err) < 0)
		return not_running(o, &err);
	ret = is_well(status) ? WELL : FINDINGS;
	if (o->json) {
		json_object_set_new(status, "running", json_true());
		json_object_set_new(status, "well", json_boolean(ret == WELL));
		json_object_del(status, "ok");
		json_object_del(status, "v");
		report_json(status);
		return ret;
	}
	print_status(status);
	json_decref(status);
	return ret;
}
