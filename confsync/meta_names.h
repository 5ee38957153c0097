/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Users and groups by number and by name, each asked for once. A name that would be mistaken for a
 * number, or that an ACL's text has no room for (':' ',' control bytes), stays a number; so does
 * one of MANIFEST_NAME_MAX bytes or more. A name service that fails is an error and never "there is
 * no name": else all files would seem to have other owners while it is down.
 */
#ifndef CONFSYNC_META_NAMES_H
#define CONFSYNC_META_NAMES_H

#include "manifest.h"
#include "meta.h"

enum meta_kind { META_USER, META_GROUP };

/* From now on a name is refused (-EINVAL) that a scan would not give back: a number that has a name
 * here, a second name of a number. What was accepted would look edited for ever. */
void meta_names_strict(struct meta_names *n, bool strict);

/* 0 or -errno. */
int meta_names_text(
	struct meta_names *n, enum meta_kind kind, unsigned id, char ret[MANIFEST_NAME_MAX]);
/* -ENOENT: "there is no user NAME on this node". */
int meta_names_id(struct meta_names *n, enum meta_kind kind, const char *name, unsigned *ret,
	struct err *err);

#endif
