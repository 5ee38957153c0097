/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which reserved ports are nobody's. We have one for minutes only, but a service that starts in
 * this time must find its own free.
 */
#include "reserved.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void reserved_init(struct reserved *r, const char *blacklist, uint32_t start)
{
	FILE *f = fopen(blacklist ? blacklist : "/etc/bindresvport.blacklist", "re");
	char line[256];

	memset(r, 0, sizeof(*r));
	r->start = start % RESERVED_COUNT;
	while (f && fgets(line, sizeof(line), f)) {
		unsigned long port = strtoul(line, NULL, 10); /* 0 for a comment */

		if (port >= RESERVED_FIRST && port <= RESERVED_LAST)
			r->listed[port - RESERVED_FIRST] = true;
	}
	if (f)
		fclose(f);
}

uint16_t reserved_port(const struct reserved *r, uint32_t i)
{
	uint32_t n = (r->start + i) % RESERVED_COUNT;
	uint16_t port = (uint16_t)(RESERVED_FIRST + n);
	struct servent entry, *found = NULL;
	char buffer[1024];

	if (r->listed[n])
		return 0;
	if (getservbyport_r(htons(port), "udp", &entry, buffer, sizeof(buffer), &found) == 0 &&
		found)
		return 0;
	return port;
}
