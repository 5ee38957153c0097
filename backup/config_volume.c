/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections `volume` and `defaults`, which have the same keys but for the source; see config.h. What
 * could lose the last good copy is refused here, and not found out in the night: a place that is
 * written in place needs another one beside it.
 */
#include "config.h"

#include "spec.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum {
	HOURS_MAX = 24 * 366 * 10,
	KEEP_MAX = 1000,
	KEEP_USUAL = 3,
	FREEZE_MAX = 600,
	RATE_MAX = 1000000,
	COMMAND_MAX = 4096,
	BOTH = CONFIG_IN_VOLUME | CONFIG_IN_DEFAULTS,
};

static const char *const compressions[] = {"none", "gzip", "zstd", NULL};

#define AT(field) offsetof(struct config_volume, field)

static const struct key keys[] = {
	{"source", KEY_TEXT, AT(source), 1, PATH_MAX, 0, NULL, CONFIG_IN_VOLUME, false,
		"What is copied: lvm:/dev/VG/LV, of which a snapshot is made by LVM; export:NAME, of "
		"which one is made by the wrapper; or file:/PATH, dev:/dev/NAME or nbd:URI, which "
		"are copied as they are. Required."},
	{"target", KEY_TEXT, AT(target), 1, PATH_MAX, 0, NULL, BOTH, false,
		"Where to, as for lvm_copy: file:/PATH, lvm:/dev/VG/LV, dev:/dev/NAME, nbd:URI, and "
		"with a host as lvm:HOST:/dev/VG/LV. In it %v is the volume's name, %l the last part of its "
		"source, %% a percent sign, and in the last part of the path %t is the time of the "
		"copy, so that each one is a new file of this host, or %n a number, so that copies "
		"take turns. Required."},
	{"mount-point", KEY_PATH, AT(mount_point), 1, PATH_MAX, 0, NULL, BOTH, false,
		"Folder where something has to be mounted, such as the disk of the copies; otherwise "
		"the copy fails, and what is remembered of the others stays. Without it, copies go "
		"into the folder below, and the others count as removed."},
	{"compress", KEY_CHOICE, AT(compress), 0, 0, CONFIG_NONE, compressions, BOTH, false,
		"How a copy that is a file is compressed: none, gzip or zstd. Otherwise none."},
	{"incremental", KEY_FLAG, AT(incremental), 0, 0, true, NULL, BOTH, false,
		"Write only what differs from what is in the place already? Otherwise yes."},
	{"verify", KEY_FLAG, AT(verify), 0, 0, true, NULL, BOTH, false,
		"Read a copy again and compare it before it counts? Otherwise yes."},
	{"in-place", KEY_FLAG, AT(in_place), 0, 0, false, NULL, BOTH, false,
		"May the only copy be overwritten where it is? With a volume, device or export as "
		"target and no %n there is no good copy while a new one is written, and none if that "
		"fails."},
	{"every", KEY_NUMBER, AT(every), 1, HOURS_MAX, 24, NULL, BOTH, false,
		"Hours from one copy to the next; a run that comes sooner leaves the volume out. "
		"Otherwise 24."},
	{"max-age", KEY_NUMBER, AT(max_age), 0, HOURS_MAX, 0, NULL, BOTH, false,
		"Hours after which a deadline is missed, if there is no newer good copy. Otherwise "
		"twice as much as every."},
	{"keep-last", KEY_NUMBER, AT(keep_last), 1, KEEP_MAX, 0, NULL, BOTH, false,
		"So many of the last good copies are kept; otherwise 3, or 1 if target has neither "
		"%t nor %n. With %n there are as many places as copies are kept, and one more."},
	{"keep-daily", KEY_NUMBER, AT(keep_daily), 0, KEEP_MAX, 0, NULL, BOTH, false,
		"And the newest one of each of so many days (UTC) that have one."},
	{"keep-weekly", KEY_NUMBER, AT(keep_weekly), 0, KEEP_MAX, 0, NULL, BOTH, false,
		"And of so many weeks."},
	{"keep-monthly", KEY_NUMBER, AT(keep_monthly), 0, KEEP_MAX, 0, NULL, BOTH, false,
		"And of so many months."},
	{"freeze", KEY_TEXT, AT(freeze), 1, COMMAND_MAX, 0, NULL, BOTH, false,
		"Command, for /bin/sh, that makes who uses the volume hold still before the snapshot "
		"is made, for instance fsfreeze -f on its host. Needs thaw."},
	{"thaw", KEY_TEXT, AT(thaw), 1, COMMAND_MAX, 0, NULL, BOTH, false,
		"Command that lets them go on. It is run as soon as the snapshot is made, when "
		"freeze-timeout is over, and when xnbd-backup dies."},
	{"freeze-timeout", KEY_NUMBER, AT(freeze_timeout), 1, FREEZE_MAX, 30, NULL, BOTH, false,
		"Seconds from the start of freeze until thaw is run in any case; otherwise 30. A "
		"snapshot that is not made by then is none."},
	{"snapshot-size", KEY_TEXT, AT(snapshot_size), 1, 64, 0, NULL, BOTH, false,
		"Room for a snapshot of LVM, as -n of lvm_snap_create; otherwise as in "
		"lvm_tools.conf."},
	{"snapshot-directory", KEY_PATH, AT(snapshot_directory), 1, PATH_MAX - 300, 0, NULL, BOTH,
		false,
		"Folder for snapshots of the wrapper; otherwise that of the image, where it costs "
		"least. Exports of devices need it."},
	{"max-rate", KEY_NUMBER, AT(max_rate), 0, RATE_MAX, 0, NULL, BOTH, false,
		"MB/s of a copy at most; otherwise, and with 0, any."},
};
const struct key_set config_volume_keys = {keys, ARRAY_LEN(keys)};

