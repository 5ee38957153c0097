/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The far side: one copy's source or target, for the lvm_copy at the other end of an ssh
 * connection. It is meant to be a key's forced command, so it believes nothing it is told:
 *
 *	restrict,command="lvm_copy --serve --prefix /srv/backup" ssh-ed25519 AAAA...
 */
#ifndef LVM_SERVE_H
#define LVM_SERVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct serve_rules {
	const char *prefix; /* only what lies below it; NULL = anything */
	bool read_only;     /* nothing is written */
	uint64_t idle_ms;   /* it ends when it has heard nothing for so long; 0 = never */
	atomic_bool *stop;
};

/* On stdin and stdout, until the other side ends. Exit status: 0 = it got what it asked for. */
int serve_run(const struct serve_rules *rules);

#endif
