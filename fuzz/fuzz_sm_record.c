/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of monitor records: cut into pieces they make up the file again; what is taken for a record
 * keeps to its limits and is the same when written anew. Names of files, and our own names.
 */
#include "fuzz.h"

#include "lines.h"
#include "record.h"
#include "util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void check_word(const char *word, size_t len)
{
	REQUIRE(len >= 1 && len <= RECORD_TEXT_MAX);
	for (size_t i = 0; i < len; i++)
		REQUIRE((unsigned char)word[i] > ' ' && word[i] != 0x7f);
}

static void check_our_name(const char *my, size_t len)
{
	char text[RECORD_TEXT_MAX + 1];
	size_t lengths[2];
	unsigned count;

	memcpy(text, my, len);
	text[len] = 0;
	count = record_names(text, lengths);
	REQUIRE(count == 1 || count == 2);
	REQUIRE(lengths[0] == len);
	REQUIRE(count == 1 || (lengths[1] > 0 && lengths[1] < len && text[lengths[1]] == '.'));
	REQUIRE(count == 1 || !record_is_address(text));
}

static void check_record(const char *line, size_t len)
{
	char again[RECORD_LINE_MAX];
	struct record r, s;
	const char *why = NULL;
	int n;

	if (record_parse(line, len, &r, &why) < 0) {
		REQUIRE(why && *why);
		return;
	}
	check_word(r.mon, r.mon_len);
	check_word(r.my, r.my_len);
	check_our_name(r.my, r.my_len);
	n = snprintf(again, sizeof(again), "0100007f %08x %08x %08x %.*s %.*s %.*s", r.program,
		r.version, r.procedure, RECORD_COOKIE_DIGITS, r.cookie, (int)r.mon_len, r.mon,
		(int)r.my_len, r.my);
	REQUIRE(n > 0 && record_parse(again, (size_t)n, &s, NULL) == 0);
	REQUIRE(s.program == r.program && s.version == r.version && s.procedure == r.procedure);
	REQUIRE(s.mon_len == r.mon_len && memcmp(s.mon, r.mon, r.mon_len) == 0);
	REQUIRE(s.my_len == r.my_len && memcmp(s.my, r.my, r.my_len) == 0);
}

static void check_name(const char *name)
{
	char base[RECORD_NAME_MAX + 1] = "";
	bool temporary = record_temporary_of(name, base);

	REQUIRE(!temporary ||
		(record_name_is_valid(base) &&
			strncmp(strstr(name, base), base, strlen(base)) == 0 &&
			strcmp(strstr(name, base) + strlen(base), ".new") == 0));
	REQUIRE(!record_looks_temporary(name) || temporary);
	if (!record_name_is_valid(name))
		return;
	REQUIRE(*name && *name != '.' && *name != '-' && strlen(name) <= RECORD_NAME_MAX);
	REQUIRE(!strpbrk(name, "/ \t\r\n\\*?$`\"'<>|&;"));
	REQUIRE(!strchr(name, '%') || record_is_address(name));
}

/* Each line in memory of its own, so that a sanitizer sees what is read too many. */
static void check_line(const struct lines_piece *piece)
{
	char *text = malloc(piece->len + 1);

	REQUIRE(text);
	memcpy(text, piece->text, piece->len);
	text[piece->len] = 0;
	check_name(text);
	text = realloc(text, piece->len ? piece->len : 1);
	REQUIRE(text);
	check_record(text, piece->len);
	record_is_blank(text, piece->len);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FD int fd = memfd_create("records", MFD_CLOEXEC);
	struct lines lines;
	struct lines_piece piece;
	size_t at = 0;

	REQUIRE(fd >= 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	lines_init(&lines, fd, UINT32_MAX);
	while (lines_next(&lines, &piece) > 0) {
		REQUIRE(at + piece.len <= size && memcmp(data + at, piece.text, piece.len) == 0);
		at += piece.len;
		if (piece.newline)
			REQUIRE(at < size && data[at++] == '\n');
		if (piece.whole)
			check_line(&piece);
	}
	REQUIRE(at == size);
	return 0;
}
