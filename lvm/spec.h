/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is copied, and where to: KIND:[HOST:]PLACE. Pure.
 *
 *	file:/srv/vm1.img	file:backup:/srv/vm1.img	file:root@[2001:db8::1]:/srv/vm1.img
 *	lvm:/dev/vg0/vm1	lvm:vg0/vm1	lvm:/dev/mapper/vg0-vm1	lvm:backup:/dev/vg0/vm1
 *	dev:/dev/sdb	dev:backup:/dev/sdb
 *	nbd:nbd://host/name	nbd:nbd+unix:///name?socket=/run/x	nbd://host/name
 *
 * Names of LVM consist of letters, digits and + _ . - and do not begin with a hyphen; under
 * /dev/mapper a hyphen of a name is doubled. Paths begin with '/', so that the far side, which has
 * another working directory, means the same.
 */
#ifndef LVM_SPEC_H
#define LVM_SPEC_H

#include "err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum spec_kind { SPEC_FILE, SPEC_LVM, SPEC_DEV, SPEC_NBD };

enum { SPEC_HOST_MAX = 256, SPEC_NAME_MAX = 128, SPEC_TEXT_MAX = PATH_MAX + SPEC_HOST_MAX + 8 };

struct spec {
	enum spec_kind kind;
	char host[SPEC_HOST_MAX]; /* as for ssh: [user@]name; "" = here */
	char path[PATH_MAX];      /* SPEC_LVM: /dev/VG/LV however it was given; SPEC_NBD: the URI */
	char vg[SPEC_NAME_MAX];   /* SPEC_LVM */
	char lv[SPEC_NAME_MAX];
};

/* Fills S, or -EINVAL and a line that says what would be right. */
int spec_parse(struct spec *s, const char *text, struct err *err);

/* The text spec_parse() would make the same of. FAR: without the host, as the far side gets it. */
void spec_print(const struct spec *s, bool far, char out[SPEC_TEXT_MAX]);

/* May a volume group or a logical volume be called so? */
bool spec_is_lvm_name(const char *name);

/* Splits VG-LV, the name of a mapped device with doubled hyphens. False: it is not of that form. */
bool spec_split_mapped(const char *name, char vg[SPEC_NAME_MAX], char lv[SPEC_NAME_MAX]);

/* The other way round, for names that spec_is_lvm_name() likes. */
enum { SPEC_MAPPED_MAX = 4 * SPEC_NAME_MAX };
void spec_join_mapped(const char *vg, const char *lv, char out[SPEC_MAPPED_MAX]);

#endif
