/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a harness over all files of the folders given, so that corpus and regression inputs are
 * tested with any compiler. A missing folder is no fault; no file in any of them is one.
 */
#include "fuzz.h"

#include "fsutil.h"
#include "util.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { INPUT_MAX = 16 * 1024 * 1024 };

/* Copied to memory of exactly its size, so that a sanitizer sees every byte read too many. */
static int replay(const char *path)
{
	CLEANUP_FREE char *bytes = NULL;
	CLEANUP_FREE uint8_t *exact = NULL;
	struct err err;
	size_t len;

	if (fs_read(path, INPUT_MAX, &bytes, &len, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	exact = malloc(len ? len : 1);
	if (!exact)
		return 1;
	memcpy(exact, bytes, len);
	LLVMFuzzerTestOneInput(exact, len);
	return 0;
}

static int replay_folder(const char *folder, unsigned *count)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int failed = 0;

	while (dir && (entry = readdir(dir))) {
		char path[PATH_MAX];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		printf("%s\n", path);
		fflush(stdout); /* the last line names the input that kills us */
		failed |= replay(path);
		++*count;
	}
	if (dir)
		closedir(dir);
	return failed;
}

int main(int argc, char **argv)
{
	unsigned count = 0;
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed |= replay_folder(argv[i], &count);
	if (count == 0)
		fprintf(stderr, "no input found\n");
	return failed || count == 0;
}
