/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SSH by libssh2, see ssh.h. Order: connect, exchange keys, compare the host's key, log in, run. A
 * host that is not the one we know learns nothing but that somebody came. The library never waits:
 * its own limits are counted in seconds of the wall clock, which may jump. We wait for it, with
 * poll() and the monotonic clock.
 */
#include "ssh.h"

#include "clock.h"
#include "ssh_key.h"
#include "str.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { METHODS_MAX = 160 };

static const struct {
	int kind;
	const char *names;
} methods[] = {
	{LIBSSH2_METHOD_KEX,
		"curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,"
		"ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group16-sha512,"
		"diffie-hellman-group14-sha256"},
	{LIBSSH2_METHOD_CRYPT_CS, "aes256-ctr,aes192-ctr,aes128-ctr"},
	{LIBSSH2_METHOD_CRYPT_SC, "aes256-ctr,aes192-ctr,aes128-ctr"},
	{LIBSSH2_METHOD_MAC_CS, "hmac-sha2-256,hmac-sha2-512"},
	{LIBSSH2_METHOD_MAC_SC, "hmac-sha2-256,hmac-sha2-512"},
	{LIBSSH2_METHOD_COMP_CS, "none"},
	{LIBSSH2_METHOD_COMP_SC, "none"},
};

/* For poll(). */
static int left(const struct ssh *s)
{
	uint64_t now = clock_ms();

	return s->until > now ? (int)MIN_OF(s->until - now, (uint64_t)INT_MAX) : 0;
}

/* 0: one of EVENTS is there. */
static int await(struct ssh *s, short events)
{
	struct pollfd p = {.fd = s->fd, .events = events};
	int r;

	do {
		r = poll(&p, 1, left(s));
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		return -ETIMEDOUT;
	return r < 0 ? -errno : 0;
}

/* The library said R: has it been waited for, so that it is to be called once more? Not after the
 * deadline, then R remains what it is. If it has something to send, that comes first: it reads
 * nothing until then, so what may be there to read must not wake us. */
static bool again(struct ssh *s, ssize_t r)
{
	int way;

	if (r != LIBSSH2_ERROR_EAGAIN)
		return false;
	way = libssh2_session_block_directions(s->session);
	return await(s, way & LIBSSH2_SESSION_BLOCK_OUTBOUND ? POLLOUT : POLLIN) == 0;
}

static void phase(struct ssh *s, const char *text)
{
	s->phase(s->arg, text);
}

/* What the library said last. */
static int complain(struct ssh *s, struct err *err, int code, const char *what)
{
	char *said = NULL, text[160];
	int len = 0;

	libssh2_session_last_error(s->session, &said, &len, 0);
	str_printable(text, sizeof(text), said ? said : "", (size_t)len);
	return err_set(err, code, "%s%s%s", what, *text ? ": " : "", text);
}

static int to_errno(ssize_t r)
{
	if (r == LIBSSH2_ERROR_EAGAIN || r == LIBSSH2_ERROR_TIMEOUT)
		return -ETIMEDOUT; /* EAGAIN: again() waited as long as it may */
	return r == LIBSSH2_ERROR_ALLOC ? -ENOMEM : -ECONNRESET;
}

static int failed(struct ssh *s, int r, const char *what, struct err *err)
{
	if (to_errno(r) == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT, "no answer in time (%s)", what);
	return complain(s, err, -to_errno(r), what);
}

/* Connecting. */

static int address(const char *text, uint64_t port, struct sockaddr_storage *ret, socklen_t *len)
{
	struct sockaddr_in *four = (void *)ret;
	struct sockaddr_in6 *six = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)port);
		*len = sizeof(*four);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1)
		return -EINVAL;
	six->sin6_family = AF_INET6;
	six->sin6_port = htons((uint16_t)port);
	*len = sizeof(*six);
	return 0;
}

static int bind_source(int fd, const char *source)
{
	struct sockaddr_storage a;
	socklen_t len;

	if (!source)
		return 0;
	if (address(source, 0, &a, &len) < 0)
		return -EINVAL;
	return bind(fd, (struct sockaddr *)&a, len) < 0 ? -errno : 0;
}

