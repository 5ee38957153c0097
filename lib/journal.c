/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The socket stays connected, so that a line costs no look at the file system. A journal started
 * anew usually inherits its socket; if not, the old one is dead and we connect again.
 *
 * Values are always sent with their length, so none can end its field and begin another.
 */
#include "journal.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { LENGTH_BYTES = 8 };

int journal_open(struct journal *j, const char *path, struct err *err)
{
	int ret;

	path = path ? path : JOURNAL_SOCKET;
	*j = (struct journal){.fd = -1, .address.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(j->address.sun_path))
		return err_set(err, ENAMETOOLONG, "journal %s: the path is too long", path);
	strcpy(j->address.sun_path, path);
	j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (j->fd >= 0 &&
		connect(j->fd, (const struct sockaddr *)&j->address, sizeof(j->address)) == 0)
		return 0;
	ret = err_sys(err, errno, "journal %s", path);
	fd_close(&j->fd);
	return ret;
}

void journal_close(struct journal *j)
{
	fd_close(&j->fd);
}

static char *put(char *out, const void *bytes, size_t len)
{
	memcpy(out, bytes, len);
	return out + len;
}

/* NAME, line feed, length in little endian, value, line feed. */
static char *pack_field(char *out, const char *end, const struct journal_field *f)
{
	size_t name = strlen(f->name), len = strlen(f->value);
	unsigned char length[LENGTH_BYTES];

	if ((size_t)(end - out) < name + len + LENGTH_BYTES + 2)
		return out;
	for (size_t i = 0; i < LENGTH_BYTES; i++)
		length[i] = (unsigned char)((uint64_t)len >> (8 * i));
	out = put(out, f->name, name);
	*out++ = '\n';
	out = put(out, length, sizeof(length));
	out = put(out, f->value, len);
	*out++ = '\n';
	return out;
}

size_t journal_pack(char *out, size_t room, const struct journal_field *fields, size_t count)
{
	char *at = out;

	for (size_t i = 0; i < count; i++) {
		if (fields[i].value)
			at = pack_field(at, out + room, &fields[i]);
	}
	return (size_t)(at - out);
}

int journal_send(const struct journal *j, const struct journal_field *fields, size_t count)
{
	const struct sockaddr *address = (const struct sockaddr *)&j->address;
	char entry[JOURNAL_ENTRY_MAX];
	size_t len = journal_pack(entry, sizeof(entry), fields, count);
	ssize_t n = send(j->fd, entry, len, MSG_NOSIGNAL);

	if (n < 0 && (errno == ECONNREFUSED || errno == ENOTCONN) &&
		connect(j->fd, address, sizeof(j->address)) == 0)
		n = send(j->fd, entry, len, MSG_NOSIGNAL);
	return n < 0 ? -errno : 0;
}
