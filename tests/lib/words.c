/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See words.h. */
#include "words.h"

#include "check.h"

#include <string.h>

void words_split(struct words *w, const char *program, const char *command)
{
	char *save = NULL;

	*w = (struct words){0};
	CHECK(snprintf(w->text, sizeof(w->text), "%s %s", program, command) < (int)sizeof(w->text));
	for (char *p = strtok_r(w->text, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
		CHECK(w->argc < WORDS_MAX);
		w->argv[w->argc++] = p;
	}
}