/* The connection is under way: waits for its end. */
static int connected(struct ssh *s)
{
	socklen_t len = sizeof(int);
	int code = 0, r = await(s, POLLOUT);

	if (r < 0)
		return r;
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		return -errno;
	return -code;
}

static int try_connect(struct ssh *s)
{
	struct sockaddr_storage a;
	int one = 1, r;
	socklen_t len;

	if (address(s->target->address, s->target->port, &a, &len) < 0)
		return -EINVAL;
	s->fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return -errno;
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	r = bind_source(s->fd, s->target->source);
	if (r < 0)
		return r;
	if (connect(s->fd, (struct sockaddr *)&a, len) == 0)
		return 0;
	return errno == EINPROGRESS ? connected(s) : -errno;
}

static int connect_to(struct ssh *s, struct err *err)
{
	int r;

	phase(s, "connecting");
	r = try_connect(s);
	return r < 0 ? err_sys(err, -r, "unreachable") : 0;
}

/* The session. */

/* The kind of key we know comes first, so that a host that has it shows it; the others are there to
 * be told that it is another host. */
static void prefer_key(struct ssh *s, const char *known)
{
	char all[METHODS_MAX];
	size_t len = (size_t)snprintf(all, sizeof(all), "%s", known);

	for (const char *const *t = ssh_key_types; *t; t++) {
		if (strcmp(*t, known) != 0)
			len += (size_t)snprintf(all + len, sizeof(all) - len, ",%s", *t);
	}
	libssh2_session_method_pref(s->session, LIBSSH2_METHOD_HOSTKEY, all);
}

static int prefer(struct ssh *s, const char *known, struct err *err)
{
	prefer_key(s, known);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (libssh2_session_method_pref(s->session, methods[i].kind, methods[i].names) != 0)
			return complain(s, err, ENOTSUP, "the SSH library lacks algorithms");
	}
	return 0;
}

static int exchange(struct ssh *s, const char *known, struct err *err)
{
	int r;

	phase(s, "exchanging keys");
	s->session = libssh2_session_init();
	if (!s->session)
		return err_set(err, ENOMEM, "no memory for an SSH session");
	libssh2_session_set_blocking(s->session, 0);
	r = prefer(s, known, err);
	if (r < 0)
		return r;
	do {
		r = libssh2_session_handshake(s->session, s->fd);
	} while (again(s, r));
	return r == 0 ? 0 : failed(s, r, "exchanging keys", err);
}

static int compare(struct ssh *s, struct err *err)
{
	const struct ssh_target *t = s->target;
	char is[SSH_KEY_PRINT_MAX], should[SSH_KEY_PRINT_MAX];
	size_t len = 0;
	int type;
	const char *blob = libssh2_session_hostkey(s->session, &len, &type);

	if (blob && len == t->host_key_len && memcmp(blob, t->host_key, len) == 0)
		return 0;
	ssh_key_print((const uint8_t *)blob, blob ? len : 0, is);
	ssh_key_print(t->host_key, t->host_key_len, should);
	return err_set(
		err, EKEYREJECTED, "its host key differs: it is %s, it should be %s", is, should);
}

static int log_in(struct ssh *s, struct err *err)
{
	const struct ssh_target *t = s->target;
	char what[300];
	int r;

	phase(s, "logging in");
	do {
		r = libssh2_userauth_publickey_frommemory(s->session, t->user, strlen(t->user),
			NULL, 0, t->key, strlen(t->key), NULL);
	} while (again(s, r));
	if (r == 0)
		return 0;
	if (to_errno(r) == -ETIMEDOUT || r == LIBSSH2_ERROR_SOCKET_RECV ||
		r == LIBSSH2_ERROR_SOCKET_DISCONNECT)
		return failed(s, r, "logging in", err);
	snprintf(what, sizeof(what), "our key was refused (user %.40s, key file %.160s, no RSA)",
		t->user, t->key_file);
	return complain(s, err, EACCES, what);
}

static int open_channel(struct ssh *s, struct err *err)
{
	int r;

	do {
		s->channel = libssh2_channel_open_session(s->session);
		r = s->channel ? 0 : libssh2_session_last_errno(s->session);
	} while (again(s, r));
	return s->channel ? 0 : failed(s, r, "opening a channel", err);
}

