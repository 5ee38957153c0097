/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names that are no configuration but leftovers and work in progress beside it; see path.h. Names
 * that somebody may have given on purpose are not among them. A scan asks for each file, so it is
 * endings that are compared and not patterns.
 */
#include "path.h"

#include "util.h"

#include <string.h>

static const char *const endings[] = {
	"~", /* backups of vi, emacs, nano and others */
	".dpkg-new",
	".dpkg-tmp",
	".dpkg-old",
	".dpkg-dist",
	".dpkg-bak",
	".ucf-new",
	".ucf-old",
	".ucf-dist",
	".rpmnew",
	".rpmsave",
	".rpmorig",
};

static bool has_ending(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		size_t n = strlen(endings[i]);

		if (len > n && memcmp(name + len - n, endings[i], n) == 0)
			return true;
	}
	return false;
}

/* Swap files of vi and nano (.NAME.swp, .swo ..., .swpx), and the name by which vi finds out
 * whether it may write to a folder. */
static bool is_of_vi(const char *name, size_t len)
{
	if (strcmp(name, "4913") == 0)
		return true;
	if (*name != '.')
		return false;
	if (len > 6 && memcmp(name + len - 5, ".swpx", 5) == 0)
		return true;
	return len > 5 && memcmp(name + len - 4, ".sw", 3) == 0 && name[len - 1] >= 'a' &&
		name[len - 1] <= 'z';
}

/* Saved by itself: #NAME#; a lock: .#NAME. */
static bool is_of_emacs(const char *name, size_t len)
{
	return len > 2 && ((name[0] == '#' && name[len - 1] == '#') || strncmp(name, ".#", 2) == 0);
}

/* While rpm unpacks: NAME;HEX. */
static bool is_of_rpm(const char *name, size_t len)
{
	return len > 9 && name[len - 9] == ';' && strspn(name + len - 8, "0123456789abcdef") == 8;
}

static const char *last(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool path_is_ours(const char *path)
{
	return strncmp(last(path), PATH_OWN_PREFIX, sizeof(PATH_OWN_PREFIX) - 1) == 0;
}

bool path_is_temporary(const char *path)
{
	const char *name = last(path);
	size_t len = strlen(name);

	return path_is_ours(path) || has_ending(name, len) || is_of_vi(name, len) ||
		is_of_emacs(name, len) || is_of_rpm(name, len);
}
