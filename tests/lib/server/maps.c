/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block maps of tests; see maps.h. What goes wrong here ends the test program. */
#include "maps.h"

#include "check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void maps_init(struct maps *t, uint64_t blocks)
{
	memset(t, 0, sizeof(*t));
	temp_init(&t->temp);
	strcpy(t->path, temp_path(&t->temp, "map"));
	t->wish = (struct blockmap_wish){.path = t->path,
		.size = blocks * MAPS_BLOCK,
		.block = MAPS_BLOCK,
		.what = "cache",
		.identity = json_pack("{s:s s:i}", "origin", "nbd://a:1/x", "number", 1)};
	t->wish.data_fd = open(temp_file(&t->temp, "data", ""), O_RDWR | O_CLOEXEC);
	CHECK(t->wish.identity && t->wish.data_fd >= 0);
}

void maps_done(struct maps *t)
{
	blockmap_done(&t->map);
	close(t->wish.data_fd);
	json_decref(t->wish.identity);
	temp_done(&t->temp);
}

int maps_open(struct maps *t)
{
	t->err = (struct err){0};
	return blockmap_open(&t->map, &t->wish, &t->err);
}

void maps_kill(struct maps *t)
{
	blockmap_done(&t->map);
}

void maps_reboot(struct maps *t)
{
	maps_edit(t, "boot", json_string("00000000-0000-0000-0000-000000000000"));
}

const char *maps_file(struct maps *t, const char *suffix)
{
	char name[32];

	CHECK(snprintf(name, sizeof(name), "map%s", suffix) < (int)sizeof(name));
	return temp_path(&t->temp, name);
}

bool maps_has(struct maps *t, const char *suffix, uint64_t bit)
{
	int fd = open(maps_file(t, suffix), O_RDONLY | O_CLOEXEC);
	uint8_t byte = 0;
	bool got = fd >= 0 && pread(fd, &byte, 1, (off_t)(bit / 8)) == 1;

	if (fd >= 0)
		close(fd);
	return got && byte >> bit % 8 & 1;
}

json_t *maps_info(struct maps *t, const char *key)
{
	json_t *info = json_load_file(maps_file(t, ".info"), 0, NULL);
	json_t *value = json_incref(json_object_get(info, key));

	json_decref(info);
	return value;
}

void maps_edit(struct maps *t, const char *key, json_t *value)
{
	json_t *info = json_load_file(maps_file(t, ".info"), 0, NULL), *inner = info;

	CHECK(info);
	if (!strncmp(key, "data.", 5)) {
		inner = json_object_get(info, "data");
		key += 5;
	}
	CHECK(json_object_set_new(inner, key, value) == 0);
	CHECK(json_dump_file(info, t->temp.path, 0) == 0);
	json_decref(info);
}
