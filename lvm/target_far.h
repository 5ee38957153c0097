/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A target on another host; see target.h. */
#ifndef LVM_TARGET_FAR_H
#define LVM_TARGET_FAR_H

#include "link.h"
#include "target.h"

struct target *target_far_new(
	const struct spec *spec, const struct link_options *options, struct err *err);

#endif
