/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Progress bars, result lines and JSON; see copy_report.h. Rates are in 10^6 bytes a second. */
#include "copy_report.h"

#include "str.h"
#include "util.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

enum { MB = 1000 * 1000, GIB = 1024 * 1024 * 1024, WIDTH = 80, BAR_MIN = 10 };

static void print_left(uint64_t s, char out[32])
{
	const unsigned hour = 3600, minute = 60;

	if (s == UINT64_MAX)
		snprintf(out, 32, "stalled");
	else if (s >= hour)
		snprintf(out, 32, "%llu:%02llu:%02llu left", (unsigned long long)(s / hour),
			(unsigned long long)(s % hour / minute), (unsigned long long)(s % minute));
	else
		snprintf(out, 32, "%llu:%02llu left", (unsigned long long)(s / minute),
			(unsigned long long)(s % minute));
}

void copy_report_bar(const struct copy_progress *p, unsigned width, char out[COPY_REPORT_LINE])
{
	char tail[80], left[32], bar[COPY_REPORT_LINE];
	double part = p->total ? (double)p->done / (double)p->total : 1;
	unsigned room, full, tail_len;

	print_left(p->left, left);
	tail_len = (unsigned)snprintf(tail, sizeof(tail), "%5.1f%%  %.2f GiB  %.1f MB/s  %s",
		part * 100, (double)p->done / GIB, (double)p->rate / MB, left);
	/* The last column stays free: some terminals are in the next line behind it. */
	width = MIN_OF(width - 1, (unsigned)COPY_REPORT_LINE - 1);
	if (width < tail_len + BAR_MIN) {
		snprintf(out, COPY_REPORT_LINE, "%.*s", (int)width, tail);
		return;
	}
	room = width - tail_len - 4;
	full = (unsigned)(part * room);
	memset(bar, '=', full);
	memset(bar + full, ' ', room - full);
	snprintf(out, COPY_REPORT_LINE, "[%.*s] %.79s", (int)room, bar, tail);
}

static unsigned columns(void)
{
	struct winsize size = {0};

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return WIDTH;
	return MIN_OF((unsigned)size.ws_col, (unsigned)COPY_REPORT_LINE);
}

/* Blanks clear the line on every terminal, also on one that knows no sequences. */
void copy_report_progress(const struct copy_progress *p)
{
	unsigned width = columns();
	char line[COPY_REPORT_LINE];

	copy_report_bar(p, width, line);
	fprintf(stderr, "\r%-*s", (int)width - 1, line);
}

void copy_report_clear(void)
{
	fprintf(stderr, "\r%*s\r", (int)columns() - 1, "");
}

static double rate_of(const struct copy_result *r)
{
	return r->ms ? (double)r->size * 1000 / (double)r->ms / MB : 0;
}

void copy_report_text(const struct copy_job *job, const struct copy_result *r)
{
	char from[SPEC_TEXT_MAX], to[SPEC_TEXT_MAX];

	spec_print(job->source, false, from);
	spec_print(job->target, false, to);
	printf("%s -> %s: %llu bytes in %.1f s (%.1f MB/s), %llu written, %llu of %llu chunks "
	       "unchanged, %llu zero%s\n",
		from, to, (unsigned long long)r->size, (double)r->ms / 1000, rate_of(r),
		(unsigned long long)r->written, (unsigned long long)(r->first + r->same),
		(unsigned long long)r->chunks, (unsigned long long)r->target.totals.zeros,
		r->target.totals.readback ? ", read back" : "");
}

/* Of what need not be UTF-8: another host may send anything. */
static json_t *printable(const char *text)
{
	char clean[ERR_TEXT_MAX + PATH_MAX];

	str_printable(clean, sizeof(clean), text, strlen(text));
	return json_string(clean);
}

static void add_result(json_t *top, const struct copy_result *r)
{
	const struct manifest_trailer *t = &r->target.totals;
	char digest[CODEC_HEX];

	json_object_set_new(top, "size", json_integer((json_int_t)r->size));
	json_object_set_new(top, "chunks", json_integer((json_int_t)r->chunks));
	json_object_set_new(top, "resumed", json_integer((json_int_t)r->first));
	json_object_set_new(top, "unchanged", json_integer((json_int_t)r->same));
	json_object_set_new(top, "zero", json_integer((json_int_t)t->zeros));
	json_object_set_new(top, "written", json_integer((json_int_t)r->written));
	json_object_set_new(top, "stored", json_integer((json_int_t)t->stored));
	json_object_set_new(top, "seconds", json_real((double)r->ms / 1000));
	json_object_set_new(top, "megabytes-per-second", json_real(rate_of(r)));
	json_object_set_new(top, "readback", json_boolean(t->readback));
	json_object_set_new(top, "manifest", printable(r->target.manifest));
	codec_hex(t->digest, digest);
	json_object_set_new(top, "digest", json_string(digest));
}

/* Names on disks need not be UTF-8: then there is no name. */
static void add_name(json_t *top, const char *key, const struct spec *s)
{
	char text[SPEC_TEXT_MAX];
	json_t *name;

	spec_print(s, false, text);
	name = json_string(text);
	json_object_set_new(top, key, name ? name : json_null());
}

void copy_report_json(
	const struct copy_job *job, const struct copy_result *r, const struct err *err)
{
	json_t *top = json_object();

	add_name(top, "source", job->source);
	add_name(top, "target", job->target);
	json_object_set_new(top, "success", json_boolean(!err));
	if (err)
		json_object_set_new(top, "error", printable(err->text));
	else if (!job->dry_run && !job->prepare)
		add_result(top, r);
	json_dumpf(top, stdout, JSON_COMPACT);
	printf("\n");
	json_decref(top);
}

void copy_report_check_text(const struct spec *copy, const struct manifest_head *h)
{
	printf("%s%s%s: good, %llu bytes of %s\n", copy->host, *copy->host ? ":" : "", copy->path,
		(unsigned long long)h->size, h->source);
}

/* What cannot be reached or opened now may be good; what cannot be read is not. */
static bool is_damage(const struct err *err)
{
	return err->code == EBADMSG || err->code == EIO;
}

void copy_report_check_json(const struct manifest_head *h, const struct err *err)
{
	json_t *top = json_object();

	json_object_set_new(top, "success", json_boolean(!err));
	if (err) {
		json_object_set_new(top, "damaged", json_boolean(is_damage(err)));
		json_object_set_new(top, "error", printable(err->text));
	} else {
		json_object_set_new(top, "size", json_integer((json_int_t)h->size));
		json_object_set_new(top, "chunks", json_integer((json_int_t)manifest_chunks(h)));
	}
	json_dumpf(top, stdout, JSON_COMPACT);
	printf("\n");
	json_decref(top);
}
