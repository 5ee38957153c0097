/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the command line asks to serve: target, copy-on-write target, proxy. */
#ifndef SERVER_MODES_H
#define SERVER_MODES_H

#include "options.h"
#include "storage.h"

/* The words behind the options. */
struct modes_words {
	const char *host, *port;      /* of a proxy's origin; NULL = uri */
	const char *uri;              /* the same; NULL = host and port */
	const char *image;            /* what people mean by this export: a proxy's cache */
	const char *bitmap, *control; /* of a proxy */
};

/* COUNT was checked by server_options_check(). Paths are made absolute. */
void modes_take(const struct server_options *o, int count, char **words, struct modes_words *ret);

/* NULL with ERR. May wait for an origin. */
struct storage *modes_open(
	const struct server_options *o, const struct modes_words *words, struct err *err);

#endif
