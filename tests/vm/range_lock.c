/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A write lock on a range of a file, as programs in guests take it:
 *
 *   range_lock hold FILE START LENGTH    waits for the lock, says "held", keeps it until killed
 *   range_lock try FILE START LENGTH     "granted", or "refused": somebody else has it
 *
 * These are the locks of fcntl(2), which the kernel's NFS client takes at the server. "try" lets go
 * of it at once. Exit status: 0, also if refused; 1 if something else went wrong.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(const char *text)
{
	if (puts(text) < 0 || fflush(stdout) != 0)
		err(1, "standard output");
}

static void hold(int fd, struct flock *lock)
{
	if (fcntl(fd, F_SETLKW, lock) < 0)
		err(1, "lock");
	say("held");
	for (;;)
		pause();
}

static void try(int fd, struct flock *lock)
{
	if (fcntl(fd, F_SETLK, lock) == 0)
		say("granted");
	else if (errno == EAGAIN || errno == EACCES)
		say("refused");
	else
		err(1, "lock");
}

int main(int argc, char **argv)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd;

	if (argc != 5)
		errx(1, "usage: range_lock hold|try FILE START LENGTH");
	fd = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		err(1, "%s", argv[2]);
	lock.l_start = strtol(argv[3], NULL, 10);
	lock.l_len = strtol(argv[4], NULL, 10);
	if (strcmp(argv[1], "hold") == 0)
		hold(fd, &lock);
	try(fd, &lock);
	return 0;
}
