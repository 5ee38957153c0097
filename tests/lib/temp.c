/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Folders of tests; see temp.h. What goes wrong here ends the test program. */
#include "temp.h"

#include "check.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void temp_init(struct temp *t)
{
	const char *base = getenv("TMPDIR");

	CHECK(snprintf(t->folder, sizeof(t->folder), "%s/xnbd-test-XXXXXX",
		      base && strlen(base) < 32 ? base : "/tmp") < (int)sizeof(t->folder));
	CHECK(mkdtemp(t->folder));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void temp_done(struct temp *t)
{
	nftw(t->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *temp_path(struct temp *t, const char *name)
{
	CHECK(snprintf(t->path, sizeof(t->path), "%s/%s", t->folder, name) < (int)sizeof(t->path));
	return t->path;
}

const char *temp_file(struct temp *t, const char *name, const char *content)
{
	FILE *f = fopen(temp_path(t, name), "we");

	CHECK(f && fputs(content, f) >= 0 && fclose(f) == 0);
	return t->path;
}
