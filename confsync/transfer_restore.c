/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * After a generation was refused by a reload command: the node that published it still has the
 * files it was made of, which is what was refused, and its services would fail with them at their
 * next start. So they become those of the generation in force again, by a transaction of their own;
 * the refused ones are in the history. Edits that were made since then stay.
 */
#include "transfer_inner.h"

#include "hook.h"
#include "log.h"
#include "scan.h"
#include "sync_inner.h"

#include <string.h>

static int apply_alone(struct state *s, const struct manifest *live, struct err *err)
{
	struct apply a = {0};
	struct generation to;
	char id[GENERATION_ID_MAX];
	int r = generation_copy(&to, &s->now);

	if (r < 0)
		return err_sys(err, -r, "set %s", s->set->name);
	apply_new_id(id);
	r = apply_prepare(&a, s, APPLY_ALONE, id, live, &to, err);
	if (r == 0)
		r = apply_commit(&a, err);
	if (r == 0)
		r = apply_finish(&a, err);
	else if (a.phase != APPLY_NONE)
		apply_rollback(&a, err->text, NULL);
	apply_done(&a);
	generation_done(&to);
	return r;
}

/* Going back has kept them as undone, if there was space for it. */
static int keep(struct state *s, const struct scan *scan, struct err *err)
{
	char hex[MANIFEST_HEX];
	struct generation past;
	struct err none = {0};

	hash_to_hex(scan->digest, hex);
	if (state_past(s, hex, &past, &none) < 0)
		return sync_set_aside(s, scan, "refused by a reload command", err);
	generation_done(&past);
	return 0;
}

static int restore(struct state *s, const uint8_t refused[MANIFEST_HASH], struct err *err)
{
	struct scan scan = {0};
	int r = scan_set(s->config, s->set, s->index, SCAN_QUICK, &scan, err);

	if (r < 0)
		return r;
	if (scan.fault_count == 0 && memcmp(scan.digest, refused, MANIFEST_HASH) == 0 &&
		memcmp(scan.digest, s->now.digest, MANIFEST_HASH) != 0) {
		r = keep(s, &scan, err);
		if (r == 0)
			r = apply_alone(s, &scan.files, err);
	}
	scan_done(&scan);
	return r;
}

void transfer_restore(struct state *s, const uint8_t refused[MANIFEST_HASH], bool active)
{
	struct err err = {0};

	if (s->now.number > 0 && restore(s, refused, &err) < 0)
		log_error("set %s: the files that were refused are still there: %s", s->set->name,
			err.text);
	transfer_reload_back(s, active);
}
