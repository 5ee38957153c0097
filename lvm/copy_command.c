/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lvm_copy does for a command line: a copy, a look at a copy (--verify), or the far side of
 * one (--serve). Every failure is one line and status 1; a command line or configuration that is
 * wrong is status 2.
 */
#include "copy_command.h"

#include "copy.h"
#include "copy_report.h"
#include "log.h"
#include "serve.h"
#include "source_far.h"
#include "toolsconf.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MB = 1000 * 1000, USAGE = 2, IDLE_MS = 300 * 1000 };

static int say(const struct err *err, int status)
{
	log_error("%s", err->text);
	return status;
}

static int watch(void *owner, const struct copy_progress *p, struct err *err)
{
	(void)owner;
	(void)err;
	copy_report_progress(p);
	return 0;
}

static struct link_options link_options_of(const struct copy_options *o, atomic_bool *stop)
{
	return (struct link_options){
		.ssh_config = o->ssh_config, .program = o->far_program, .stop = stop};
}

static void fill_job(struct copy_job *j, const struct copy_options *o, const struct toolsconf *c)
{
	uint64_t min = o->min_rate == UINT64_MAX ? c->min_rate : o->min_rate;

	j->codec = o->gzip ? CODEC_GZIP : o->zstd ? CODEC_ZSTD : CODEC_NONE;
	j->level = (int)o->level;
	j->chunk_size = (uint32_t)o->chunk;
	j->threads = (unsigned)o->threads;
	j->incremental = o->incremental;
	j->trust = o->trust;
	j->resume = o->resume;
	j->readback = o->readback || c->verify;
	j->cached = !c->direct;
	j->restore = o->restore;
	j->stable = o->stable;
	j->prepare = o->prepare;
	j->dry_run = o->dry_run;
	j->manifest = o->restore ? NULL : o->manifest;
	j->source_manifest = o->restore ? o->manifest : NULL;
	j->min_rate = min * MB;
	j->max_rate = o->max_rate * MB;
	j->abort_slow = o->abort_slow;
	j->link = link_options_of(o, j->stop);
}

static int check_job(const struct copy_job *j, struct err *err)
{
	if (j->codec && j->target->kind != SPEC_FILE)
		return err_set(err, EINVAL, "only a file can be compressed (file:/PATH)");
	if (j->source->kind == SPEC_NBD && j->target->kind == SPEC_NBD &&
		strcmp(j->source->path, j->target->path) == 0)
		return err_set(err, EINVAL, "%s: is the source itself", j->target->path);
	if (j->prepare && j->target->kind != SPEC_LVM)
		return err_set(err, EINVAL, "--prepare goes with a target lvm:...");
	if (j->manifest && j->target->host[0])
		return err_set(err, EINVAL, "--manifest: only for a target on this host");
	if (j->manifest && j->target->kind == SPEC_FILE)
		return err_set(err, EINVAL, "--manifest: that of a file lies beside it");
	if (j->source_manifest && j->source->host[0])
		return err_set(err, EINVAL, "--manifest: only for a source on this host");
	return 0;
}

static int run_copy(const struct copy_options *o, struct copy_job *j)
{
	struct copy_result r;
	struct err err = {0};
	bool bar = !o->quiet && !o->json && isatty(STDERR_FILENO);
	int ret;

	if (bar)
		j->watch = watch;
	ret = copy_run(j, &r, &err);
	if (bar)
		copy_report_clear();
	if (o->json)
		copy_report_json(j, &r, ret < 0 ? &err : NULL);
	if (ret < 0)
		return say(&err, 1);
	if (!o->quiet && !o->json && !o->dry_run && !o->prepare)
		copy_report_text(j, &r);
	return 0;
}

static int copy(const struct copy_options *o, atomic_bool *stop)
{
	struct spec source, target;
	struct copy_job j = {.source = &source, .target = &target, .stop = stop};
	struct toolsconf c;
	struct err err = {0};

	if (spec_parse(&source, o->source, &err) < 0 || spec_parse(&target, o->target, &err) < 0)
		return say(&err, USAGE);
	if (toolsconf_load(o->config, &c) < 0) {
		toolsconf_free(&c);
		return USAGE;
	}
	fill_job(&j, o, &c);
	toolsconf_free(&c);
	return check_job(&j, &err) < 0 ? say(&err, USAGE) : run_copy(o, &j);
}

/* A copy is compared as in a restore, by whoever has it, and what was read is for nobody. */
static int check_chunk(void *owner, struct chunk *c, struct err *err)
{
	struct source *s = owner;

	c->len = manifest_chunk_len(&s->head, c->index);
	return s->ops->read(s, c, NULL, err);
}

static int forget_chunk(void *owner, struct chunk *c, struct err *err)
{
	(void)owner;
	(void)c;
	(void)err;
	return 0;
}

static void cut_copy(void *owner)
{
	struct source *s = owner;

	if (s->ops->cut)
		s->ops->cut(s);
}

static int check_copy(
	struct source *s, const struct copy_options *o, atomic_bool *stop, struct err *err)
{
	struct pipeline p = {.end = manifest_chunks(&s->head),
		.chunk_size = s->head.chunk_size,
		.threads = o->threads ? (unsigned)o->threads : COPY_THREADS,
		.stop = stop,
		.make = check_chunk,
		.take = forget_chunk,
		.cut = cut_copy,
		.owner = s};
	int ret = pipeline_run(&p, err);

	return ret < 0 ? ret : s->ops->finish(s, err);
}

/* COPY may be a mere path. */
static int parse_copy(const struct copy_options *o, struct spec *s, struct err *err)
{
	CLEANUP_FREE char *whole = NULL;
	int ret = spec_parse(s, o->verify, err);

	if (ret < 0 && o->verify[0] == '/' && asprintf(&whole, "file:%s", o->verify) > 0)
		ret = spec_parse(s, whole, err);
	if (ret == 0 && s->host[0] && o->manifest)
		return err_set(err, EINVAL, "--manifest: only for a copy on this host");
	return ret;
}

static int verify(const struct copy_options *o, atomic_bool *stop)
{
	const struct link_options link = link_options_of(o, stop);
	const struct source_want want = {.restore = true, .check = true, .manifest = o->manifest};
	struct source *source;
	struct err err = {0};
	struct spec s;
	int ret;

	if (parse_copy(o, &s, &err) < 0)
		return say(&err, USAGE);
	source = s.host[0] ? source_far_new(&s, &want, &link, &err)
			   : source_local_new(&s, &want, &err);
	ret = source ? check_copy(source, o, stop, &err) : -err.code;
	if (o->json)
		copy_report_check_json(source ? &source->head : NULL, ret < 0 ? &err : NULL);
	else if (ret == 0 && !o->quiet)
		copy_report_check_text(&s, &source->head);
	source_free(source);
	return ret < 0 ? say(&err, 1) : 0;
}

int copy_command(const struct copy_options *o, atomic_bool *stop)
{
	struct serve_rules rules = {.prefix = o->prefix,
		.read_only = o->read_only,
		.idle_ms = o->idle == UINT64_MAX ? IDLE_MS : o->idle * 1000,
		.stop = stop};

	if (o->serve)
		return serve_run(&rules);
	return o->source ? copy(o, stop) : verify(o, stop);
}
