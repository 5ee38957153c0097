/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A folder with a layer's data file and the files of its block map, called "map". */
#ifndef TESTS_LIB_SERVER_MAPS_H
#define TESTS_LIB_SERVER_MAPS_H

#include "blockmap.h"
#include "temp.h"

enum { MAPS_BLOCK = 4096 };

struct maps {
	struct temp temp;
	char path[TEMP_PATH_MAX]; /* of the map */
	struct blockmap_wish wish;
	struct blockmap map;
	struct err err; /* of the last maps_open() */
};

/* A wish for a map of BLOCKS blocks of an origin "nbd://a:1/x"; nothing is opened yet. */
void maps_init(struct maps *t, uint64_t blocks);
void maps_done(struct maps *t);

/* As wished; 0 or -errno. */
int maps_open(struct maps *t);
/* Ends the map as a kill would. */
void maps_kill(struct maps *t);
/* The next opening takes place in another boot. */
void maps_reboot(struct maps *t);

/* PATH SUFFIX, valid until the next call. */
const char *maps_file(struct maps *t, const char *suffix);
/* Is the bit set in that file? False if there is no such file. */
bool maps_has(struct maps *t, const char *suffix, uint64_t bit);
/* The member of PATH.info, NULL if there is none; json_decref() it. */
json_t *maps_info(struct maps *t, const char *key);
/* Puts VALUE (taken) there, KEY may be of the form "data.inode". */
void maps_edit(struct maps *t, const char *key, json_t *value);

#endif
