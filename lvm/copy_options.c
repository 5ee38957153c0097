/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options of lvm_copy: those of the old script (-s -t -z -p) mean what they meant. There are three
 * things it can do, copy, --verify and --serve, and what is not meant for one of them is refused.
 */
#include "copy_options.h"

#include "manifest.h"
#include "pipeline.h"
#include "toolsconf.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define FIELD(name) offsetof(struct copy_options, name)

enum { LEVEL_MAX = 19, GZIP_LEVEL_MAX = 9, RATE_MAX = 1000000, IDLE_MAX = 86400 };

static const struct opt rows[] = {
	{"source", 's', OPT_TEXT, FIELD(source), "SOURCE", 0, 0, "what is copied"},
	{"target", 't', OPT_TEXT, FIELD(target), "TARGET", 0, 0, "where to"},
	{"gzip", 'z', OPT_FLAG, FIELD(gzip), NULL, 0, 0, "compress by gzip; for files"},
	{"zstd", 'Z', OPT_FLAG, FIELD(zstd), NULL, 0, 0, "compress by zstd; for files"},
	{"level", 0, OPT_NUMBER, FIELD(level), "NUMBER", 1, LEVEL_MAX, "how hard to compress"},
	{"prepare", 'p', OPT_FLAG, FIELD(prepare), NULL, 0, 0,
		"make or extend the target volume, copy nothing"},
	{"incremental", 'i', OPT_FLAG, FIELD(incremental), NULL, 0, 0,
		"write only chunks that differ from the last copy"},
	{"trust", 0, OPT_FLAG, FIELD(trust), NULL, 0, 0,
		"with --incremental: believe the last copy's manifest without a look"},
	{"resume", 'r', OPT_FLAG, FIELD(resume), NULL, 0, 0,
		"go on where a copy of the same source stopped"},
	{"restore", 0, OPT_FLAG, FIELD(restore), NULL, 0, 0,
		"the source is a copy with a manifest: check and unpack it"},
	{"verify", 0, OPT_TEXT, FIELD(verify), "COPY", 0, 0,
		"compare a copy with its manifest; with -s and -t: 'readback'"},
	{"manifest", 'm', OPT_TEXT, FIELD(manifest), "FILE", 0, 0,
		"where the copy's manifest is, or is to be"},
	{"chunk", 0, OPT_SIZE, FIELD(chunk), "SIZE", MANIFEST_CHUNK_MIN, MANIFEST_CHUNK_MAX,
		"size of chunks, a power of 2 (default 1M)"},
	{"threads", 0, OPT_NUMBER, FIELD(threads), "NUMBER", 1, PIPELINE_THREADS_MAX,
		"readers at once (default 4)"},
	{"min-rate", 0, OPT_NUMBER, FIELD(min_rate), "NUMBER", 0, RATE_MAX,
		"warn below so many MB/s (default: MIN_TRANSFER_RATE)"},
	{"max-rate", 0, OPT_NUMBER, FIELD(max_rate), "NUMBER", 1, RATE_MAX,
		"never faster than so many MB/s"},
	{"abort-slow", 0, OPT_FLAG, FIELD(abort_slow), NULL, 0, 0,
		"end the copy when it is below the minimum"},
	{"stable", 0, OPT_FLAG, FIELD(stable), NULL, 0, 0,
		"the source does not change, so --resume may go on with it"},
	{"config", 'c', OPT_TEXT, FIELD(config), "FILE", 0, 0,
		"read FILE instead of " TOOLSCONF_DEFAULT},
	{"ssh-config", 'F', OPT_TEXT, FIELD(ssh_config), "FILE", 0, 0,
		"configuration of ssh, as its -F"},
	{"far-program", 0, OPT_TEXT, FIELD(far_program), "PATH", 0, 0,
		"lvm_copy on the other host (default: lvm_copy)"},
	{"json", 'j', OPT_FLAG, FIELD(json), NULL, 0, 0, "show the result in JSON"},
	{"dry-run", 'n', OPT_FLAG, FIELD(dry_run), NULL, 0, 0, "check all, change nothing"},
	{"quiet", 'q', OPT_FLAG, FIELD(quiet), NULL, 0, 0, "no progress, no result"},
	{"serve", 0, OPT_FLAG, FIELD(serve), NULL, 0, 0,
		"be the far side of a copy, on stdin and stdout"},
	{"prefix", 0, OPT_TEXT, FIELD(prefix), "FOLDER", 0, 0,
		"with --serve: only what lies below FOLDER"},
	{"read-only", 0, OPT_FLAG, FIELD(read_only), NULL, 0, 0, "with --serve: write nothing"},
	{"idle", 0, OPT_NUMBER, FIELD(idle), "SECONDS", 0, IDLE_MAX,
		"with --serve: end after so long without a word (default 300)"},
	{"help", 'h', OPT_FLAG, FIELD(help), NULL, 0, 0, "show this text"},
	{"version", 'V', OPT_FLAG, FIELD(version), NULL, 0, 0, "show the version"},
};

