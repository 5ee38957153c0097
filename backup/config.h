/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backup.conf: what is copied, where to, and what is kept. Syntax as of xnbd.conf (lib/conf.h):
 *
 *	backup { state-directory = "/srv/pair/backup" active-if = "test -e /run/active" }
 *	defaults { target = "lvm:/dev/vg_backup/%l_bk.%n" keep-last = 1 }
 *	volume "vm1" { source = "lvm:/dev/vg0/vm1" }
 *
 * What `defaults` has holds for each volume that does not say otherwise, and for those that come
 * from the wrapper's export table.
 */
#ifndef BACKUP_CONFIG_H
#define BACKUP_CONFIG_H

#include "conf.h"
#include "keep.h"
#include "naming.h"

#include <stdint.h>

#define CONFIG_DEFAULT "/etc/xnbd/backup.conf"

enum { CONFIG_VOLUMES_MAX = 10000, CONFIG_NAME_MAX = 60 };

enum config_source {
	CONFIG_VOLUME, /* lvm: by a snapshot of LVM */
	CONFIG_EXPORT, /* export: by a snapshot of the wrapper */
	CONFIG_PLAIN,  /* file:, dev:, nbd: as it is */
};

enum config_compress { CONFIG_NONE, CONFIG_GZIP, CONFIG_ZSTD };

struct config_general {
	char *state_directory, *control, *sendmail;                         /* never NULL */
	char *active_if, *mail_to, *on_failure, *tools_config, *ssh_config; /* NULL = none */
	struct key_texts exclude; /* exports: patterns of names */
	bool exports;             /* all exports that are volumes are copied, too */
	uint64_t time_limit;      /* minutes of a run, 0 = any */
};

struct config_volume {
	char *name;
	char *source, *target;
	char *freeze, *thaw;      /* NULL = none */
	char *snapshot_size;      /* as -n of lvm_snap_copy; NULL = by its configuration */
	char *snapshot_directory; /* of the wrapper's; NULL = where the image is */
	char *mount_point; /* where the copies' file system has to be; NULL = anything goes */
	int compress;      /* enum config_compress */
	bool verify, incremental, in_place;
	uint64_t every, max_age; /* hours; max_age 0 = twice every */
	uint64_t freeze_timeout; /* s */
	uint64_t max_rate;       /* MB/s, 0 = any */
	uint64_t keep_last;      /* 0 = usual */
	uint64_t keep_daily, keep_weekly, keep_monthly;
	/* Of those texts: */
	enum config_source kind;
	enum naming_kind naming;
	bool is_far;  /* the target is on another host */
	bool is_file; /* the target is a file */
};

struct config {
	char *path;
	struct config_general general;
	struct config_volume defaults; /* of those that have no section */
	struct config_volume *volumes;
	size_t count;
};

extern const struct conf_kind config_kinds[];
extern const size_t config_kind_count;

/* Reads PATH. -EINVAL: FILES has faults. Both to be freed in any case. */
int config_read(const char *path, struct config *ret, struct conf *files);
void config_free(struct config *c);

/*
 * Adds a volume made of the defaults. -EINVAL: with those there can be none of this name and
 * source; -EEXIST: there is one of that name.
 */
int config_add(struct config *c, const char *name, const char *source, struct err *err);

/* NULL: there is none. */
const struct config_volume *config_volume(const struct config *c, const char *name);

struct keep_policy config_policy(const struct config_volume *v);

/* For parts of config: the section `volume` and `defaults`. */
extern const struct key_set config_volume_keys;
enum { CONFIG_IN_VOLUME = 1, CONFIG_IN_DEFAULTS = 2 };
/* What is wrong with V as a whole; *ret_key is where. Fills what is of its texts. */
int config_volume_settle(struct config_volume *v, const char **ret_key, struct err *err);
void config_volume_free(struct config_volume *v);

#endif
