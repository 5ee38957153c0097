/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may be part of a set on this node: config_allows(), the fence around all that a peer says.
 * Our own configuration is guarded by name, and so is what would become part of it: a file that is
 * not there yet, but that an include's pattern would find at the next start. Names are kept as they
 * were given and as they are without symbolic links, since no path of a set goes through a link.
 */
#include "config_inner.h"

#include "fsutil.h"
#include "path.h"
#include "util.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* Takes TEXT; NULL is no memory. */
static int add(struct key_texts *list, char *text)
{
	char **more = realloc(list->items, (list->count + 1) * sizeof(*more));

	if (more)
		list->items = more;
	if (!more || !text) {
		free(text);
		return -ENOMEM;
	}
	more[list->count++] = text;
	return 0;
}

/* FOLDER without links, and REST behind it. */
static int add_real(struct key_texts *list, const char *folder, const char *rest)
{
	CLEANUP_FREE char *real = realpath(*folder ? folder : "/", NULL);
	char *text;

	if (!real)
		return errno == ENOMEM ? -ENOMEM : 0; /* it is not there, so nothing can be in it */
	if (asprintf(&text, "%s%s", strcmp(real, "/") == 0 ? "" : real, rest) < 0)
		return -ENOMEM;
	return add(list, text);
}

/* A file may come later, its folder is enough. */
static int add_file(struct key_texts *list, const char *path)
{
	CLEANUP_FREE char *whole = fs_absolute(path);
	char *slash = whole ? strrchr(whole, '/') : NULL, rest[PATH_BYTES_MAX];
	int r;

	if (!slash)
		return -ENOMEM;
	r = add(list, strdup(whole));
	if (r == 0)
		r = add_real(list, whole, "");
	if (r < 0)
		return r;
	*slash = 0;
	snprintf(rest, sizeof(rest), "/%s", slash + 1);
	return add_real(list, whole, rest);
}

/* The part up to the last slash before anything special is a folder. */
static int add_pattern(struct key_texts *list, const char *pattern)
{
	CLEANUP_FREE char *whole = fs_absolute(pattern), *folder = NULL;
	size_t len = whole ? strcspn(whole, "*?[\\") : 0;

	if (!whole)
		return -ENOMEM;
	while (len > 0 && whole[len - 1] != '/')
		len--;
	folder = strndup(whole, len ? len - 1 : 0);
	if (!folder || add(list, strdup(whole)) < 0)
		return -ENOMEM;
	return add_real(list, folder, whole + (len ? len - 1 : 0));
}

int config_find_own(const struct conf *f, struct config *c)
{
	int r = c->general.key_file ? add_file(&c->files, c->general.key_file) : -ENOMEM;

	if (r == 0)
		r = add_file(&c->files, c->path);
	for (size_t i = 0; r == 0 && i < f->files.count; i++)
		r = add_file(&c->files, f->files.items[i]);
	for (size_t i = 0; r == 0 && i < f->patterns.count; i++)
		r = add_pattern(&c->patterns, f->patterns.items[i]);
	return r;
}

/* PATH is FOLDER, or in it. */
static bool is_inside(const char *folder, const char *path)
{
	size_t len = strlen(folder);

	while (len > 0 && folder[len - 1] == '/')
		len--;
	return strncmp(folder, path, len) == 0 && (!path[len] || path[len] == '/');
}

bool config_is_own(const struct config *c, const char *path)
{
	const struct config_general *g = &c->general;

	/* These are no configuration: what we know of the peer must not come from it. */
	if (is_inside(g->state_directory, path) || strcmp(g->control, path) == 0 ||
		strcmp(g->fence_log, path) == 0)
		return true;
	if (g->follow_peer)
		return false;
	for (size_t i = 0; i < c->patterns.count; i++) {
		if (fnmatch(c->patterns.items[i], path, FNM_PATHNAME | FNM_PERIOD) == 0)
			return true;
	}
	for (size_t i = 0; i < c->files.count; i++) {
		if (strcmp(c->files.items[i], path) == 0)
			return true;
	}
	return false;
}

