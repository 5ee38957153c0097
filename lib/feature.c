/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Agreed features as text, one row per feature; see feature.h. */
#include "feature.h"

#include "nbd.h"
#include "util.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *word;
	size_t offset;
} rows[] = {
	{"structured", offsetof(struct features, structured)},
	{"extended", offsetof(struct features, extended)},
	{NBD_CONTEXT_BASE, offsetof(struct features, allocation)},
};

static bool *field(struct features *f, size_t row)
{
	return (bool *)(void *)((char *)f + rows[row].offset);
}

void feature_format(const struct features *f, char out[FEATURE_TEXT_MAX])
{
	struct features copy = *f;

	out[0] = 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!*field(&copy, i))
			continue;
		if (out[0])
			strcat(out, ",");
		strcat(out, rows[i].word);
	}
	if (!out[0])
		strcpy(out, "simple");
}

static bool set_word(struct features *f, const char *word, size_t len)
{
	if (len == strlen("simple") && memcmp(word, "simple", len) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (len == strlen(rows[i].word) && memcmp(word, rows[i].word, len) == 0) {
			*field(f, i) = true;
			return true;
		}
	}
	return false;
}

int feature_parse(const char *text, struct features *ret, struct err *err)
{
	struct features f = {0};

	for (const char *p = text;;) {
		size_t len = strcspn(p, ",");

		if (!set_word(&f, p, len))
			return err_set(err, EINVAL,
				"features '%s': '%.*s' is none of simple, structured, extended, %s",
				text, (int)len, p, NBD_CONTEXT_BASE);
		if (!p[len])
			break;
		p += len + 1;
	}
	if ((f.extended || f.allocation) && !f.structured)
		return err_set(err, EINVAL, "features '%s': extended and %s need structured", text,
			NBD_CONTEXT_BASE);
	*ret = f;
	return 0;
}
