/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists for `import-list`: what is taken is a section that reads back without a fault, and whose
 * names are all allowed patterns; what is not taken has a reason, and nothing is written. The first
 * byte says how the list is read.
 */
#include "fuzz.h"

#include "conf.h"
#include "config.h"
#include "import.h"
#include "path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FD_CONF = 102 };

static void check_section(const char *text, size_t len)
{
	int fd = memfd_create("fuzz", 0);
	struct conf c;
	const struct conf_value *v;

	REQUIRE(fd >= 0 && pwrite(fd, text, len, 0) == (ssize_t)len);
	REQUIRE(dup2(fd, FD_CONF) == FD_CONF);
	close(fd);
	REQUIRE(conf_read("/proc/self/fd/102", config_kinds, config_kind_count, &c) == 0);
	REQUIRE(c.count == 1 && strcmp(c.sections[0].title, "s") == 0);
	v = conf_value(&c.sections[0], "paths");
	REQUIRE(v && v->count > 0);
	for (size_t i = 0; i < v->count; i++)
		REQUIRE(!path_pattern_fault(v->texts[i]));
	conf_done(&c);
	close(FD_CONF);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct import o = {.set = "s", .root = "/nowhere"};
	char *text = NULL;
	size_t len = 0;
	struct err err = {0};
	FILE *in, *out;
	int r;

	if (size < 2)
		return 0;
	o.from0 = data[0] & 1;
	o.folders = (enum import_folders)(data[0] / 2 % 3);
	in = fmemopen((void *)(uintptr_t)(data + 1), size - 1, "r");
	out = open_memstream(&text, &len);
	REQUIRE(in && out);
	r = import_list(&o, in, "list", out, &err);
	fclose(in);
	fclose(out);
	REQUIRE((r == 0) == (len > 0) && (r == 0 || strlen(err.text) > 10));
	if (r == 0)
		check_section(text, len);
	free(text);
	return 0;
}
