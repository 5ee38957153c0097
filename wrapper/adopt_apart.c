/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Servers that are apart: they go on for the clients they have, and get no new ones. They have an
 * id that no export has, so nobody finds them by that; what they hold on to is looked for here. See
 * adopt.h.
 */
#include "adopt_inner.h"

#include "control.h"
#include "log.h"
#include "master.h"
#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NO_EXPORT = 1U << 31 }; /* ids from there on: of workers that belong to none */

uint32_t adopt_no_export(struct master *m)
{
	return (uint32_t)NO_EXPORT + ++m->strays;
}

void adopt_set_apart(struct worker *w, const char *fmt, ...)
{
	va_list ap;

	if (w->apart)
		return;
	va_start(ap, fmt);
	if (vasprintf(&w->apart, fmt, ap) < 0)
		w->apart = NULL;
	va_end(ap);
	w->export_id = adopt_no_export(w->master);
}

unsigned adopt_clients(const struct worker *w)
{
	return MAX_OF(w->client_count, w->foreign_clients);
}

/* It may have an image as bytes that are no UTF-8; it told us a printable form. */
bool adopt_is_image(const struct export_entry *e, const char *told)
{
	json_t *text = control_text(e->config.image);
	bool same = text && strcmp(json_string_value(text), told) == 0;

	json_decref(text);
	return same;
}

/* Two of them at the files of a proxy do harm. */
static bool is_in_the_way(const struct worker *w, const struct export_entry *e)
{
	return w->apart && w->image && (w->of_proxy || e->config.kind == EXPORT_PROXY) &&
		adopt_is_image(e, w->image);
}

const struct worker *adopt_blocker(const struct master *m, const struct export_entry *e)
{
	for (const struct worker *w = m->workers; w; w = w->next) {
		if (is_in_the_way(w, e))
			return w;
	}
	return NULL;
}

int adopt_check_free(const struct master *m, const struct export_entry *e, struct err *err)
{
	const struct worker *w = adopt_blocker(m, e);

	if (!w)
		return 0;
	return err_set(err, EBUSY,
		"a server of before (pid %d) has its files until its %u clients have left",
		(int)w->pid, adopt_clients(w));
}

json_t *adopt_describe(const struct master *m)
{
	json_t *all = json_array();

	for (const struct worker *w = m->workers; w; w = w->next) {
		if (!w->apart && !w->adopting)
			continue;
		json_array_append_new(all,
			json_pack("{s:s, s:i, s:s, s:i, s:s}", "export", w->export_name, "pid",
				(int)w->pid, "image", w->image ? w->image : "", "clients",
				(int)adopt_clients(w), "reason",
				w->apart ? w->apart : "it does not answer"));
	}
	return all;
}
