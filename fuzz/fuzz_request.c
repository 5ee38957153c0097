/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Request headers, both forms: what is decoded and encoded again is the same bytes. */
#include "fuzz.h"

#include "nbd.h"

#include <errno.h>
#include <string.h>

static void check(const uint8_t *data, bool extended)
{
	uint8_t again[NBD_REQUEST_EXT_BYTES];
	struct nbd_request rq;
	size_t len = extended ? NBD_REQUEST_EXT_BYTES : NBD_REQUEST_BYTES;
	int ret = nbd_request_decode(data, extended, &rq);

	REQUIRE(ret == 0 || ret == -EPROTO);
	if (ret < 0)
		return;
	REQUIRE(extended || rq.length <= UINT32_MAX);
	REQUIRE(nbd_cmd_name(rq.type));
	REQUIRE(nbd_request_encode(again, extended, &rq) == len);
	REQUIRE(memcmp(again, data, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= NBD_REQUEST_BYTES)
		check(data, false);
	if (size >= NBD_REQUEST_EXT_BYTES)
		check(data, true);
	return 0;
}
