/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See conftext.h. */
#include "conftext.h"

#include "check.h"

#include <string.h>

const char *conftext_write(struct temp *t, const char *name, const char *text)
{
	FILE *f = fopen(temp_path(t, name), "we");

	CHECK(f);
	for (; *text; text++) {
		if (*text == '@')
			fputs(t->folder, f);
		else
			fputc(*text, f);
	}
	CHECK(fclose(f) == 0);
	return temp_path(t, name);
}

static void add_line(const char *folder, const char *line, FILE *out)
{
	size_t skip = strlen(folder);
	const char *at;

	if (strncmp(line, folder, skip) == 0)
		line += skip + 1;
	for (; (at = strstr(line, folder)); line = at + skip)
		fprintf(out, "%.*sFOLDER", (int)(at - line), line);
	fprintf(out, "%s\n", line);
}

void conftext_faults(const struct temp *t, const struct conf *files, char *ret, size_t room)
{
	FILE *out = fmemopen(ret, room, "w");

	CHECK(out);
	*ret = 0;
	for (size_t i = 0; i < files->fault_count; i++)
		add_line(t->folder, files->faults[i], out);
	CHECK(fflush(out) == 0 && (size_t)ftell(out) < room);
	fclose(out);
}
