/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sources and targets as people write them; see spec.h. Pure. A host is handed to ssh as a word of
 * its own, so one that begins with a hyphen is refused: it would be an option.
 */
#include "spec.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const kinds[] = {
	[SPEC_FILE] = "file:", [SPEC_LVM] = "lvm:", [SPEC_DEV] = "dev:", [SPEC_NBD] = "nbd:"};
static const char lvm_signs[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-";

bool spec_is_lvm_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < SPEC_NAME_MAX && strspn(name, lvm_signs) == len && name[0] != '-' &&
		strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Takes characters up to a single hyphen or the end; returns where that is, NULL: too long. */
static const char *take_mapped(const char *p, char out[SPEC_NAME_MAX])
{
	size_t used = 0;

	for (; *p; p++) {
		if (*p == '-' && *++p != '-') {
			p--;
			break;
		}
		if (used + 1 >= SPEC_NAME_MAX)
			return NULL;
		out[used++] = *p;
	}
	out[used] = 0;
	return p;
}

bool spec_split_mapped(const char *name, char vg[SPEC_NAME_MAX], char lv[SPEC_NAME_MAX])
{
	const char *rest = take_mapped(name, vg);

	if (!rest || !*rest)
		return false;
	rest = take_mapped(rest + 1, lv);
	return rest && !*rest && spec_is_lvm_name(vg) && spec_is_lvm_name(lv);
}

static size_t put_mapped(const char *name, char *out, size_t used)
{
	for (; *name && used + 3 < SPEC_MAPPED_MAX; name++) {
		if (*name == '-')
			out[used++] = '-';
		out[used++] = *name;
	}
	return used;
}

void spec_join_mapped(const char *vg, const char *lv, char out[SPEC_MAPPED_MAX])
{
	size_t used = put_mapped(vg, out, 0);

	out[used++] = '-';
	out[put_mapped(lv, out, used)] = 0;
}

/* PLACE: VG/LV, with or without /dev/ before it; slashes may be doubled, as scripts do. */
static bool split_names(struct spec *s, const char *place)
{
	char copy[PATH_MAX], *vg, *lv, *rest = NULL;

	snprintf(copy, sizeof(copy), "%s", place);
	vg = strtok_r(copy, "/", &rest);
	lv = strtok_r(NULL, "/", &rest);
	if (!vg || !lv || strtok_r(NULL, "/", &rest) || !spec_is_lvm_name(vg) ||
		!spec_is_lvm_name(lv))
		return false;
	snprintf(s->vg, sizeof(s->vg), "%s", vg);
	snprintf(s->lv, sizeof(s->lv), "%s", lv);
	return true;
}

static int parse_lvm(struct spec *s, const char *text, const char *place, struct err *err)
{
	const char *rest = place + strspn(place, "/");
	bool good = place[0] != '/' || strncmp(rest, "dev/", 4) == 0;

	if (place[0] == '/' && good) {
		rest += 4;
		rest += strspn(rest, "/");
	}
	if (good && place[0] == '/' && strncmp(rest, "mapper/", 7) == 0)
		good = spec_split_mapped(rest + 7, s->vg, s->lv) && strcmp(s->vg, "mapper") != 0;
	else /* no volume group is called so: its folder would be that of all of them */
		good = good && strncmp(rest, "mapper/", 7) != 0 && split_names(s, rest);
	if (!good)
		return err_set(err, EINVAL,
			"'%.200s': not a logical volume (lvm:/dev/VG/LV or lvm:HOST:/dev/VG/LV)",
			text);
	snprintf(s->path, sizeof(s->path), "/dev/%s/%s", s->vg, s->lv);
	return 0;
}

static int parse_nbd(struct spec *s, const char *text, const char *uri, struct err *err)
{
	if (strncmp(uri, "nbd", 3) != 0 || !strstr(uri, "://"))
		return err_set(err, EINVAL, "'%.200s': not a URI (nbd:nbd://HOST/NAME)", text);
	if (snprintf(s->path, sizeof(s->path), "%s", uri) >= (int)sizeof(s->path))
		return err_set(err, EINVAL, "'%.60s...': too long", text);
	return 0;
}

/* Where the part behind the host begins; REST itself if there is no host. NULL: not one. */
static const char *take_host(struct spec *s, const char *rest)
{
	const char *at = strchr(rest, '@'), *end = strchr(rest, ':');
	const char *open = at && (!end || at < end) ? at + 1 : rest;
	size_t len;

	if (rest[0] == '/')
		return rest;
	if (*open == '[')
		end = strchr(open, ']') ? strchr(open, ']') + 1 : NULL;
	if (!end)
		return *open == '[' ? NULL : rest;
	len = (size_t)(end - rest);
	if (*end != ':' || len == 0 || len >= SPEC_HOST_MAX || rest[0] == '-' || *open == '-')
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (rest[i] <= ' ' || rest[i] == 0x7f || strchr("/'\"\\$`;&|<>()*?", rest[i]))
			return NULL;
	}
	snprintf(s->host, sizeof(s->host), "%.*s", (int)len, rest);
	return end + 1;
}

static int parse_place(struct spec *s, const char *text, const char *rest, struct err *err)
{
	const char *place = take_host(s, rest);

	if (!place)
		return err_set(err, EINVAL, "'%.200s': not a host (%s[USER@]HOST:/PATH)", text,
			kinds[s->kind]);
	if (s->kind == SPEC_LVM)
		return parse_lvm(s, text, place, err);
	if (place[0] != '/')
		return err_set(err, EINVAL, "'%.200s': the path must begin with '/'", text);
	if (snprintf(s->path, sizeof(s->path), "%s", place) >= (int)sizeof(s->path))
		return err_set(err, EINVAL, "'%.60s...': too long", text);
	if (s->path[strlen(s->path) - 1] == '/')
		return err_set(err, EINVAL, "'%.200s': a folder cannot be copied", text);
	return 0;
}

int spec_parse(struct spec *s, const char *text, struct err *err)
{
	struct spec found = {0};
	size_t kind = 0;
	int ret;

	if (strncmp(text, "nbd://", 6) == 0 || strncmp(text, "nbds://", 7) == 0 ||
		strncmp(text, "nbd+", 4) == 0 || strncmp(text, "nbds+", 5) == 0) {
		found.kind = SPEC_NBD;
		ret = parse_nbd(&found, text, text, err);
	} else {
		while (kind < ARRAY_LEN(kinds) &&
			strncmp(text, kinds[kind], strlen(kinds[kind])) != 0)
			kind++;
		if (kind == ARRAY_LEN(kinds))
			return err_set(err, EINVAL,
				"'%.200s': begins with none of file: lvm: dev: nbd:", text);
		found.kind = (enum spec_kind)kind;
		text += strlen(kinds[kind]);
		ret = kind == SPEC_NBD ? parse_nbd(&found, text, text, err)
				       : parse_place(&found, text, text, err);
	}
	if (ret == 0)
		*s = found;
	return ret;
}

void spec_print(const struct spec *s, bool far, char out[SPEC_TEXT_MAX])
{
	bool host = s->host[0] && !far;

	snprintf(out, SPEC_TEXT_MAX, "%s%s%s%s", kinds[s->kind], host ? s->host : "",
		host ? ":" : "", s->path);
}
