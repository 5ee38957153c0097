/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an administrator has confirmed, as notes of two kinds; see confirm.h and note.h. */
#include "confirm.h"

#include "note.h"

#include <stdio.h>

_Static_assert((int)CONFIRM_WHO_MAX == (int)NOTE_WHO_MAX, "copied as it is");

static const char *const kinds[] = {[CONFIRM_DOWN] = "down", [CONFIRM_ON] = "may-on"};

static void fill(struct confirm *ret, const struct note *n)
{
	if (!ret)
		return;
	snprintf(ret->who, sizeof(ret->who), "%s", n->who);
	ret->age_ms = n->age_ms;
	ret->left_ms = n->left_ms;
}

int confirm_set(const char *dir, const char *node, enum confirm_kind kind, const char *who,
	uint64_t ms, struct err *err)
{
	return note_write(dir, node, kinds[kind], who, ms, err);
}

bool confirm_get(const char *dir, const char *node, enum confirm_kind kind, struct confirm *ret)
{
	struct note n;
	bool good = note_read(dir, node, kinds[kind], &n);

	if (good)
		fill(ret, &n);
	return good;
}

bool confirm_take(const char *dir, const char *node, enum confirm_kind kind, struct confirm *ret)
{
	struct note n;
	bool good = note_take(dir, node, kinds[kind], &n);

	if (good)
		fill(ret, &n);
	return good;
}

void confirm_drop(const char *dir, const char *node, enum confirm_kind kind)
{
	note_drop(dir, node, kinds[kind]);
}
