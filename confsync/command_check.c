/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `xnbd-confsync check`: what would go wrong, before the day. A line for each finding on stdout:
 * key, files of each set, validators on the files as they are, then the peer: can it be reached, is
 * it the host it should be, does it define the sets alike. No clock is compared, as nothing is
 * decided by time.
 */
#include "command.h"
#include "hook.h"
#include "log.h"
#include "report.h"
#include "scan.h"
#include "secret.h"
#include "stage.h"
#include "str.h"
#include "talk.h"
#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LOCK_MS = 10000 };

struct check {
	const struct options *options;
	const struct config *config;
	json_t *findings;
	size_t count;
};

static void find(struct check *x, const struct config_set *set, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void find(struct check *x, const struct config_set *set, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX + 256], shown[sizeof(text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	str_printable(shown, sizeof(shown), text, strlen(text));
	x->count++;
	if (x->options->json)
		json_array_append_new(x->findings,
			json_pack("{ss? ss}", "set", set ? set->name : NULL, "text", shown));
	else
		printf("%s%s%s\n", set ? set->name : "", set ? ": " : "", shown);
}

static void check_key(struct check *x)
{
	struct err err = {0};
	char *key = NULL;

	if (secret_read_text(x->config->general.key_file, &key, &err) < 0)
		find(x, NULL, "%s%s", err.text,
			err.code == ENOENT ? " (xnbd-confsync init makes one)" : "");
	secret_free(key);
}

static void check_role(struct check *x)
{
	struct err err = {0};
	int r;

	if (!x->config->general.role_command)
		return;
	r = hook_role(x->config, &err);
	if (r < 0)
		find(x, NULL, "role command: %s", err.text);
}

/* LIVE is the caller's. */
static void check_validator(struct check *x, struct state *s, const struct manifest *live)
{
	struct generation g;
	struct err err = {0};

	/* A node that has nothing yet gets it from its peer. */
	if (!s->set->validate || (s->now.number == 0 && !manifest_has_files(live)))
		return;
	generation_init(&g);
	snprintf(g.set, sizeof(g.set), "%s", s->set->name);
	if (manifest_copy(&g.files, live) < 0 || manifest_digest(&g.files, g.digest) < 0)
		find(x, s->set, "no memory");
	else if (state_lock(s, LOCK_MS, &err) < 0 || stage_validate(s, &g, live, &err) < 0)
		find(x, s->set, "%s", err.text);
	state_unlock(s);
	generation_done(&g);
}

static void check_faults(struct check *x, const struct config_set *set, const struct scan *scan)
{
	size_t told = MIN_OF(scan->fault_count, (size_t)SCAN_FAULTS_MAX);

	for (size_t i = 0; i < told; i++)
		find(x, set, "%s", scan->faults[i] ? scan->faults[i] : "a file has a fault");
	if (scan->fault_count > told)
		find(x, set, "%zu more files have faults", scan->fault_count - told);
}

static void check_set(struct check *x, const struct config_set *set)
{
	struct err err = {0};
	struct state s;
	struct scan scan;

	if (state_open(&s, x->config, set, &err) < 0) {
		find(x, set, "%s", err.text);
		return;
	}
	if (scan_set(x->config, set, s.index, x->options->full ? SCAN_FULL : SCAN_QUICK, &scan,
		    &err) < 0) {
		find(x, set, "%s", err.text);
	} else {
		check_faults(x, set, &scan);
		if (!scan.fault_count)
			check_validator(x, &s, &scan.files);
		scan_done(&scan);
	}
	state_close(&s);
}

/* 0, or the conversation is over. */
static int check_definition(
	struct check *x, struct talk *t, const struct config_set *set, struct err *err)
{
	struct message m = {.kind = MESSAGE_STATE_ASK}, answer = {0};
	uint8_t digest[MANIFEST_HASH];
	char mine[MANIFEST_HEX];
	int r = config_definition(set, digest);

	if (r < 0)
		return err_sys(err, -r, "set %s", set->name);
	hash_to_hex(digest, mine);
	snprintf(m.set, sizeof(m.set), "%s", set->name);
	r = talk_send(t, &m, err);
	if (r == 0)
		r = talk_expect(t, MESSAGE_STATE, &answer, err);
	if (r < 0)
		return r;
	if (strcmp(mine, answer.definition) != 0)
		find(x, set, "its paths, rules, kind or writer are not the same on %s",
			x->config->peer->name);
	if (answer.side.unusable)
		find(x, set, "files on %s have faults (see check there)", x->config->peer->name);
	message_done(&answer);
	return 0;
}

static void check_peer(struct check *x)
{
	const struct config *c = x->config;
	struct talk *t = NULL;
	struct err err = {0};

	if (talk_call(c, &t, &err) < 0) {
		find(x, NULL, "%s", err.text);
		return;
	}
	for (size_t i = 0; i < c->set_count && !talk_dead(t); i++) {
		if (c->sets[i].kind == CONFIG_LOCAL)
			continue;
		if (check_definition(x, t, &c->sets[i], &err) < 0)
			find(x, &c->sets[i], "%s", err.text);
	}
	talk_end(t);
}

int command_check(const struct options *o, const struct config *c)
{
	struct check x = {.options = o, .config = c, .findings = json_array()};

	check_key(&x);
	check_role(&x);
	for (size_t i = 0; i < c->set_count; i++) {
		if (c->sets[i].kind != CONFIG_LOCAL)
			check_set(&x, &c->sets[i]);
	}
	check_peer(&x);
	if (o->json)
		report_json(
			json_pack("{sI sO}", "count", (json_int_t)x.count, "findings", x.findings));
	else if (x.count == 0 && !o->quiet)
		printf("%zu sets, no findings\n", c->set_count);
	json_decref(x.findings);
	return x.count ? COMMAND_FAILED : COMMAND_DONE;
}
