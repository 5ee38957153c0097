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

void status_judge(
	const struct config_volume *v, const struct records *r, uint64_t now, struct status *ret)
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
	schedule_span(missed, late, sizeof(late));
	if (missed) {
		snprintf(text, sizeof(text), "last good copy %s old, deadline missed by %s", age,
			late);
		set(ret, STATUS_CRITICAL, text, r->last_error);
		return;
	}
	snprintf(text, sizeof(text), "last good copy %s old", age);
	if (r->last_error)
		snprintf(text, sizeof(text), "last good copy %s old, the last attempt failed", age);
	else if (v->verify && !newest->verified)
		snprintf(text, sizeof(text), "last good copy %s old, and not verified", age);
	set(ret, r->last_error || (v->verify && !newest->verified) ? STATUS_WARNING : STATUS_OK,
		text, r->last_error);
}