void config_volume_free(struct config_volume *v)
{
	key_free_all(&config_volume_keys, v);
	free(v->name);
	v->name = NULL;
}

struct keep_policy config_policy(const struct config_volume *v)
{
	uint64_t usual = v->naming == NAMING_FIXED ? 1 : KEEP_USUAL;

	return (struct keep_policy){v->keep_last ? v->keep_last : usual, v->keep_daily,
		v->keep_weekly, v->keep_monthly};
}

static int settle_source(struct config_volume *v, struct err *err)
{
	static const char export[] = "export:";
	struct spec s;

	if (strncmp(v->source, export, strlen(export)) == 0) {
		v->kind = CONFIG_EXPORT;
		return v->source[strlen(export)] ? 0 : err_set(err, EINVAL, "the name is missing");
	}
	if (spec_parse(&s, v->source, err) < 0)
		return -EINVAL;
	if (s.host[0])
		return err_set(err, EINVAL, "must be on this host, as snapshots are made here");
	v->kind = s.kind == SPEC_LVM ? CONFIG_VOLUME : CONFIG_PLAIN;
	return 0;
}

/* Does a copy write over another one before it is whole? */
static int check_places(const struct config_volume *v, const struct spec *s, struct err *err)
{
	const struct keep_policy policy = config_policy(v);

	if (v->naming == NAMING_TIMED && s->kind != SPEC_FILE)
		return err_set(err, EINVAL, "%%t is for files; %%n would be right");
	if (v->naming == NAMING_TIMED && s->host[0])
		return err_set(err, EINVAL,
			"%%t is for files of this host, as old ones are removed; %%n would be right");
	if (v->naming == NAMING_FIXED && s->kind != SPEC_FILE && !v->in_place)
		return err_set(err, EINVAL,
			"is written in place: %%n is needed, so that the last good copy stays, or "
			"in-place = true");
	if (v->naming == NAMING_FIXED && keep_most(&policy) > 1)
		return err_set(err, EINVAL,
			"there is one copy only: to keep %llu, %s is needed in it",
			(unsigned long long)keep_most(&policy),
			s->kind == SPEC_FILE && !s->host[0] ? "%t or %n" : "%n");
	return 0;
}

static int settle_target(struct config_volume *v, struct err *err)
{
	struct naming_values values = {v->name, naming_source(v->source), 0, 1};
	char text[NAMING_TEXT_MAX];
	struct spec s;

	if (naming_check(v->target, &v->naming, err) < 0 ||
		naming_expand(v->target, &values, text, err) < 0 || spec_parse(&s, text, err) < 0)
		return -EINVAL;
	v->is_far = s.host[0];
	v->is_file = s.kind == SPEC_FILE;
	return check_places(v, &s, err);
}

static int settle_rest(const struct config_volume *v, const char **key, struct err *err)
{
	*key = "compress";
	if (v->compress != CONFIG_NONE && !v->is_file)
		return err_set(err, EINVAL, "only a copy that is a file can be compressed");
	*key = "freeze";
	if ((v->freeze == NULL) != (v->thaw == NULL))
		return err_set(err, EINVAL, "freeze and thaw go together");
	if (v->freeze && v->kind == CONFIG_PLAIN)
		return err_set(err, EINVAL, "needs a snapshot: lvm:... or export:... as source");
	*key = "max-age";
	if (v->max_age && v->max_age < v->every)
		return err_set(err, EINVAL, "must not be less than every");
	return 0;
}

int config_volume_settle(struct config_volume *v, const char **ret_key, struct err *err)
{
	*ret_key = "source";
	if (settle_source(v, err) < 0)
		return -EINVAL;
	*ret_key = "target";
	if (settle_target(v, err) < 0)
		return -EINVAL;
	return settle_rest(v, ret_key, err);
}
