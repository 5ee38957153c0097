/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A layer over a plain file in a test's hands, with clients: fills stay until the test ends them.
 * What is below, and what a client must see, are in memory. A program has one at a time.
 */
#ifndef TESTS_LIB_SERVER_LAYERS_H
#define TESTS_LIB_SERVER_LAYERS_H

#include "clients.h"
#include "layer.h"
#include "temp.h"

enum {
	BLOCK = 4096,
	BLOCKS = 601,
	LAST = 1000, /* bytes of the last block */
	SIZE = (BLOCKS - 1) * BLOCK + LAST,
	FILLS = 2048,
	PATIENCE_MS = 20 * 1000,
};

struct layers {
	struct temp temp;
	struct clients clients;
	struct layer layer, snapshot;
	struct storage *base; /* of `layer`; NULL = none */
	struct layer_ops ops;
	struct storage_ops storage_ops;
	bool threaded;             /* fills end by themselves, in threads */
	struct fill *fills[FILLS]; /* in the order they were begun; NULL = over */
	unsigned begun;
	bool hold_commit;     /* of the next write: */
	struct request *held; /* its commit is not over */
	uint8_t below[SIZE], model[SIZE], got[SIZE];
};

extern struct layers layers;

/* cmocka's. The layer has no base, nothing is present. */
int layers_set_up(void **state);
int layers_tear_down(void **state);

void layers_open(struct layer *l, const char *name, struct storage *base);
/* From now on absent blocks are read from a file below, as those of overlays. */
void layers_use_base(void);
/* The layer's file is a new one, nothing is present. */
void layers_start_anew(void);

/* Ends the fill number N, with the old data in place or with an error (errno). */
void layers_end_fill(unsigned n, int error);
void layers_end_fills(void);
/* Puts the data that is below in place. 0 or -errno. */
int layers_put_old(struct fill *f);
/* Waits for the write whose commit is to be held; ends that. */
void layers_wait_held(void);
void layers_release(int result);

/* Requests by client ID; each returns its cookie. Writes are of one BYTE everywhere, and the model
 * knows them at once. */
unsigned layers_ask(unsigned id, enum nbd_cmd type, uint64_t offset, size_t length);
unsigned layers_read(unsigned id, uint64_t offset, size_t length);
unsigned layers_write(unsigned id, uint64_t offset, size_t length, uint8_t byte);
bool layers_is_open(unsigned cookie);
int layers_wait(unsigned cookie);
/* Waits for it, without an error; what was read is as the model. */
void layers_check(unsigned cookie, uint64_t offset, size_t length);
/* Everything there is, read through the layer. */
void layers_check_all(void);

#endif
