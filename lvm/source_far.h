/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A source on another host; see source.h. */
#ifndef LVM_SOURCE_FAR_H
#define LVM_SOURCE_FAR_H

#include "link.h"
#include "source.h"

struct source *source_far_new(const struct spec *spec, const struct source_want *want,
	const struct link_options *options, struct err *err);

#endif