const struct opt_set copy_options_set = {
	.usage = "lvm_copy -s SOURCE -t TARGET [OPTION ...]\n"
		 "       lvm_copy --verify COPY [-m FILE] [OPTION ...]\n"
		 "       lvm_copy --serve [--prefix FOLDER] [--read-only] [--idle SECONDS]",
	.about = "Copies files, devices, logical volumes and NBD exports, here and to other hosts; "
		 "the last copy stays until the new one is whole. SOURCE and TARGET: "
		 "file:[HOST:]/PATH, lvm:[HOST:]/dev/VG/LV, dev:[HOST:]/dev/NAME, nbd:URI.",
	.rows = rows,
	.count = ARRAY_LEN(rows),
};

struct rule {
	bool given;
	const char *name;
};

/* The first of LIST (ends in a NULL name) that is given. */
static const char *first_given(const struct rule *list)
{
	for (; list->name; list++) {
		if (list->given)
			return list->name;
	}
	return NULL;
}

static int refuse(const struct rule *list, const char *with, struct err *err)
{
	const char *name = first_given(list);

	return name ? err_set(err, EINVAL, "--%s has no meaning with %s", name, with) : 0;
}

static int check_serve(const struct copy_options *o, struct err *err)
{
	const struct rule rules[] = {{o->source, "source"}, {o->target, "target"},
		{o->verify, "verify"}, {o->manifest, "manifest"}, {o->gzip, "gzip"},
		{o->zstd, "zstd"}, {o->prepare, "prepare"}, {o->incremental, "incremental"},
		{o->resume, "resume"}, {o->restore, "restore"}, {o->json, "json"},
		{o->dry_run, "dry-run"}, {false, NULL}};

	if (o->prefix && o->prefix[0] != '/')
		return err_set(
			err, EINVAL, "--prefix: '%.100s' does not begin with '/'", o->prefix);
	return refuse(rules, "--serve", err);
}

static int check_verify(const struct copy_options *o, struct err *err)
{
	const struct rule rules[] = {{o->gzip, "gzip"}, {o->zstd, "zstd"}, {o->level, "level"},
		{o->prepare, "prepare"}, {o->incremental, "incremental"}, {o->trust, "trust"},
		{o->resume, "resume"}, {o->restore, "restore"}, {o->dry_run, "dry-run"},
		{o->chunk, "chunk"}, {o->stable, "stable"}, {false, NULL}};

	return refuse(rules, "--verify of a copy alone", err);
}

static int check_copy(struct copy_options *o, struct err *err)
{
	if (!o->source || !o->target)
		return err_set(err, EINVAL, "%s is missing (see --help)",
			o->source ? "--target" : "--source");
	if (o->verify && strcmp(o->verify, "readback") != 0)
		return err_set(
			err, EINVAL, "--verify: with a source and a target it is 'readback'");
	o->readback = o->verify;
	if (o->gzip && o->zstd)
		return err_set(err, EINVAL, "--gzip and --zstd: one of them");
	if (o->level && !o->gzip && !o->zstd)
		return err_set(err, EINVAL, "--level goes with --gzip or --zstd");
	if (o->gzip && o->level > GZIP_LEVEL_MAX)
		return err_set(err, EINVAL, "--level: of gzip from 1 to %d", GZIP_LEVEL_MAX);
	if (o->trust && !o->incremental)
		return err_set(err, EINVAL, "--trust goes with --incremental");
	if (o->chunk && !is_power_of_2(o->chunk))
		return err_set(err, EINVAL, "--chunk: must be a power of 2");
	return 0;
}

int copy_options_parse(struct copy_options *o, int argc, char **argv, struct err *err)
{
	int rest;

	*o = (struct copy_options){.min_rate = UINT64_MAX, .idle = UINT64_MAX};
	if (opt_parse(&copy_options_set, argc, argv, o, &rest, err) < 0)
		return -EINVAL;
	if (o->help || o->version)
		return 0;
	if (rest < argc)
		return err_set(err, EINVAL, "'%.60s': one argument too many", argv[rest]);
	if (!o->serve && (o->prefix || o->read_only || o->idle != UINT64_MAX))
		return err_set(err, EINVAL, "--prefix, --read-only and --idle go with --serve");
	if (o->serve)
		return check_serve(o, err);
	if (o->verify && !o->source && !o->target)
		return check_verify(o, err);
	return check_copy(o, err);
}
