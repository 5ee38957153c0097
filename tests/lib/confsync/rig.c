/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A node in a folder; see rig.h. */
#include "rig.h"

#include "beneath.h"
#include "check.h"
#include "fsutil.h"
#include "store.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void rig_init(struct rig *r, const char *keys)
{
	char all[512];

	*r = (struct rig){.state.lock = -1};
	umask(022);
	scans_init(&r->scans);
	CHECK(snprintf(all, sizeof(all), "paths = {\"@/\"} %s", keys) < (int)sizeof(all));
	scans_config(&r->scans, all, "");
}

void rig_open(struct rig *r)
{
	CHECK(state_open(&r->state, &r->scans.config, config_set(&r->scans.config, "t"), &r->err) ==
		0);
	CHECK(state_lock(&r->state, 10000, &r->err) == 0);
}

void rig_close(struct rig *r)
{
	apply_done(&r->apply);
	if (r->state.folder)
		state_close(&r->state);
}

void rig_done(struct rig *r)
{
	rig_close(r);
	generation_done(&r->one);
	generation_done(&r->two);
	scans_done(&r->scans);
}

/* Generations. */

static void keep_contents(struct rig *r, const struct manifest *m)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct entry *e = &m->entries[i];
		int fd;

		if (e->type != MANIFEST_FILE)
			continue;
		fd = beneath_open(e->path, O_RDONLY);
		CHECK(fd >= 0);
		CHECK(store_add_file(r->state.objects, fd, e->hash, e->size, &r->err) == 0);
		close(fd);
	}
}

static void take(struct rig *r, uint64_t number, const uint8_t *parent, struct generation *ret)
{
	CHECK(scans_run(&r->scans, SCAN_FULL) == 0 && r->scans.scan.fault_count == 0);
	generation_init(ret);
	snprintf(ret->set, sizeof(ret->set), "t");
	snprintf(ret->origin, sizeof(ret->origin), "n1");
	snprintf(ret->reason, sizeof(ret->reason), "test");
	apply_new_id(ret->transaction);
	ret->number = number;
	for (uint64_t i = 0; i < number; i++)
		CHECK(vector_bump(&ret->vector, "n1") == 0);
	if (parent)
		memcpy(ret->parent, parent, sizeof(ret->parent));
	CHECK(manifest_copy(&ret->files, &r->scans.scan.files) == 0);
	CHECK(manifest_digest(&ret->files, ret->digest) == 0);
	keep_contents(r, &ret->files);
}

void rig_generations(struct rig *r, const char *first, const char *change)
{
	rig_open(r);
	scans_shell(&r->scans, "%s", first);
	take(r, 1, NULL, &r->one);
	CHECK(state_set_generation(&r->state, &r->one, &r->err) == 0);
	scans_shell(&r->scans, "%s", change);
	take(r, 2, r->one.digest, &r->two);
	scans_shell(&r->scans, "find . -mindepth 1 -delete; chmod 755 . && chown 0:0 .");
	scans_shell(&r->scans, "%s", first);
	CHECK(rig_is(r, &r->one));
}

int rig_prepare(struct rig *r, enum apply_role role)
{
	CHECK(scans_run(&r->scans, SCAN_FULL) == 0);
	apply_done(&r->apply);
	return apply_prepare(&r->apply, &r->state, role, r->two.transaction, &r->scans.scan.files,
		&r->two, &r->err);
}

/* Looking. */

bool rig_files_are(struct rig *r, const struct generation *g)
{
	CHECK(scans_run(&r->scans, SCAN_FULL) == 0);
	return r->scans.scan.fault_count == 0 &&
		memcmp(r->scans.scan.digest, g->digest, sizeof(g->digest)) == 0;
}

bool rig_is(struct rig *r, const struct generation *g)
{
	return rig_files_are(r, g) && r->state.now.number == g->number &&
		memcmp(r->state.now.digest, g->digest, sizeof(g->digest)) == 0;
}

bool rig_is_clean(struct rig *r)
{
	char id[GENERATION_ID_MAX], command[TEMP_PATH_MAX + 128];

	if (apply_peek(&r->state, id) != APPLY_NONE)
		return false;
	snprintf(command, sizeof(command),
		"test -z \"$(find %s -name '.xnbd-confsync*' -print -quit)\"", r->scans.root);
	return system(command) == 0; /* NOLINT */
}

const char *rig_read(struct rig *r, const char *name)
{
	static char text[4096];
	char *found;
	size_t len;

	text[0] = 0;
	if (fs_read(scans_path(&r->scans, name), sizeof(text) - 1, &found, &len, NULL) == 0) {
		memcpy(text, found, len + 1);
		free(found);
	}
	return text;
}

static bool has_content(struct rig *r, const char *which, const char *name, const char *text)
{
	uint8_t hash[MANIFEST_HASH];
	struct generation g;
	const struct entry *e;
	bool found;

	SHA256((const unsigned char *)text, strlen(text), hash);
	CHECK(state_past(&r->state, which, &g, &r->err) == 0);
	e = manifest_find(&g.files, scans_path(&r->scans, name));
	found = e && memcmp(e->hash, hash, sizeof(hash)) == 0 && store_has(r->state.objects, hash);
	generation_done(&g);
	return found;
}

bool rig_kept(struct rig *r, const char *kind, const char *name, const char *text)
{
	struct state_past past;
	bool found = false;

	CHECK(state_history(&r->state, &past, &r->err) == 0);
	for (size_t i = 0; i < past.count && !found; i++) {
		char hex[MANIFEST_HEX];

		hash_to_hex(past.items[i].digest, hex);
		found = strncmp(past.items[i].reason, kind, strlen(kind)) == 0 &&
			has_content(r, hex, name, text);
	}
	state_past_done(&past);
	return found;
}
