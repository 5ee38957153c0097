/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asks the wrapper for snapshots; see exportsnap.h. What may take long, the moment of a snapshot,
 * is asked by xnbd-wrapper-ctl as a child that can be ended; the rest is answered at once. Nothing
 * is removed whose name does not have PLACE_MARK in it.
 */
#include "exportsnap.h"

#include "child.h"
#include "ctl.h"
#include "place.h"
#include "proc.h"
#include "stop.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { ASK_MS = 3000, LOOK_MS = 200 };

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static const char *export_of(const struct config_volume *v)
{
	return v->source + strlen("export:");
}

/* malloc'd; NULL: there is none, or no memory. */
static char *image_of(const json_t *list, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(list, "exports"), i, one)
	{
		if (strcmp(text_of(one, "name"), name) == 0)
			return strdup(text_of(one, "image"));
	}
	return NULL;
}

/* Folder of the file to be, in FOLDER. */
static int find_folder(
	const struct config_volume *v, const char *image, char folder[PATH_MAX], struct err *err)
{
	struct stat st;

	if (v->snapshot_directory) {
		snprintf(folder, PATH_MAX, "%s", v->snapshot_directory);
		return 0;
	}
	if (stat(image, &st) < 0)
		return err_sys(err, errno, "%s", image);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL,
			"%s: is no file: give its volume as source, or a snapshot-directory",
			image);
	snprintf(folder, PATH_MAX, "%.*s", (int)(str_base_name(image) - image), image);
	return 0;
}

int exportsnap_plan(struct exportsnap *e, uint64_t now, struct err *err)
{
	const char *name = export_of(e->volume);
	CLEANUP_FREE char *image = NULL, *path = NULL;
	char folder[PATH_MAX], when[NAMING_TIME_ROOM];
	json_t *list = NULL;
	int r = ctl_call(
		e->config->general.control, json_pack("{s:s}", "cmd", "list"), ASK_MS, &list, err);

	if (r < 0)
		return r;
	image = image_of(list, name);
	json_decref(list);
	if (!image)
		return err_set(err, ENOENT, "%s: the wrapper has no such export", name);
	if (find_folder(e->volume, image, folder, err) < 0)
		return -err->code;
	naming_time(now, when);
	if (asprintf(&path, "%s/%s.%s-%s", folder, e->volume->name, PLACE_MARK, when) < 0 ||
		records_set_text(&e->records->snapshot_of, name) < 0 ||
		records_set_text(&e->records->snapshot, path) < 0)
		return err_sys(err, ENOMEM, "%s", name);
	return 0;
}

int exportsnap_take(struct exportsnap *e, struct err *err)
{
	const struct child_rules rules = {.stop = e->stop};
	char program[PATH_MAX];
	const char *const words[] = {program, "--socket", e->config->general.control, "--to",
		e->records->snapshot, "--snapshot", "--", e->records->snapshot_of, NULL};
	struct child c;
	int r;

	proc_sibling("xnbd-wrapper-ctl", program, sizeof(program));
	child_init(&c);
	r = child_start(&c, words, NULL, err);
	if (r == 0)
		r = child_wait(&c, &rules, err);
	e->is_unsure = r == -ECANCELED;
	if (r == 0)
		r = child_judge(&c, "snapshot of the export", err);
	child_done(&c);
	return r;
}

/* Its number and state among those of the wrapper; -ENOENT: is none of them. */
static int find(struct exportsnap *e, uint64_t *ret_id, bool *ret_complete, struct err *err)
{
	json_t *all = NULL;
	const json_t *one;
	size_t i;
	int r = ctl_call(e->config->general.control, json_pack("{s:s}", "cmd", "snapshots"), ASK_MS,
		&all, err);

	if (r < 0)
		return r == -ENOENT ? -ECONNREFUSED : r;
	r = -ENOENT;
	json_array_foreach(json_object_get(all, "snapshots"), i, one)
	{
		const char *path = text_of(one, "path");

		if (strcmp(text_of(one, "name"), e->records->snapshot_of) != 0 ||
			strcmp(str_base_name(path), str_base_name(e->records->snapshot)) != 0)
			continue;
		*ret_id = (uint64_t)json_integer_value(json_object_get(one, "id"));
		*ret_complete = strcmp(text_of(one, "state"), "complete") == 0;
		r = 0;
	}
	json_decref(all);
	return r < 0 ? err_set(err, ENOENT, "%s: the snapshot is gone, it was not completed",
			       e->records->snapshot_of)
		     : 0;
}

int exportsnap_wait(struct exportsnap *e, struct err *err)
{
	for (;;) {
		struct pollfd p = {.fd = e->stop->fd, .events = POLLIN};
		bool complete = false;
		uint64_t id;
		int r = find(e, &id, &complete, err);

		if (r < 0 || complete)
			return r;
		poll(&p, 1, LOOK_MS);
		if (stop_due(e->stop))
			return err_set(err, ECANCELED, "%s", e->stop->why);
	}
}

/* Also what the server has left of one that was not complete. */
static int remove_files(const char *path, struct err *err)
{
	char partial[PATH_MAX + 16];

	if (!strstr(str_base_name(path), PLACE_MARK))
		return err_set(err, EPERM, "%s: is no snapshot of ours", path);
	snprintf(partial, sizeof(partial), "%s.partial", path);
	if ((unlink(path) < 0 && errno != ENOENT) || (unlink(partial) < 0 && errno != ENOENT))
		return err_sys(err, errno, "%s", path);
	return 0;
}

int exportsnap_drop(struct exportsnap *e, struct err *err)
{
	bool complete;
	uint64_t id;
	int r;

	if (!e->records->snapshot || !e->records->snapshot_of)
		return 0;
	r = find(e, &id, &complete, err);
	if (r == 0) {
		json_t *answer = NULL;

		r = ctl_call(e->config->general.control,
			json_pack("{s:s, s:s, s:I}", "cmd", "drop-snapshot", "name",
				e->records->snapshot_of, "id", (json_int_t)id),
			ASK_MS, &answer, err);
		json_decref(answer);
	}
	if (r == -ENOENT && e->is_unsure)
		return 0;
	/* Without a wrapper nobody exports it. */
	if (r == 0 || r == -ENOENT || r == -ECONNREFUSED)
		r = remove_files(e->records->snapshot, err);
	if (r < 0)
		return r;
	records_set_text(&e->records->snapshot, NULL);
	records_set_text(&e->records->snapshot_of, NULL);
	return 0;
}
