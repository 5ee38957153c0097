/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Audit logs: a line is what would be written from what was read of it, and no piece of one is a
 * line; a log that was good stays good when a line is added, whatever was torn at its end; and
 * entries become lines that are JSON.
 */
#include "fuzz.h"

#include "audit.h"
#include "audit_line.h"
#include "util.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES_MAX = 400 };

static char folder[64], path[80], head[88];

static void leave(void)
{
	unlink(path);
	unlink(head);
	rmdir(folder);
}

static void enter(void)
{
	if (*folder)
		return;
	snprintf(folder, sizeof(folder), "%s/xnbd-fuzz-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	REQUIRE(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/log", folder);
	snprintf(head, sizeof(head), "%s.head", path);
	atexit(leave);
}

/* Each line in memory of its own, so that a sanitizer sees what is read too many. */
static void check_line(const char *text, size_t len)
{
	const struct audit_stamp stamp = {0, 1, ""};
	static char again[AUDIT_LINE_MAX];
	char *line = malloc(len ? len : 1);
	json_t *none = json_object();
	struct audit_fields f, piece;
	const char *time;

	REQUIRE(line && none);
	memcpy(line, text, len);
	if (audit_line_parse(line, len, &f)) {
		REQUIRE(audit_line_put(again, sizeof(again), &f, &stamp, none) > 0);
		time = strstr(again, "\"time\"");
		REQUIRE((size_t)(time - again) < len);
		REQUIRE(memcmp(line, again, (size_t)(time - again)) == 0);
		for (size_t i = 0; i < len && len <= PIECES_MAX; i++)
			REQUIRE(!audit_line_parse(line, i, &piece));
	}
	json_decref(none);
	free(line);
}

static void check_lines(const char *text, size_t size)
{
	for (size_t at = 0; at < size;) {
		const char *newline = memchr(text + at, '\n', size - at);
		size_t len = newline ? (size_t)(newline - text) - at : size - at;

		check_line(text + at, len);
		at += len + 1;
	}
}

static void check_log(const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	json_t *entry = json_pack("{s:s}", "victim", "n1");
	struct audit *audit = audit_new(path);
	struct audit_check before, after;
	struct audit_head ours;
	struct err err;

	REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0);
	unlink(head);
	REQUIRE(entry && audit && audit_verify(path, NULL, NULL, true, &before, &err) == 0);
	if (audit_append(audit, entry, &ours, &err) == 0) {
		REQUIRE(audit_verify(path, NULL, ours.hash, true, &after, &err) == 0);
		REQUIRE(*before.why || !*after.why);
		REQUIRE(*after.why || (after.known_found && after.last.seq == ours.seq));
		REQUIRE(*after.why || (after.lines == before.lines + 1 && !after.torn_tail));
	} else {
		REQUIRE(*err.text);
	}
	audit_free(audit);
	json_decref(entry);
}

static void check_entry(const uint8_t *data, size_t size)
{
	const struct audit_stamp stamp = {1, 1, "n2"};
	json_t *entry = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL), *got;
	struct audit_fields f = {.seq = 1}, g;
	static char line[AUDIT_LINE_MAX];
	size_t len;

	memset(f.prev, 'a', sizeof(f.prev) - 1);
	if (json_is_object(entry) && !*audit_line_reserved(entry)) {
		len = audit_line_put(line, sizeof(line), &f, &stamp, entry);
		REQUIRE(!len || audit_line_parse(line, len, &g));
		got = len ? json_loadb(line, len, 0, NULL) : NULL;
		REQUIRE(!len || json_object_size(got) >= 5);
		json_decref(got);
	}
	json_decref(entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enter();
	check_lines((const char *)data, size);
	check_entry(data, size);
	check_log(data, size);
	return 0;
}