static int run(struct ssh *s, struct err *err)
{
	int r;

	phase(s, "starting its command");
	r = open_channel(s, err);
	if (r < 0)
		return r;
	do {
		r = libssh2_channel_exec(s->channel, s->target->command);
	} while (again(s, r));
	return r == 0 ? 0 : failed(s, r, "starting its command", err);
}

int ssh_open(struct ssh *s, uint64_t until, struct err *err)
{
	const char *known = ssh_key_type(s->target->host_key, s->target->host_key_len);
	int r;

	ssh_limit(s, until);
	s->fd = -1;
	s->session = NULL;
	s->channel = NULL;
	if (!known)
		return err_set(err, EINVAL, "host-key is no ed25519 or ECDSA key");
	if (libssh2_init(0) != 0)
		return err_set(err, ENOMEM, "the SSH library does not start");
	r = connect_to(s, err);
	if (r == 0)
		r = exchange(s, known, err);
	if (r == 0)
		r = compare(s, err);
	if (r == 0)
		r = log_in(s, err);
	return r == 0 ? run(s, err) : r;
}

/* What the library would say before it lets its things go fails at once, as the socket is shut. */
void ssh_close(struct ssh *s)
{
	if (s->fd >= 0)
		shutdown(s->fd, SHUT_RDWR);
	if (s->session)
		libssh2_session_free(s->session);
	s->session = NULL;
	s->channel = NULL;
	fd_close(&s->fd);
}

void ssh_limit(struct ssh *s, uint64_t until)
{
	s->until = until;
}

/* The command. What never has to wait looks at the clock by itself. */

/* The library asks for the same bytes again after it had to wait. 0 is that as well: the other
 * side's window is full. */
static ssize_t write_some(struct ssh *s, const char *bytes, size_t len)
{
	ssize_t n;

	do {
		n = libssh2_channel_write(s->channel, bytes, len);
		n = n == 0 ? LIBSSH2_ERROR_EAGAIN : n;
	} while (again(s, n));
	return n < 0 ? to_errno(n) : n;
}

int ssh_write(struct ssh *s, const void *bytes, size_t len)
{
	const char *next = bytes;

	while (len > 0) {
		ssize_t n = left(s) > 0 ? write_some(s, next, len) : -ETIMEDOUT;

		if (n < 0)
			return (int)n;
		next += n;
		len -= (size_t)n;
	}
	return 0;
}

int ssh_write_end(struct ssh *s)
{
	int r;

	do {
		r = libssh2_channel_send_eof(s->channel);
	} while (again(s, r));
	return r < 0 ? to_errno(r) : 0;
}

ssize_t ssh_read(struct ssh *s, void *bytes, size_t room)
{
	ssize_t n;

	if (left(s) == 0)
		return -ETIMEDOUT;
	do {
		n = libssh2_channel_read(s->channel, bytes, room);
	} while (again(s, n));
	return n < 0 ? to_errno(n) : n;
}

int ssh_status(struct ssh *s)
{
	char *name = NULL;
	int r;

	do {
		r = libssh2_channel_wait_closed(s->channel);
	} while (again(s, r));
	if (r < 0)
		return to_errno(r);
	if (libssh2_channel_get_exit_signal(s->channel, &name, NULL, NULL, NULL, NULL, NULL) < 0)
		return -ENOMEM;
	if (name) {
		libssh2_free(s->session, name);
		return -ECHILD;
	}
	r = libssh2_channel_get_exit_status(s->channel);
	return r >= 0 && r <= UINT8_MAX ? r : UINT8_MAX;
}

static size_t line_length(const char *bytes, size_t len)
{
	const char *end = memchr(bytes, '\n', len);

	return end ? (size_t)(end - bytes) : len;
}

void ssh_complaint(struct ssh *s, char *out, size_t room)
{
	char bytes[512];
	ssize_t n;

	*out = 0;
	n = libssh2_channel_read_stderr(s->channel, bytes, sizeof(bytes));
	if (n > 0)
		str_printable(out, room, bytes, line_length(bytes, (size_t)n));
}
