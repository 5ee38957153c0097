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
#include "medium.h"
#include "serve.h"
#include "stored.h"
#include "toolsconf.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
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

static struct medium *open_copy(const struct spec *s, struct err *err)
{
	int fd;

	if (s->kind == SPEC_NBD)
		return medium_nbd_new(s->path, MEDIUM_READ, err);
	fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		err_sys(err, errno, "%s", s->path);
		return NULL;
	}
	return medium_fd_new(fd, s->path, MEDIUM_READ, err);
}

static int check_copy(const struct spec *s, const struct manifest *m, const struct copy_options *o,
	atomic_bool *stop, struct err *err)
{
	struct medium *medium = open_copy(s, err);
	uint64_t wanted = stored_size(m);
	int ret;

	if (!medium)
		return -err->code;
	if (s->kind == SPEC_FILE ? medium->size != wanted : medium->size < wanted)
		ret = err_set(err, EBADMSG, "%s: has %llu bytes, its manifest says %llu", s->path,
			(unsigned long long)medium->size, (unsigned long long)wanted);
	else
		ret = stored_check(medium, m, s->path,
			o->threads ? (unsigned)o->threads : COPY_THREADS, stop, err);
	medium_free(medium);
	return ret;
}

/* COPY may be a mere path. */
static int parse_copy(const char *text, struct spec *s, struct err *err)
{
	CLEANUP_FREE char *whole = NULL;
	int ret = spec_parse(s, text, err);

	if (ret < 0 && text[0] == '/' && asprintf(&whole, "file:%s", text) > 0)
		ret = spec_parse(s, whole, err);
	if (ret == 0 && s->host[0])
		return err_set(err, EINVAL,
			"--verify: a copy is read on its own host (ssh %s lvm_copy --verify ...)",
			s->host);
	return ret;
}

static int verify(const struct copy_options *o, atomic_bool *stop)
{
	char path[PATH_MAX];
	const char *manifest = o->manifest;
	struct manifest m = {0};
	struct err err = {0};
	struct spec s;
	int ret;

	if (parse_copy(o->verify, &s, &err) < 0)
		return say(&err, USAGE);
	if (!manifest && s.kind != SPEC_FILE && target_manifest_of(&s, path, &err) == 0)
		manifest = path;
	ret = stored_manifest(s.path, manifest, &m, &err);
	if (ret == 0)
		ret = check_copy(&s, &m, o, stop, &err);
	if (ret == 0 && o->json)
		printf("{\"success\":true,\"size\":%llu,\"chunks\":%llu}\n",
			(unsigned long long)m.head.size, (unsigned long long)m.count);
	else if (ret == 0 && !o->quiet)
		printf("%s: good, %llu bytes of %s\n", s.path, (unsigned long long)m.head.size,
			m.head.source);
	manifest_done(&m);
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
