/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A blocking NBD connection for the load generator: connect, GO, goodbye. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stdint.h>

struct peer_address {
	const char *unix_path; /* or host and port */
	const char *host, *port;
	const char *export_name;
	bool structured;
};

struct peer {
	int fd;
	uint64_t size;
	uint16_t flags;
};

/* 0, or -1 after printing what failed. */
int peer_open(struct peer *p, const struct peer_address *a);
void peer_close(struct peer *p);

/* Whole transfers or -1. */
int peer_send(int fd, const void *bytes, uint64_t len);
int peer_receive(int fd, void *bytes, uint64_t len);

#endif
