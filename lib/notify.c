/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the service manager must know (ready, reloading, stopping) may wait for it a while; a status
 * line never does. Errors are nobody's concern: the manager has gone, or will find out by itself.
 */
#include "notify.h"

#include "clock.h"
#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

enum { PATIENCE_S = 2, MESSAGE_MAX = 512 };

static const char variable[] = "NOTIFY_SOCKET";

static bool read_address(const char *text, struct notify *n)
{
	size_t len = strlen(text);

	if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof(n->address.sun_path))
		return false;
	n->address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(n->address.sun_path, text, len);
	n->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (text[0] == '@')
		n->address.sun_path[0] = 0;
	else
		n->address_len++; /* a path's final zero */
	return true;
}

int notify_init(struct notify *n, struct err *err)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	const char *text = getenv(variable);
	int ret = 0;

	*n = (struct notify){.fd = -1};
	if (!text)
		return 0;
	if (!read_address(text, n))
		ret = err_set(err, EINVAL, "%s=%s: neither a path nor @NAME, nobody is told",
			variable, text);
	unsetenv(variable);
	if (ret < 0)
		return ret;
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (n->fd < 0)
		return err_sys(err, errno, "%s", variable);
	setsockopt(n->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return 0;
}

void notify_restore(const struct notify *n)
{
	char text[sizeof(n->address.sun_path) + 1] = "";

	if (n->fd < 0)
		return;
	memcpy(text, n->address.sun_path, n->address_len - offsetof(struct sockaddr_un, sun_path));
	if (!text[0])
		text[0] = '@';
	setenv(variable, text, 1);
}

void notify_hide(void)
{
	unsetenv(variable);
}

void notify_done(struct notify *n)
{
	fd_close(&n->fd);
}

bool notify_wanted(const struct notify *n)
{
	return n->fd >= 0;
}

__attribute__((format(printf, 3, 4))) static void tell(
	const struct notify *n, int flags, const char *fmt, ...)
{
	const struct sockaddr *to = (const struct sockaddr *)&n->address;
	char message[MESSAGE_MAX];
	va_list ap;
	ssize_t r;

	if (n->fd < 0)
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	do
		r = sendto(
			n->fd, message, strlen(message), MSG_NOSIGNAL | flags, to, n->address_len);
	while (r < 0 && errno == EINTR);
}

void notify_ready(const struct notify *n, const char *status)
{
	tell(n, 0, "READY=1\nMAINPID=%d\nSTATUS=%s\n", (int)getpid(), status);
}

/* The time lets the manager tell the READY of this reload from an older one. */
void notify_reloading(const struct notify *n)
{
	tell(n, 0, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading\n",
		(unsigned long long)clock_ns() / 1000);
}

void notify_stopping(const struct notify *n, const char *status)
{
	tell(n, 0, "STOPPING=1\nSTATUS=%s\n", status);
}

void notify_status(const struct notify *n, const char *status)
{
	tell(n, MSG_DONTWAIT, "STATUS=%s\n", status);
}
