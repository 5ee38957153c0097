/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this kernel or container lets the engine do. */
#include "uring.h"

#include "engine.h"

bool has_uring(void)
{
	struct engine e;
	struct reactor r;
	bool yes = reactor_init(&r) == 0 && engine_open(&e, ENGINE_URING, &r, NULL) == 0;

	if (yes)
		engine_close(&e);
	reactor_done(&r);
	return yes;
}
