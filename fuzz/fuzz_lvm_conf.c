/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lvm_tools.conf: whatever it has in it, what is taken is within the limits of its keys, each fault
 * is one line, and the same text is taken in the same way twice.
 */
#include "fuzz.h"

#include "toolsconf.h"

#include <stdlib.h>
#include <string.h>

static void check_values(const struct toolsconf *c)
{
	REQUIRE(!c->snap_suffix || *c->snap_suffix);
	REQUIRE(c->space_sm >= 1 && c->space_sm <= 100 && c->space_xl >= 1 && c->space_xl <= 100);
	REQUIRE(c->chunk <= 512 * 1024 && (c->chunk & (c->chunk - 1)) == 0);
	REQUIRE(c->extend_at <= 99 && c->extend_by >= 1 && c->extend_by <= 1000);
	REQUIRE(c->reserve <= INT64_MAX && c->verify <= 1 && c->direct <= 1);
	REQUIRE(c->min_rate <= 1000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct toolsconf c, again;
	struct toolsconf_faults f = {0}, g = {0};
	char *text;
	int r;

	if (size > TOOLSCONF_FILE_MAX)
		return 0;
	text = malloc(size + 1);
	REQUIRE(text);
	memcpy(text, data, size);
	text[size] = 0;
	r = toolsconf_parse("conf", text, &c, &f);
	REQUIRE((r < 0) == (f.count > 0));
	if (r == 0)
		check_values(&c);
	for (size_t i = 0; i < f.count; i++)
		REQUIRE(strncmp(f.lines[i], "conf:", 5) == 0 && !strchr(f.lines[i], '\n'));
	REQUIRE(toolsconf_parse("conf", text, &again, &g) == r && f.count == g.count);
	toolsconf_forget(&f);
	toolsconf_forget(&g);
	toolsconf_free(&c);
	toolsconf_free(&again);
	free(text);
	return 0;
}