static bool is_above_one(const struct key_texts *list, const char *path)
{
	for (size_t i = 0; i < list->count; i++) {
		if (is_inside(path, list->items[i]))
			return true;
	}
	return false;
}

/* A folder above a file of our own: who may change its owner and mode may have anybody replace what
 * is in it. What else is in it may be part of a set. */
static bool is_above_own(const struct config *c, const char *path)
{
	const struct config_general *g = &c->general;

	if (is_inside(path, g->state_directory) || is_inside(path, g->control) ||
		(*g->fence_log && is_inside(path, g->fence_log)))
		return true;
	return !g->follow_peer &&
		(is_above_one(&c->files, path) || is_above_one(&c->patterns, path));
}

/* What a crash leaves in a folder with such a name is none of ours either. */
static bool has_temporary(const char *path)
{
	char above[PATH_BYTES_MAX + 1];

	if (path_is_temporary(path))
		return true;
	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(above, sizeof(above), "%.*s", (int)(slash - path), path);
		if (path_is_temporary(above))
			return true;
	}
	return false;
}

static bool has(const struct config_set *s, const char *path)
{
	bool found = config_match(s, path);

	for (size_t i = 0; found && i < s->exclude.count; i++)
		found = !path_excluded(s->exclude.items[i], path);
	return found;
}

bool config_allows(const struct config *c, const struct config_set *s, const char *path)
{
	if (s->kind == CONFIG_LOCAL || !path_is_clean(path) || !has(s, path) ||
		has_temporary(path) || config_is_own(c, path) || is_above_own(c, path))
		return false;
	for (size_t i = 0; i < c->set_count; i++) {
		if (c->sets[i].kind == CONFIG_LOCAL && has(&c->sets[i], path))
			return false;
	}
	return true;
}

/* The definition. */

/* With its zero, so that no two lists of texts read the same. */
static bool hash_text(EVP_MD_CTX *x, const char *text)
{
	return EVP_DigestUpdate(x, text, strlen(text) + 1) == 1;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In no order of the user's. */
static bool hash_list(EVP_MD_CTX *x, const struct key_texts *list)
{
	CLEANUP_FREE char **sorted = calloc(list->count + 1, sizeof(*sorted));
	bool good = sorted;

	for (size_t i = 0; good && i < list->count; i++)
		sorted[i] = list->items[i];
	if (good)
		qsort(sorted, list->count, sizeof(*sorted), compare);
	for (size_t i = 0; good && i < list->count; i++)
		good = hash_text(x, sorted[i]);
	return good && hash_text(x, "");
}

static bool hash_set(EVP_MD_CTX *x, const struct config_set *s)
{
	char numbers[96];

	snprintf(numbers, sizeof(numbers), "xnbd-confsync 1 %d %d %o %o %d", s->kind, s->writer,
		s->mode_bits, s->folder_mode_bits, s->symlinks);
	return hash_text(x, numbers) && hash_text(x, s->name) &&
		hash_text(x, s->owner ? s->owner : "") && hash_text(x, s->group ? s->group : "") &&
		hash_list(x, &s->paths) && hash_list(x, &s->exclude);
}

int config_definition(const struct config_set *s, uint8_t ret[MANIFEST_HASH])
{
	EVP_MD_CTX *x = EVP_MD_CTX_new();
	uint8_t hash[EVP_MAX_MD_SIZE];
	bool good = x && EVP_DigestInit_ex(x, EVP_sha256(), NULL) == 1 && hash_set(x, s) &&
		EVP_DigestFinal_ex(x, hash, NULL) == 1;

	if (good)
		memcpy(ret, hash, MANIFEST_HASH);
	EVP_MD_CTX_free(x);
	return good ? 0 : -ENOMEM;
}
