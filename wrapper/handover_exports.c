/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the old program knows of exports at run time only, a row for each, and back. The new program
 * has read configuration and state file before: what they say now wins over a row, but where they
 * say what they said before. Times are those of the same clock; it goes on.
 */
#include "handover_inner.h"

#include "control.h"
#include "log.h"
#include "master.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static uint64_t number_of(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return (uint64_t)MAX_OF(n, (json_int_t)0);
}

/* Telling. */

static json_t *describe_hold(const struct export_hold *h)
{
	return json_pack("{s:s, s:I, s:I}", "host", h->host, "since", (json_int_t)h->since,
		"promised", (json_int_t)h->promised);
}

static json_t *describe_failures(const struct export_entry *e)
{
	return json_pack("{s:i, s:I, s:o, s:b}", "count", (int)e->backoff.failures, "until",
		(json_int_t)e->backoff.until, "why", control_text(e->trouble), "image",
		e->image_failed);
}

static void add_copy(json_t *row, const struct export_entry *e)
{
	json_object_update_new(row,
		json_pack(
			"{s:i, s:I}", "copy", (int)e->copy, "copy_rate", (json_int_t)e->copy_rate));
	if (e->migration)
		json_object_set_new(row, "migration", json_deep_copy(e->migration));
}

static json_t *describe_origin(const struct export_config *c)
{
	return json_pack("{s:s?, s:s?, s:s?, s:s?}", "uri", c->uri, "host", c->host, "port",
		c->port, "exportname", c->exportname);
}

static const struct export_config *as_configured(
	const struct master *m, const struct export_entry *e)
{
	const struct config *c = &m->settings->config;

	for (size_t i = 0; e->config.source == EXPORT_FROM_CONFIG && i < c->count; i++) {
		if (strcmp(c->exports[i].name, e->config.name) == 0)
			return &c->exports[i];
	}
	return NULL;
}

/* A proxy of the configuration that was switched, or has another origin than stands there. */
static void add_changes(json_t *row, const struct export_entry *e, const struct export_config *file)
{
	if (!file || file->kind != EXPORT_PROXY)
		return;
	json_object_set_new(row, "switched", json_boolean(e->config.kind == EXPORT_TARGET));
	if (e->config.kind != EXPORT_PROXY || exports_same_origin(e, file))
		return;
	json_object_set_new(row, "origin", describe_origin(&e->config));
	json_object_set_new(row, "origin_before", describe_origin(file));
}

json_t *handover_export(const struct master *m, const struct export_entry *e)
{
	json_t *row = json_pack("{s:I, s:b, s:o, s:o}", "id", (json_int_t)e->id, "draining",
		e->draining, "hold", describe_hold(&e->hold), "failures", describe_failures(e));

	json_object_set_new(row, "image", json_string(e->config.image)); /* or not UTF-8 */
	add_copy(row, e);
	add_changes(row, e, as_configured(m, e));
	return row;
}

/* Taking over. */

static void take_hold(struct export_hold *h, const json_t *told)
{
	const char *host = text_of(told, "host");

	snprintf(h->host, sizeof(h->host), "%s", host ? host : "");
	h->since = number_of(told, "since");
	h->promised = number_of(told, "promised");
}

static void take_failures(struct export_entry *e, const json_t *told)
{
	const char *why = text_of(told, "why");

	e->backoff.failures = (unsigned)number_of(told, "count");
	e->backoff.until = number_of(told, "until");
	e->image_failed = json_is_true(json_object_get(told, "image"));
	snprintf(e->trouble, sizeof(e->trouble), "%s", why ? why : "");
}

static struct export_config origin_of(const json_t *told)
{
	return (struct export_config){.uri = text_of(told, "uri"),
		.host = text_of(told, "host"),
		.port = text_of(told, "port"),
		.exportname = text_of(told, "exportname")};
}

static void take_origin(struct export_entry *e, const json_t *row)
{
	struct export_config now = origin_of(json_object_get(row, "origin"));
	struct export_config before = origin_of(json_object_get(row, "origin_before"));
	struct err err;

	if (json_object_get(row, "origin") && exports_same_origin(e, &before) &&
		exports_set_origin(e, &now, &err) < 0)
		log_export(LOG_LEVEL_ERROR, e->config.name, "%s", err.text);
}

/* A copy is wanted as before. That it failed some times is forgotten: it is tried at once. */
static void take_proxy(struct export_entry *e, const json_t *row)
{
	json_t *migration = json_object_get(row, "migration");

	if (e->config.kind == EXPORT_PROXY && json_is_true(json_object_get(row, "switched")))
		exports_become_target(e);
	if (e->config.kind == EXPORT_PROXY) {
		take_origin(e, row);
		e->copy = (enum export_copy)MIN_OF(
			number_of(row, "copy"), (uint64_t)EXPORT_COPY_PAUSED);
		e->copy_rate = number_of(row, "copy_rate");
	}
	if (migration) {
		json_decref(e->migration);
		e->migration = json_deep_copy(migration);
	}
}

/*
 * --imgfile has the same exports as before, so one of them that was to go goes on draining. Of the
 * state file it is not there any more; and the configuration has been read again, which ends that.
 */
static bool drains_on(const struct export_entry *e, const json_t *row)
{
	return e->config.source == EXPORT_FROM_OPTION &&
		json_is_true(json_object_get(row, "draining"));
}

void handover_export_restore(struct export_entry *e, const json_t *row)
{
	const char *image = text_of(row, "image");

	take_hold(&e->hold, json_object_get(row, "hold"));
	e->draining = drains_on(e, row);
	if (!image || strcmp(image, e->config.image) != 0)
		return; /* another disk under this name */
	take_failures(e, json_object_get(row, "failures"));
	take_proxy(e, row);
}
