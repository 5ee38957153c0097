/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FNV-1a, 64 bits, over samples: tells accidents, not attacks. */
#include "fingerprint.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { SAMPLES = 64, SAMPLE_BYTES = 4096 };

static uint64_t add(uint64_t hash, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * 0x100000001b3ULL;
	return hash;
}

static int hash_samples(int fd, uint64_t size, uint64_t *ret)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	uint64_t last = size > SAMPLE_BYTES ? size - SAMPLE_BYTES : 0;
	uint8_t buf[SAMPLE_BYTES];

	for (uint64_t i = 0; i < SAMPLES; i++) {
		uint64_t at = last / (SAMPLES - 1) * i;
		ssize_t n = pread(fd, buf, sizeof(buf), (off_t)(i == SAMPLES - 1 ? last : at));

		if (n < 0)
			return -errno;
		hash = add(hash, buf, (size_t)n);
	}
	*ret = hash;
	return 0;
}

json_t *fingerprint(const char *path, uint64_t size, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	char changed[48] = "", hex[24];
	uint64_t hash = 0;
	struct stat st;
	json_t *all;
	int ret = fd < 0 || fstat(fd, &st) < 0 ? -errno : hash_samples(fd, size, &hash);

	if (ret < 0) {
		err_sys(err, -ret, "%s", path);
		return NULL;
	}
	if (S_ISREG(st.st_mode))
		snprintf(changed, sizeof(changed), "%lld.%09ld", (long long)st.st_mtim.tv_sec,
			st.st_mtim.tv_nsec);
	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)hash);
	all = json_pack(
		"{s:I, s:s, s:s}", "size", (json_int_t)size, "changed", changed, "samples", hex);
	if (!all)
		err_sys(err, ENOMEM, "%s", path);
	return all;
}
