/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Active volumes; see active.h. LVM is asked only about those that have no device. */
#include "active.h"

#include "spec.h"
#include "util.h"
#include "vg_ask.h"

#include <errno.h>
#include <unistd.h>

static int ask(const struct spec *s, struct err *err)
{
	const struct vg_lv *lv;
	struct vg_lvs all;
	int r = vg_list(s->vg, &all, err);

	if (r < 0)
		return r;
	lv = vg_find(&all, s->lv);
	r = lv ? lv->is_active : err_set(err, ENOENT, "%s/%s: no such volume", s->vg, s->lv);
	vg_lvs_done(&all);
	return r;
}

int active_here(const struct config *c, const struct config_volume *v, struct err *err)
{
	struct spec s;

	if (v->kind != CONFIG_VOLUME || c->general.active_if)
		return 1;
	if (spec_parse(&s, v->source, err) < 0)
		return -EINVAL;
	return access(s.path, F_OK) == 0 ? 1 : ask(&s, err);
}
