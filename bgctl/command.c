/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One function a command that has more to its answer than "ok". A refusal is the same for all of
 * them, but for blocks that are absent: then nothing went wrong, and the status says so.
 */
#include "command.h"

#include "call.h"
#include "ctl.h"
#include "fsutil.h"
#include "log.h"
#include "query.h"
#include "show.h"
#include "util.h"
#include "watch.h"

#include <errno.h>
#include <string.h>

/* A member only if the option was given: what a server does without it is its own affair. */
static json_t *cache_all_request(const struct bgctl_options *o)
{
	json_t *msg = json_pack("{s:s}", "cmd", "cache-all");

	if (o->rate != UINT64_MAX)
		json_object_set_new(msg, "rate", json_integer((json_int_t)o->rate));
	if (o->blocks_per_request)
		json_object_set_new(
			msg, "blocks_per_request", json_integer((json_int_t)o->blocks_per_request));
	if (o->idle)
		json_object_set_new(msg, "idle", json_true());
	return msg;
}

static json_t *reconnect_request(const struct bgctl_options *o)
{
	if (o->uri)
		return json_pack("{s:s, s:s}", "cmd", "reconnect", "uri", o->uri);
	return json_pack("{s:s, s:s, s:s, s:s*}", "cmd", "reconnect", "host", o->host, "port",
		o->port, "exportname", o->exportname);
}

/* The server's working directory is another, so paths travel absolute. */
static json_t *snapshot_request(const struct bgctl_options *o)
{
	CLEANUP_FREE char *to = o->to ? fs_absolute(o->to) : NULL;

	if (o->to)
		return json_pack("{s:s, s:s}", "cmd", "snapshot", "to", to ? to : o->to);
	return json_pack("{s:s}", "cmd", "snapshot");
}

static json_t *verify_request(const struct bgctl_options *o)
{
	if (o->samples)
		return json_pack("{s:s, s:I}", "cmd", "verify", "samples", (json_int_t)o->samples);
	return json_pack("{s:s}", "cmd", "verify");
}

json_t *command_request(const struct bgctl_options *o)
{
	switch ((enum bgctl_action)o->action) {
	case BGCTL_CACHE_ALL:
		return cache_all_request(o);
	case BGCTL_SWITCH:
		return json_pack("{s:s, s:b}", "cmd", "switch", "force", o->force);
	case BGCTL_RECONNECT:
		return reconnect_request(o);
	case BGCTL_SNAPSHOT:
		return snapshot_request(o);
	case BGCTL_DROP_SNAPSHOT:
		return json_pack(
			"{s:s, s:I}", "cmd", "snapshot-drop", "id", (json_int_t)o->snapshot);
	case BGCTL_PAUSE:
		return json_pack("{s:s}", "cmd", "pause");
	case BGCTL_RESUME:
		return json_pack("{s:s}", "cmd", "resume");
	case BGCTL_VERIFY:
		return verify_request(o);
	case BGCTL_NONE:
	case BGCTL_QUERY:
	case BGCTL_LIST_SNAPSHOTS:
		break;
	}
	return json_pack("{s:s}", "cmd", "query");
}

static int timeout_of(int action)
{
	switch ((enum bgctl_action)action) {
	case BGCTL_SWITCH:
	case BGCTL_RECONNECT:
	case BGCTL_SNAPSHOT:
	case BGCTL_VERIFY:
		return CALL_PATIENT_MS;
	default:
		return CALL_QUICK_MS;
	}
}

static int cache_all_without_waiting(const struct bgctl_options *o)
{
	struct err err = {0};
	struct query q;
	json_t *answer;
	bool done;

	if (call_query(o->control, CALL_QUICK_MS, &answer, &err) < 0) {
		log_error("%s", err.text);
		return BGCTL_FAILED;
	}
	query_read(answer, &q);
	done = query_done(&q);
	json_decref(answer);
	if (!done)
		log_info("the copy has begun: 'xnbd-bgctl --query %s' shows it", o->control);
	return done ? BGCTL_DONE : BGCTL_INCOMPLETE;
}

static int cache_all(const struct bgctl_options *o)
{
	struct watch w;

	if (o->no_wait)
		return cache_all_without_waiting(o);
	watch_init(&w, o->control, o->progress ? stderr : NULL);
	return watch_copy(&w);
}

static int snapshot(const struct bgctl_options *o, const json_t *answer)
{
	json_int_t id = (json_int_t)query_number(answer, "id");
	json_t *entry = NULL;
	struct watch w;
	int status;

	if (!o->json)
		show_snapshot(stdout, answer);
	else if (!o->wait)
		show_json(stdout, answer);
	if (!o->wait)
		return BGCTL_DONE;
	fflush(stdout); /* the id is needed while we wait */
	watch_init(&w, o->control, NULL);
	status = watch_snapshot(&w, id, &entry);
	if (status == BGCTL_DONE && o->json)
		show_json(stdout, entry);
	else if (status == BGCTL_DONE)
		printf("state: complete\n");
	json_decref(entry);
	return status;
}

static int verify(const struct bgctl_options *o, const json_t *answer)
{
	if (o->json)
		show_json(stdout, answer);
	else
		show_verify(stdout, answer);
	if (query_number(answer, "different") == 0)
		return BGCTL_DONE;
	log_error("the cache differs from the origin");
	return BGCTL_FAILED;
}

static int list_snapshots(const struct bgctl_options *o, const json_t *answer)
{
	json_t *list = json_object_get(answer, "snapshots");
	json_t *all = list ? json_incref(list) : json_array();

	if (o->json)
		show_json(stdout, all);
	else
		show_snapshots(stdout, answer);
	json_decref(all);
	return BGCTL_DONE;
}

static int query(const struct bgctl_options *o, const json_t *answer)
{
	if (o->json)
		show_json(stdout, answer);
	else
		show_query(stdout, answer);
	return BGCTL_DONE;
}

static int refused(const json_t *answer, const struct err *err)
{
	if (!json_is_true(json_object_get(answer, "incomplete"))) {
		log_error("%s", err->text);
		return BGCTL_FAILED;
	}
	log_error("%s (absent: %llu blocks; --cache-all fetches them)", err->text,
		(unsigned long long)query_number(answer, "absent"));
	return BGCTL_INCOMPLETE;
}

static int finish(const struct bgctl_options *o, const json_t *answer)
{
	struct err err = {0};

	if (ctl_refusal(answer, &err) < 0)
		return refused(answer, &err);
	switch ((enum bgctl_action)o->action) {
	case BGCTL_QUERY:
		return query(o, answer);
	case BGCTL_CACHE_ALL:
		return cache_all(o);
	case BGCTL_SNAPSHOT:
		return snapshot(o, answer);
	case BGCTL_LIST_SNAPSHOTS:
		return list_snapshots(o, answer);
	case BGCTL_VERIFY:
		return verify(o, answer);
	default:
		return BGCTL_DONE;
	}
}

int command_run(const struct bgctl_options *o)
{
	json_t *request = command_request(o), *answer;
	struct err err = {0};
	int status;

	if (!request) {
		log_error("an argument is not valid UTF-8");
		return BGCTL_USAGE;
	}
	if (call_server(o->control, request, timeout_of(o->action), &answer, &err) < 0) {
		log_error("%s", err.text);
		return BGCTL_FAILED;
	}
	status = finish(o, answer);
	json_decref(answer);
	return status;
}
