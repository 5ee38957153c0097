/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pattern, a newline, a path: what is matched is clean and lies where the pattern's fixed part
 * says, all in a folder that matches does so too, and those who walk get there. Escapes come back.
 */
#include "fuzz.h"

#include "path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_escape(const char *path)
{
	size_t room = 3 * strlen(path) + 1;
	char *out = malloc(room), *back = malloc(strlen(path) + 1);

	REQUIRE(out && back);
	REQUIRE(path_escape(path, out, room));
	REQUIRE(path_unescape(out, strlen(out), back, strlen(path) + 1));
	REQUIRE(strcmp(back, path) == 0);
	free(out);
	free(back);
}

/* As if PATH were an escape itself. */
static void check_unescape(const char *text)
{
	size_t len = strlen(text);
	char *out = malloc(len + 1), *again = malloc(len + 1);

	REQUIRE(out && again);
	if (path_unescape(text, len, out, len + 1)) {
		REQUIRE(path_escape(out, again, len + 1));
		REQUIRE(strcmp(again, text) == 0);
	}
	free(out);
	free(again);
}

static void check_fixed(const char *pattern, const char *path)
{
	char fixed[PATH_BYTES_MAX + 1];
	size_t len;

	REQUIRE(path_fixed_part(pattern, fixed, sizeof(fixed)));
	len = strlen(fixed);
	REQUIRE(strcmp(fixed, "/") == 0 || path_is_clean(fixed));
	if (strcmp(fixed, "/") != 0)
		REQUIRE(strncmp(path, fixed, len) == 0 && (path[len] == '/' || !path[len]));
}

/* What is in a folder that matches, and what leads to PATH. */
static void check_around(const char *pattern, const char *path)
{
	char other[PATH_BYTES_MAX + 3];

	snprintf(other, sizeof(other), "%s/x", path);
	REQUIRE(!path_is_clean(other) || path_matches(pattern, other));
	snprintf(other, sizeof(other), "%s", path);
	while (*other) {
		REQUIRE(path_may_hold(pattern, other));
		*strrchr(other, '/') = 0;
	}
	REQUIRE(path_may_hold(pattern, "/"));
}

static void check_pattern(const char *pattern, const char *path)
{
	bool clean = path_is_clean(path), match = path_matches(pattern, path);

	REQUIRE(clean || !match);
	REQUIRE(clean || !path_excluded(pattern, path));
	path_may_hold(pattern, path);
	if (path_exclusion_fault(pattern) || *pattern != '/')
		return;
	REQUIRE(!path_pattern_fault(pattern));
	REQUIRE(match == path_excluded(pattern, path));
	if (match) {
		check_fixed(pattern, path);
		check_around(pattern, path);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *cut = size ? memchr(data, '\n', size) : NULL;
	char *pattern, *path;

	if (!cut)
		return 0;
	pattern = strndup((const char *)data, (size_t)(cut - data));
	path = strndup((const char *)cut + 1, size - (size_t)(cut + 1 - data));
	REQUIRE(pattern && path);
	check_pattern(pattern, path);
	check_escape(path);
	check_unescape(path);
	REQUIRE(!path_is_ours(path) || path_is_temporary(path));
	free(pattern);
	free(path);
	return 0;
}
