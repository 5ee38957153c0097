/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Secrets from files to locked memory; see secret.h. Each has pages of its own, so that locking and
 * forgetting concern nothing else. It is read straight into them: no buffer of stdio or of ours
 * keeps a copy. What can be locked is limited for processes that are not root's; then it is not,
 * since to shoot without a lock is better than not to shoot.
 */
#include "secret.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* In front of the text, for secret_free(). */
struct pages {
	size_t size; /* of the mapping */
	char text[];
};

static struct pages *take_pages(size_t room)
{
	size_t size = sizeof(struct pages) + room;
	struct pages *p =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	(void)mlock(p, size);
	(void)madvise(p, size, MADV_DONTDUMP);
	p->size = size;
	return p;
}

static void drop_pages(struct pages *p)
{
	size_t size = p->size;

	explicit_bzero(p, size);
	munmap(p, size);
}

void secret_free(char *secret)
{
	if (secret)
		drop_pages(container_of(secret, struct pages, text));
}

/* Who could have written it, and who can read it? */
static int check_file(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "%s: is no regular file", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(
			err, EPERM, "%s: belongs to user %u: must be root's", path, st.st_uid);
	if (st.st_mode & 077)
		return err_set(err, EPERM,
			"%s: mode %04o: must be 0600 or 0400, for its owner alone", path,
			st.st_mode & 07777);
	return 0;
}

/* Up to MAX bytes; one more shows that there are too many. */
static int read_all(
	int fd, const char *path, size_t max, struct pages *p, size_t *ret_len, struct err *err)
{
	size_t len = 0;

	while (len <= max) {
		ssize_t n = read(fd, p->text + len, max + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "%s", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len > max)
		return err_set(err, EFBIG, "%s: has more than %zu bytes", path, max);
	p->text[len] = 0;
	*ret_len = len;
	return 0;
}

static int read_file(
	const char *path, size_t max, struct pages **ret, size_t *ret_len, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct pages *p;
	int r;

	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	r = check_file(fd, path, err);
	if (r < 0)
		return r;
	p = take_pages(max + 2);
	if (!p)
		return err_sys(err, ENOMEM, "%s", path);
	r = read_all(fd, path, max, p, ret_len, err);
	if (r < 0)
		drop_pages(p);
	else
		*ret = p;
	return r;
}

static int check_line(
	const char *path, const char *text, size_t len, size_t min, size_t max, struct err *err)
{
	if (memchr(text, '\n', len))
		return err_set(err, EINVAL, "%s: has more than one line", path);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return err_set(err, EINVAL, "%s: contains a control character", path);
	}
	if (len < min)
		return len == 0 ? err_set(err, EINVAL, "%s: is empty", path)
				: err_set(err, EINVAL, "%s: has fewer than %zu bytes", path, min);
	if (len > max)
		return err_set(err, EFBIG, "%s: has more than %zu bytes", path, max);
	return 0;
}

int secret_read_line(const char *path, size_t min, size_t max, char **ret, struct err *err)
{
	struct pages *p;
	size_t len;
	int r = read_file(path, max + 1, &p, &len, err);

	if (r < 0)
		return r;
	if (len && p->text[len - 1] == '\n')
		p->text[--len] = 0;
	r = check_line(path, p->text, len, min, max, err);
	if (r < 0)
		drop_pages(p);
	else
		*ret = p->text;
	return r;
}

int secret_read_text(const char *path, char **ret, struct err *err)
{
	struct pages *p;
	size_t len;
	int r = read_file(path, SECRET_TEXT_MAX, &p, &len, err);

	if (r < 0)
		return r;
	if (!len || strlen(p->text) != len) {
		drop_pages(p);
		return err_set(
			err, EINVAL, len ? "%s: contains a zero byte" : "%s: is empty", path);
	}
	*ret = p->text;
	return 0;
}
