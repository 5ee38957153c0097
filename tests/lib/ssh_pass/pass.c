/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a command on another host by lib/ssh.h, for tests: all of stdin goes to it, then its output
 * to stdout. ADDRESS PORT KEY-FILE HOST-KEY MS COMMAND; MS is the limit from the login on. Exit
 * status: that of the command, or 100 and a line about what failed.
 */
#include "clock.h"
#include "secret.h"
#include "ssh.h"
#include "ssh_key.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FAILED = 100, ARGUMENTS = 7, LOGIN = 60000 /* ms */ };

static char bytes[1 << 16];

static void on_phase(void *arg, const char *text)
{
	(void)arg;
	(void)text;
}

static int send_input(struct ssh *s)
{
	ssize_t n;

	while ((n = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0) {
		int r = ssh_write(s, bytes, (size_t)n);

		if (r < 0)
			return r;
	}
	return ssh_write_end(s);
}

static int take_output(struct ssh *s)
{
	ssize_t n;

	while ((n = ssh_read(s, bytes, sizeof(bytes))) > 0) {
		if (write(STDOUT_FILENO, bytes, (size_t)n) != n)
			return -EPIPE;
	}
	return (int)n;
}

static int converse(struct ssh *s, uint64_t ms, struct err *err)
{
	char text[200];
	int r = ssh_open(s, clock_ms() + LOGIN, err);

	if (r < 0)
		return r;
	ssh_limit(s, clock_ms() + ms);
	r = send_input(s);
	if (r < 0)
		return err_sys(err, -r, "writing");
	r = take_output(s);
	if (r < 0)
		return err_sys(err, -r, "reading");
	ssh_complaint(s, text, sizeof(text));
	if (*text)
		fprintf(stderr, "it says: %s\n", text);
	r = ssh_status(s);
	return r < 0 ? err_sys(err, -r, "status") : r;
}

int main(int argc, char **argv)
{
	struct ssh_target t = {.user = "root"};
	struct ssh s = {.target = &t, .phase = on_phase};
	struct ssh_key host;
	struct err err = {0};
	char *key = NULL;
	int r;

	if (argc != ARGUMENTS || ssh_key_parse(argv[4], &host) < 0 ||
		secret_read_text(argv[3], &key, &err) < 0)
		return FAILED;
	t.address = argv[1];
	t.port = strtoul(argv[2], NULL, 10);
	t.key = key;
	t.key_file = argv[3];
	t.host_key = host.blob;
	t.host_key_len = host.len;
	t.command = argv[6];
	r = converse(&s, strtoul(argv[5], NULL, 10), &err);
	ssh_close(&s);
	secret_free(key);
	if (r < 0)
		fprintf(stderr, "%s\n", err.text);
	return r < 0 ? FAILED : r;
}
