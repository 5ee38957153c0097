/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing data so that zeros become holes. May block; for threads. */
#ifndef SERVER_SPARSE_H
#define SERVER_SPARSE_H

#include "storage.h"

enum { SPARSE_RUN = 32 * 1024 /* shorter runs of zeros are written */ };

/* Reads LEN bytes. 0 or -errno; what is absent, or behind the end of the file, is -EIO. */
int sparse_read(struct storage *from, uint64_t offset, uint8_t *buf, size_t len);
/* Writes them; long runs of zeros are punched out. 0 or -errno. */
int sparse_write(struct storage *to, uint64_t offset, uint8_t *buf, size_t len);

#endif
