/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults of a scan: rules of the set that an entry breaks, and the list of all of them. Each says
 * what would be right. Nothing is corrected here: who broke a rule may have meant it.
 */
#include "rights.h"
#include "scan_walk.h"

#include "str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECRET_FILE = 0600, SECRET_FOLDER = 0700, TEXT_ROOM = 400 };

void scan_fault(struct scan_walk *w, const char *fmt, ...)
{
	char shown[SCAN_PATH_ROOM], text[TEXT_ROOM];
	struct scan *s = w->out;
	va_list ap;

	if (s->fault_count++ >= SCAN_FAULTS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	str_printable(shown, sizeof(shown), w->path, strlen(w->path));
	if (asprintf(&s->faults[s->fault_count - 1], "%s: %s", shown, text) < 0)
		s->faults[s->fault_count - 1] = NULL;
}

static void check_owner(struct scan_walk *w, const struct entry *e)
{
	if (w->set->owner && strcmp(e->owner, w->set->owner) != 0)
		scan_fault(w, "its owner is %s, but the set's is %s", e->owner, w->set->owner);
	if (w->set->group && strcmp(e->group, w->set->group) != 0)
		scan_fault(w, "its group is %s, but the set's is %s", e->group, w->set->group);
}

static void check_mode(struct scan_walk *w, const struct entry *e)
{
	bool folder = e->type == MANIFEST_FOLDER;
	unsigned rule = folder ? w->set->folder_mode_bits : w->set->mode_bits;
	unsigned most = folder ? SECRET_FOLDER : SECRET_FILE;

	if (rule && e->mode != rule)
		scan_fault(w, "its mode is %04o, but the set's is %04o", e->mode, rule);
	else if (w->set->kind == CONFIG_SECRET && e->mode & ~most)
		scan_fault(w, "its mode is %04o, but in a secret set at most %04o is right",
			e->mode, most);
}

/* A path that two sets have would be written by both. */
static void check_others(struct scan_walk *w, const struct entry *e)
{
	for (size_t i = 0; i < w->other_count; i++)
		if (config_allows(w->config, w->others[i], e->path))
			scan_fault(w, "it is in set %s too; one of both should exclude it",
				w->others[i]->name);
}

void scan_rules(struct scan_walk *w, const struct entry *e)
{
	const char *rights = rights_fault(w->set, e);

	check_owner(w, e);
	if (e->type != MANIFEST_LINK)
		check_mode(w, e);
	if (rights)
		scan_fault(w, "%s", rights);
	check_others(w, e);
}
