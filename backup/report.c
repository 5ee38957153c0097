/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines and objects of reports; see report.h. Pure. A line is one line whatever is in the texts, as
 * errors were made printable where they came from, and names are of the configuration. */
#include "report.h"

#include "schedule.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

static const char *const words[] = {"good", "skipped", "planned", "stopped", "failed"};

/* "; last good copy 3 h old, deadline missed by 2 days" */
static void age(const struct report *r, uint64_t now, char *out, size_t room)
{
	char span[32], late[32];
	size_t used;

	if (r->last_good == 0) {
		snprintf(out, room, "%s", r->missed ? "; there is NO good copy" : "");
		return;
	}
	schedule_span(now > r->last_good ? now - r->last_good : 0, span, sizeof(span));
	used = (size_t)snprintf(out, room, "; last good copy %s old", span);
	if (r->missed && used < room) {
		schedule_span(r->missed, late, sizeof(late));
		snprintf(out + used, room - used, ", deadline MISSED by %s", late);
	}
}

static void good(const struct report *r, char *out, size_t room)
{
	double seconds = (double)r->ms / 1000;
	double rate = r->ms ? (double)r->bytes / 1000 / (double)r->ms : 0;

	snprintf(out, room,
		"%s: good, %llu MiB to %s in %.1f s (%.1f MB/s), %s, %zu copies kept, %zu removed",
		r->volume, (unsigned long long)(r->bytes >> 20), r->target, seconds, rate,
		r->verified ? "verified" : "not verified", r->kept, r->removed);
}

void report_line(const struct report *r, uint64_t now, char *out, size_t room)
{
	char tail[128] = "";
	size_t used;

	age(r, now, tail, sizeof(tail));
	if (r->result == REPORT_GOOD)
		good(r, out, room);
	else
		snprintf(out, room, "%s: %s: %s%s", r->volume,
			r->result == REPORT_FAILED ? "FAILED" : words[r->result], r->text, tail);
	used = strlen(out);
	if (r->warning[0])
		snprintf(out + used, room - used, "; WARNING: %s", r->warning);
}

/* What is not UTF-8 is not told. */
static void set_text(json_t *object, const char *key, const char *text)
{
	json_t *value = text[0] ? json_string(text) : NULL;

	json_object_set_new(object, key, value ? value : json_null());
}

json_t *report_json(const struct report *r)
{
	json_t *object = json_pack("{s:s, s:s, s:I, s:I, s:b, s:I, s:I, s:b, s:I}", "volume",
		r->volume, "result", words[r->result], "bytes", (json_int_t)r->bytes, "ms",
		(json_int_t)r->ms, "verified", r->verified, "kept", (json_int_t)r->kept, "removed",
		(json_int_t)r->removed, "deadline_missed", r->missed > 0, "last_good",
		(json_int_t)r->last_good);

	set_text(object, "text", r->text);
	set_text(object, "target", r->target);
	set_text(object, "warning", r->warning);
	return object;
}
