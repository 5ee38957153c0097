/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exports and clients among devices; see iostat_exports.h. Counts are those of the servers that run
 * now: an export nobody uses has no server, and no line. What an answer lacks counts as 0.
 */
#include "iostat_exports.h"

#include "ctl.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { TIMEOUT_MS = 10000 };

int iostat_exports_ask(const char *control, json_t **ret_list, json_t **ret_stats, struct err *err)
{
	json_t *list = NULL;
	int r = ctl_call(control, json_pack("{s:s}", "cmd", "list"), TIMEOUT_MS, &list, err);

	if (r == 0)
		r = ctl_call(control, json_pack("{s:s, s:b}", "cmd", "stats", "clients", 1),
			TIMEOUT_MS, ret_stats, err);
	if (r < 0)
		json_decref(list);
	else
		*ret_list = list;
	return r;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static uint64_t number_of(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

static struct iostat_counts counts_of(const json_t *tally)
{
	const json_t *requests = json_object_get(tally, "requests");

	return (struct iostat_counts){.reads = number_of(requests, "READ"),
		.writes = number_of(requests, "WRITE"),
		.read = number_of(tally, "bytes_read"),
		.written = number_of(tally, "bytes_written"),
		.in_flight = number_of(tally, "in_flight")};
}

/* The block device that the image of NAME is; false: it is none. */
static bool device_of(const json_t *list, const char *name, struct stat *ret)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(list, "exports"), i, one)
	{
		if (strcmp(text_of(one, "name"), name) == 0)
			return stat(text_of(one, "image"), ret) == 0 && S_ISBLK(ret->st_mode);
	}
	return false;
}

/* Where the export's line belongs: behind its device and what stands below that already. */
static bool find_place(const struct iostat_sample *s, const struct stat *device, size_t *ret)
{
	size_t i = 0;

	while (i < s->count &&
		(s->items[i].kind != IOSTAT_DEVICE || s->items[i].major != major(device->st_rdev) ||
			s->items[i].minor != minor(device->st_rdev)))
		i++;
	if (i == s->count)
		return false;
	for (i++; i < s->count && s->items[i].kind != IOSTAT_DEVICE;)
		i++;
	*ret = i;
	return true;
}

static int add_client(
	struct iostat_sample *s, size_t at, const json_t *server, const json_t *client)
{
	struct iostat_item *item = iostat_insert(s, at);

	if (!item)
		return -ENOMEM;
	item->kind = IOSTAT_CLIENT;
	item->counts = counts_of(client);
	snprintf(item->name, sizeof(item->name), "%llu %.480s",
		(unsigned long long)number_of(client, "id"), text_of(client, "peer"));
	snprintf(item->identity, sizeof(item->identity), "client %llu %llu",
		(unsigned long long)number_of(server, "pid"),
		(unsigned long long)number_of(client, "id"));
	if (json_is_true(json_object_get(client, "readonly")))
		strcpy(item->relation, "read-only");
	return 0;
}

static int add_export(
	struct iostat_sample *s, const json_t *list, const json_t *server, const regex_t *filter)
{
	const json_t *stats = json_object_get(server, "stats"), *client;
	const char *name = text_of(server, "export");
	struct iostat_item *item;
	struct stat device;
	size_t at = s->count, i;
	bool is_below = device_of(list, name, &device) && find_place(s, &device, &at);

	if (!stats || (!is_below && filter && regexec(filter, name, 0, NULL, 0) != 0))
		return 0;
	item = iostat_insert(s, at);
	if (!item)
		return -ENOMEM;
	item->kind = IOSTAT_EXPORT;
	item->counts = counts_of(json_object_get(stats, "total"));
	snprintf(item->name, sizeof(item->name), "%s", name);
	snprintf(item->identity, sizeof(item->identity), "export %llu %.200s",
		(unsigned long long)number_of(server, "pid"), name);
	snprintf(item->relation, sizeof(item->relation), "%llu clients",
		(unsigned long long)number_of(server, "client_count"));
	json_array_foreach(json_object_get(stats, "clients"), i, client)
	{
		if (add_client(s, ++at, server, client) < 0)
			return -ENOMEM;
	}
	return 0;
}

int iostat_exports_add(
	struct iostat_sample *s, const json_t *list, const json_t *stats, const regex_t *filter)
{
	const json_t *server;
	size_t i;

	json_array_foreach(json_object_get(stats, "servers"), i, server)
	{
		if (add_export(s, list, server, filter) < 0)
			return -ENOMEM;
	}
	return 0;
}
