/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User and group of the wrapper: who may use its control socket, what is handed over to the user it
 * will run as, and becoming that user.
 */
#ifndef WRAPPER_RIGHTS_H
#define WRAPPER_RIGHTS_H

#include "options.h"
#include "user.h"

struct rights {
	bool change; /* become `user` */
	struct user user;
	bool shared; /* the control socket is for members of `group` too */
	gid_t group;
};

/* 0, or -EINVAL with a line: there is no such user or group, or it cannot be become. */
int rights_find(const struct wrapper_options *o, struct rights *ret, struct err *err);

/* Makes the folder, one level, for the user; one that is there stays as it is. 0 or -errno. */
int rights_make_folder(const struct rights *r, const char *folder, mode_t mode, struct err *err);
int rights_make_folder_of(const struct rights *r, const char *path, mode_t mode, struct err *err);

/* The control socket, which has mode 0600. 0 or -errno. */
int rights_share(const struct rights *r, const char *control, struct err *err);

/*
 * Hands over the log file, the state file and its folder, and becomes the user, for good. It must
 * be able to write the state file. 0 or -errno.
 */
int rights_become(const struct rights *r, const struct wrapper_options *o, struct err *err);

#endif
