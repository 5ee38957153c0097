/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See rights.h. Who may write to a set's files on one node is not to become root on the other by
 * it: a program that runs with other rights than those of who starts it needs the word of both
 * nodes' configurations (mode), and what a mode promises no access control list takes back.
 */
#include "rights.h"

#include <string.h>
#include <sys/stat.h>

static bool has_attr(const struct entry *e, const char *name)
{
	for (size_t i = 0; i < e->attr_count; i++) {
		if (strcmp(e->attrs[i].name, name) == 0)
			return true;
	}
	return false;
}

/* A rule of modes that E, or what will be made in it, has to keep. */
static bool has_ruled_acl(const struct config_set *s, const struct entry *e)
{
	unsigned own = e->type == MANIFEST_FOLDER ? s->folder_mode_bits : s->mode_bits;

	if (has_attr(e, "acl.default") && (s->mode_bits || s->folder_mode_bits))
		return true;
	return own && has_attr(e, "acl.access");
}

const char *rights_fault(const struct config_set *s, const struct entry *e)
{
	unsigned ids = e->mode & (S_ISUID | S_ISGID);

	if (e->type == MANIFEST_FILE && ids & ~s->mode_bits)
		return "is setuid or setgid, which the set takes only if its mode has the same bit";
	if (has_attr(e, "security.capability"))
		return "has capabilities (security.capability), which are never part of a set";
	if (s->kind == CONFIG_SECRET && (has_attr(e, "acl.access") || has_attr(e, "acl.default")))
		return "has an access control list, but the set is secret";
	if (has_ruled_acl(s, e))
		return "has an access control list, but the set has a rule for its mode";
	return NULL;
}
