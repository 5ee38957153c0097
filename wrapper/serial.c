/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See serial.h. The master asks, and must never wait for a disk or a dead file server: so only what
 * lies in /dev is looked at, and of sysfs only what the kernel has in memory. (The "serial" of
 * virtio disks is a question to the disk.)
 */
#include "serial.h"

#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { ATTRIBUTE_ROOM = 512, PATH_ROOM = 512, RANDOM_BYTES = 16 };

bool serial_is_good(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		if (!isgraph((unsigned char)text[i]))
			return false;
	}
	return len > 0 && len <= EXPORT_SERIAL_MAX;
}

/* Devices. */

/* Names of disks are padded with blanks, inside too. */
static void squeeze(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		bool good = isgraph((unsigned char)*p);

		if (good || (to > text && to[-1] != '_'))
			*to++ = good ? *p : '_';
	}
	while (to > text && to[-1] == '_')
		to--;
	*to = 0;
}

static bool read_attribute(const char *folder, const char *name, char out[EXPORT_SERIAL_MAX + 1])
{
	char path[PATH_ROOM], text[ATTRIBUTE_ROOM];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[MAX_OF(n, (ssize_t)0)] = 0;
	squeeze(text);
	if (!serial_is_good(text))
		return false;
	strcpy(out, text);
	return true;
}

static int of_disk(const char *folder, char out[EXPORT_SERIAL_MAX + 1])
{
	static const char *const attributes[] = {"dm/uuid", "md/uuid", "wwid", "device/wwid"};

	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		if (read_attribute(folder, attributes[i], out))
			return 0;
	}
	return -ENOENT;
}

int serial_of_device(const char *sysfs, dev_t dev, char out[EXPORT_SERIAL_MAX + 1])
{
	char folder[PATH_ROOM / 2], number[EXPORT_SERIAL_MAX + 1], disk[EXPORT_SERIAL_MAX + 1];
	char part[sizeof(disk) + sizeof("-part") + sizeof(number)];

	snprintf(folder, sizeof(folder), "%.200s/dev/block/%u:%u", sysfs, major(dev), minor(dev));
	if (!read_attribute(folder, "partition", number))
		return of_disk(folder, out);
	strcat(folder, "/..");
	if (of_disk(folder, disk) < 0)
		return -ENOENT;
	snprintf(part, sizeof(part), "%s-part%s", disk, number);
	if (strlen(part) > EXPORT_SERIAL_MAX)
		return -ENOENT;
	strcpy(out, part);
	return 0;
}

/* 0, -ENOENT: the device is not there, -ENODEV: there is nothing to be known. */
static int of_image(const char *image, char out[EXPORT_SERIAL_MAX + 1])
{
	static const char folder[] = "/dev/";
	struct stat st;

	if (strncmp(image, folder, sizeof(folder) - 1) != 0)
		return -ENODEV;
	if (stat(image, &st) < 0)
		return -ENOENT;
	return S_ISBLK(st.st_mode) && serial_of_device("/sys", st.st_rdev, out) == 0 ? 0 : -ENODEV;
}

/* Those that are made up. */

static bool make(char out[EXPORT_SERIAL_MAX + 1])
{
	uint8_t bytes[RANDOM_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return false;
	for (size_t i = 0; i < sizeof(bytes); i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
	return true;
}

/* Serials outlive their exports, which may be added again under another name; but not for ever. */
static void forget_unused(struct exports *t)
{
	const char *image;
	void *next;
	json_t *serial;

	if (json_object_size(t->serials) < t->count + SERIALS_UNUSED_MAX)
		return;
	json_object_foreach_safe(t->serials, next, image, serial)
	{
		if (!exports_by_image(t, image))
			json_object_del(t->serials, image);
	}
}

/* Not of a path that is no UTF-8: it cannot be kept, nor could its serial. */
static bool make_up(struct exports *t, const char *image, char *out)
{
	char text[EXPORT_SERIAL_MAX + 1];

	if (!t->serials)
		t->serials = json_object();
	forget_unused(t);
	if (!make(text) || json_object_set_new(t->serials, image, json_string(text)) < 0)
		return false;
	strcpy(out, text);
	return true;
}

/* What is in /dev under a name may be another device tomorrow: what it says of itself comes first.
 */
static bool find(struct exports *t, const char *image, char *out)
{
	const char *kept = json_string_value(json_object_get(t->serials, image));
	int ret = of_image(image, out);

	if (ret < 0 && kept)
		snprintf(out, EXPORT_SERIAL_MAX + 1, "%s", kept);
	return ret == -ENODEV && !kept && make_up(t, image, out);
}

bool serial_settle(struct exports *t, struct export_entry *e, bool *ret_made)
{
	const struct export_config *c = &e->config;
	char found[EXPORT_SERIAL_MAX + 1] = "";

	if (e->parent)
		return false;
	if (c->serial)
		snprintf(found, sizeof(found), "%s", c->serial);
	else if (find(t, c->image, found))
		*ret_made = true;
	if (strcmp(found, e->serial) == 0)
		return false;
	strcpy(e->serial, found);
	return true;
}

/* Telling. */

/* As many bytes of TEXT as fit, without half a character. */
static size_t fitting(const char *text, size_t room)
{
	size_t len = strnlen(text, room + 1);

	if (len <= room)
		return len;
	while (room > 0 && (text[room] & 0xc0) == 0x80)
		room--;
	return room;
}

void serial_describe(const struct export_entry *e, char out[NBD_STRING_MAX + 1])
{
	const char *description = e->config.description ? e->config.description : "";
	char tail[EXPORT_SERIAL_MAX + sizeof(" [serial ]")] = "";
	size_t len;

	if (*e->serial)
		snprintf(tail, sizeof(tail), "%s[serial %s]", *description ? " " : "", e->serial);
	len = fitting(description, NBD_STRING_MAX - strlen(tail));
	snprintf(out, NBD_STRING_MAX + 1, "%.*s%s", (int)len, description, tail);
}
