/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Command lines of the snapshot tools; see snap_options.h. The letters -s -t -n -z are those these
 * tools always had; in lvm_snap_create -t is a suffix, in lvm_snap_copy a target.
 */
#include "snap_options.h"

#include "util.h"

#include <errno.h>
#include <string.h>

#define FIELD(name) offsetof(struct snap_options, name)

#define SOURCE(text)                                                                               \
	{                                                                                          \
		"source", 's', OPT_TEXT, FIELD(source_text), "LVM", 0, 0, text                     \
	}
#define SIZE                                                                                       \
	{                                                                                          \
		"size", 'n', OPT_TEXT, FIELD(size), "SIZE", 0, 0,                                  \
			"room of the snapshot: 20%, 5G, 500 (MiB) or full"                         \
	}
#define COMMON                                                                                     \
	{"json", 'j', OPT_FLAG, FIELD(json), NULL, 0, 0, "show the result in JSON"},               \
		{"dry-run", 0, OPT_FLAG, FIELD(dry_run), NULL, 0, 0,                               \
			"say what would be done, and change nothing"},                             \
		{"config", 'c', OPT_TEXT, FIELD(config), "FILE", 0, 0,                             \
			"read FILE instead of " TOOLSCONF_DEFAULT},                                \
		{"quiet", 'q', OPT_FLAG, FIELD(quiet), NULL, 0, 0, "warnings and errors only"},    \
		{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},                \
	{                                                                                          \
		"version", 'V', OPT_FLAG, FIELD(version), NULL, 0, 0, "show the version"           \
	}
#define JOB                                                                                        \
	{"job", 0, OPT_TEXT, FIELD(job), "NAME", 0, 0,                                             \
		"name of the job, for its tag (default: time and process)"},                       \
	{                                                                                          \
		"why", 0, OPT_TEXT, FIELD(why), "TEXT", 0, 0, "reason, for another tag"            \
	}

static const struct opt create_rows[] = {
	SOURCE("the volume: lvm:/dev/VG/LV"),
	{"suffix", 't', OPT_TEXT, FIELD(suffix), "TEXT", 0, 0,
		"the snapshot is called LV_TEXT (default snap)"},
	SIZE,
	{"read-only", 0, OPT_FLAG, FIELD(read_only), NULL, 0, 0, "it cannot be written to"},
	JOB,
	COMMON,
};

static const struct opt remove_rows[] = {
	SOURCE("the snapshot: lvm:/dev/VG/LV"),
	{"leftovers", 'l', OPT_TEXT, FIELD(leftovers), "VG", 0, 0,
		"instead: what jobs that are over have left in VG"},
	{"taken-over", 0, OPT_FLAG, FIELD(taken_over), NULL, 0, 0,
		"with --leftovers: so are jobs of other hosts"},
	COMMON,
};

static const struct opt copy_rows[] = {
	SOURCE("the volume: lvm:/dev/VG/LV"),
	{"target", 't', OPT_TEXT, FIELD(target), "TARGET", 0, 0,
		"where to, as for lvm_copy: file:/PATH, lvm:HOST:/dev/VG/LV ..."},
	{"compress", 'z', OPT_FLAG, FIELD(compress), NULL, 0, 0, "compress by gzip"},
	SIZE,
	{"suffix", 0, OPT_TEXT, FIELD(suffix), "TEXT", 0, 0,
		"the snapshot is called LV_TEXT (default snap)"},
	JOB,
	COMMON,
};

const struct opt_set snap_create_set = {
	.usage = "lvm_snap_create -s lvm:/dev/VG/LV [-t SUFFIX] [-n SIZE] [OPTION ...]",
	.about = "Makes a snapshot of a logical volume, with room in proportion to it.",
	.rows = create_rows,
	.count = ARRAY_LEN(create_rows),
};

const struct opt_set snap_remove_set = {
	.usage = "lvm_snap_remove -s lvm:/dev/VG/LV [OPTION ...]\n"
		 "       lvm_snap_remove --leftovers VG [--taken-over] [OPTION ...]",
	.about = "Removes a snapshot that these tools have made, and nothing else.",
	.rows = remove_rows,
	.count = ARRAY_LEN(remove_rows),
};

const struct opt_set snap_copy_set = {
	.usage = "lvm_snap_copy -s lvm:/dev/VG/LV -t TARGET [-z] [OPTION ...] "
		 "[-- OPTION OF lvm_copy ...]",
	.about = "Makes a snapshot of a logical volume, copies it by lvm_copy, and removes it.",
	.rows = copy_rows,
	.count = ARRAY_LEN(copy_rows),
};

/* "/dev/vg/lv" and "vg/lv" mean what they look like. */
static int parse_source(struct snap_options *o, struct err *err)
{
	char text[SPEC_TEXT_MAX];
	const char *given = o->source_text;
	bool bare = !strchr(given, ':');
	int r;

	if (snprintf(text, sizeof(text), "%s%s", bare ? "lvm:" : "", given) >= (int)sizeof(text))
		return err_set(err, EINVAL, "--source: too long");
	r = spec_parse(&o->source, text, err);
	if (r == 0 && (o->source.kind != SPEC_LVM || *o->source.host))
		return err_set(err, EINVAL,
			"'%.200s': must be a logical volume of this host "
			"(lvm:/dev/VG/LV)",
			given);
	return r;
}

static int check(struct snap_options *o, const struct opt_set *set, struct err *err)
{
	if (set == &snap_remove_set && o->leftovers) {
		if (o->source_text)
			return err_set(err, EINVAL, "--source and --leftovers exclude each other");
		return spec_is_lvm_name(o->leftovers)
			? 0
			: err_set(err, EINVAL, "'%.100s': no name of a volume group", o->leftovers);
	}
	if (o->taken_over)
		return err_set(err, EINVAL, "--taken-over goes with --leftovers");
	if (!o->source_text)
		return err_set(err, EINVAL, "--source is missing (see --help)");
	if (set == &snap_copy_set && !o->target)
		return err_set(err, EINVAL, "--target is missing (see --help)");
	if (o->size && snap_want_parse(o->size, &o->want, err) < 0)
		return -EINVAL;
	return parse_source(o, err);
}

int snap_options_parse(
	struct snap_options *o, const struct opt_set *set, int argc, char **argv, struct err *err)
{
	int rest, r;

	*o = (struct snap_options){0};
	r = opt_parse(set, argc, argv, o, &rest, err);
	if (r < 0)
		return r;
	if (o->help || o->version)
		return 0;
	if (rest < argc && set != &snap_copy_set)
		return err_set(err, EINVAL, "'%.100s': one argument too many", argv[rest]);
	if (rest < argc && strcmp(argv[rest - 1], "--") != 0)
		return err_set(err, EINVAL, "'%.100s': options of lvm_copy must stand behind --",
			argv[rest]);
	o->more = argv + rest;
	return check(o, set, err);
}
