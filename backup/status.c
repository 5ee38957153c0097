/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Judgement for monitoring; see status.h. A deadline counts more than the last attempt: a failure
 * in the night is no alarm as long as the copy before it is young enough. */
#include "status.h"

#include "schedule.h"

#include <stdio.h>

const char *status_word(enum status_level level)
{
	static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

	return words[level];
}

static void set(struct status *s, enum status_level level, const char *what, const char *why)
{
	s->level = level;
	snprintf(s->text, sizeof(s->text), "%s%s%s", what, why && *why ? ": " : "", why ? why : "");
}

/* A run that was killed, as by a power cut, writes nothing down. */
static bool was_cut_off(const struct records *r)
{
	for (size_t i = 0; i < r->count; i++) {
		if (r->items[i].state == RECORD_WRITING)
			return true;
	}
	return false;
}

/* There is a copy that is young enough. */
static void judge_rest(const struct config_volume *v, const struct records *r, bool is_running,
	const char *age, struct status *ret)
{
	bool is_unverified = v->verify && !records_newest(r)->verified;
	const char *what = "", *why = r->last_error;
	char text[128];

	if (was_cut_off(r) && !is_running) {
		what = ", the last attempt was cut off";
		why = NULL;
	} else if (r->last_error) {
		what = ", the last attempt failed";
	} else if (is_unverified) {
		what = ", and not verified";
	}
	snprintf(text, sizeof(text), "last good copy %s old%s", age, what);
	set(ret, *what ? STATUS_WARNING : STATUS_OK, text, why);
}

void status_judge(const struct config_volume *v, const struct records *r, bool is_running,
	uint64_t now, struct status *ret)
{
	const struct record *newest = records_newest(r);
	char age[32], late[32], text[128];
	uint64_t missed;

	*ret = (struct status){.last_good = newest ? newest->time : 0};
	missed = schedule_missed(now, ret->last_good, schedule_limit(v->every, v->max_age));
	if (!newest) {
		set(ret, STATUS_CRITICAL, "there is no good copy", r->last_error);
		return;
	}
	schedule_span(now > newest->time ? now - newest->time : 0, age, sizeof(age));
	if (!missed) {
		judge_rest(v, r, is_running, age, ret);
		return;
	}
	schedule_span(missed, late, sizeof(late));
	snprintf(text, sizeof(text), "last good copy %s old, deadline missed by %s", age, late);
	set(ret, STATUS_CRITICAL, text, r->last_error);
}
