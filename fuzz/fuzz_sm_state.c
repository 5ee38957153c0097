/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file `state` with any content: a number or none, never read beyond its end, and the next one
 * is odd, and larger unless the numbers are used up.
 */
#include "fuzz.h"

#include "log.h"
#include "nsm_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void no_line(enum log_level level, const struct log_subject *about, const char *text)
{
	(void)level;
	(void)about;
	(void)text;
}

static char folder[] = "/tmp/fuzz-sm-state-XXXXXX";
static int folder_fd = -1;

static void remove_folder(void)
{
	unlinkat(folder_fd, "state", 0);
	rmdir(folder);
}

static void make_folder(void)
{
	if (folder_fd >= 0)
		return;
	REQUIRE(mkdtemp(folder));
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	REQUIRE(folder_fd >= 0);
	atexit(remove_folder);
	log_to_function(no_line);
}

static void check_next(int32_t state)
{
	int32_t next = nsm_state_next(state);

	REQUIRE(next & 1);
	REQUIRE(next != state);
	REQUIRE(next > state || (next == 1 && state >= INT32_MAX - 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int32_t state = 77, want = 77;
	struct err err;
	int fd, found;

	make_folder();
	fd = openat(folder_fd, "state", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0);
	found = nsm_state_read(folder_fd, &state, &err);
	REQUIRE(found == (size >= sizeof(want)));
	if (found)
		memcpy(&want, data, sizeof(want));
	REQUIRE(state == want);
	check_next(state);
	return 0;
}
