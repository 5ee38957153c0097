/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patterns against a slow reference that follows the words of path.h: over all paths of a few
 * names, and all of a lot of patterns.
 */
#include "path.h"
#include "rnd.h"
#include "util.h"

#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DEPTH = 4, ROOM = 128, PATTERNS = 400 };

static const char *const names[] = {"a", "b", "ab", ".a"};
static const char *const globs[] = {"a", "b", ".a", "*", "**", "**", "?", "a*", "*b", ".*", "[ab]"};

/* The first component of P; returns what is behind it. */
static const char *first(const char *p, char out[ROOM])
{
	size_t len = strcspn(p + 1, "/");

	memcpy(out, p + 1, len);
	out[len] = 0;
	return p + 1 + len;
}

/* Does all of PATH match all of PATTERN? */
static bool exactly(const char *pattern, const char *path)
{
	char glob[ROOM], name[ROOM];
	const char *p, *s;

	if (!*pattern)
		return !*path;
	p = first(pattern, glob);
	if (strcmp(glob, "**") == 0 && exactly(p, path))
		return true;
	if (!*path)
		return false;
	s = first(path, name);
	if (strcmp(glob, "**") == 0)
		return name[0] != '.' && exactly(pattern, s);
	return fnmatch(glob, name, FNM_PERIOD) == 0 && exactly(p, s);
}

static bool matches(const char *pattern, const char *path)
{
	char part[ROOM];

	for (size_t len = 0; len <= strlen(path); len++) {
		if (path[len] && path[len] != '/')
			continue;
		memcpy(part, path, len);
		part[len] = 0;
		if (exactly(pattern, part))
			return true;
	}
	return false;
}

/* Calls FN for all paths beneath FOLDER of at most DEPTH components more. */
static void each_path(const char *folder, unsigned depth,
	void (*fn)(void *arg, const char *pattern, const char *path), void *arg,
	const char *pattern)
{
	char path[ROOM];

	for (size_t i = 0; depth > 0 && i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%.100s/%s", folder, names[i]);
		fn(arg, pattern, path);
		each_path(path, depth - 1, fn, arg, pattern);
	}
}

static void note_match(void *arg, const char *pattern, const char *path)
{
	*(bool *)arg = *(bool *)arg || path_matches(pattern, path);
}

static void check_path(void *arg, const char *pattern, const char *path)
{
	char fixed[ROOM];
	bool is = path_matches(pattern, path);
	size_t len;

	(void)arg;
	if (is != matches(pattern, path))
		fail_msg("%s %s", pattern, path);
	assert_true(path_fixed_part(pattern, fixed, sizeof(fixed)));
	len = strcmp(fixed, "/") == 0 ? 0 : strlen(fixed);
	if (is && (strncmp(path, fixed, len) != 0 || (path[len] && path[len] != '/')))
		fail_msg("%s %s begins not with %s", pattern, path, fixed);
}

/* Exactly if there is a path. */
static void check_folder(void *arg, const char *pattern, const char *folder)
{
	bool some = false;

	(void)arg;
	each_path(strcmp(folder, "/") == 0 ? "" : folder, DEPTH, note_match, &some, pattern);
	if (path_may_hold(pattern, folder) != some)
		fail_msg("%s in %s: %d", pattern, folder, some);
}

static void random_pattern(struct rnd *r, char out[ROOM])
{
	size_t len = 0;

	for (size_t n = 1 + rnd_below(r, DEPTH); n > 0; n--)
		len += (size_t)snprintf(
			out + len, ROOM - len, "/%s", globs[rnd_below(r, ARRAY_LEN(globs))]);
}

static void test_matches(void **state)
{
	char pattern[ROOM];
	struct rnd r;

	(void)state;
	rnd_init(&r, 1);
	for (int i = 0; i < PATTERNS; i++) {
		random_pattern(&r, pattern);
		assert_null(path_pattern_fault(pattern));
		each_path("", DEPTH, check_path, NULL, pattern);
	}
}

static void test_may_hold(void **state)
{
	char pattern[ROOM];
	struct rnd r;

	(void)state;
	rnd_init(&r, 2);
	for (int i = 0; i < PATTERNS / 4; i++) {
		random_pattern(&r, pattern);
		check_folder(NULL, pattern, "/");
		each_path("", 2, check_folder, NULL, pattern);
	}
}

/* What would take exponential time if each "**" were tried against each place. */
static void test_many_stars(void **state)
{
	char pattern[256] = "", path[256] = "";

	(void)state;
	for (int i = 0; i < 30; i++)
		strcat(pattern, "/**/a");
	for (int i = 0; i < 64; i++)
		strcat(path, "/a");
	assert_true(path_matches(pattern, path));
	strcat(pattern, "/b");
	assert_false(path_matches(pattern, path));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_may_hold),
		cmocka_unit_test(test_many_stars),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
