/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is a path one of a set's? A list that was imported may have ten thousand names, and a scan asks
 * for each file it meets; so names are looked up in a sorted list, for the path and each folder
 * above it, and only patterns with wildcards are tried one by one.
 */
#include "config_inner.h"

#include "path.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The one name that PATTERN stands for; NULL: it has wildcards. OUT has room for all of it. */
static char *plain_name(const char *pattern, char *out)
{
	size_t len = 0;

	for (; *pattern; pattern++) {
		if (strchr("*?[", *pattern))
			return NULL;
		if (*pattern == '\\' && pattern[1])
			pattern++;
		out[len++] = *pattern;
	}
	while (len > 1 && out[len - 1] == '/')
		len--;
	out[len] = 0;
	return out;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int config_match_init(struct config_set *s)
{
	s->plain.items = calloc(s->paths.count + 1, sizeof(*s->plain.items));
	s->wild = calloc(s->paths.count + 1, sizeof(*s->wild));
	if (!s->plain.items || !s->wild)
		return -ENOMEM;
	for (size_t i = 0; i < s->paths.count; i++) {
		const char *pattern = s->paths.items[i];
		char *name = malloc(strlen(pattern) + 1);

		if (!name)
			return -ENOMEM;
		if (plain_name(pattern, name)) {
			s->plain.items[s->plain.count++] = name;
			continue;
		}
		free(name);
		s->wild[s->wild_count++] = pattern;
	}
	qsort(s->plain.items, s->plain.count, sizeof(*s->plain.items), compare);
	return 0;
}

void config_match_done(struct config_set *s)
{
	key_free_texts(&s->plain);
	free(s->wild);
	s->wild = NULL;
	s->wild_count = 0;
}

bool config_match_plain(const struct config_set *s, const char *path)
{
	return s->plain.count &&
		bsearch(&path, s->plain.items, s->plain.count, sizeof(*s->plain.items), compare);
}

static bool is_below_plain(const struct config_set *s, const char *path)
{
	char above[PATH_BYTES_MAX + 1];
	size_t len = strlen(path);

	if (len >= sizeof(above))
		return false;
	memcpy(above, path, len + 1);
	while (len > 0) {
		above[len] = 0;
		if (config_match_plain(s, above))
			return true;
		len = (size_t)(strrchr(above, '/') - above);
	}
	return false;
}

bool config_match(const struct config_set *s, const char *path)
{
	if (is_below_plain(s, path))
		return true;
	for (size_t i = 0; i < s->wild_count; i++) {
		if (path_matches(s->wild[i], path))
			return true;
	}
	return false;
}
