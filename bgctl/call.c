/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asks the server once. The errors of connect(2) are few and each has several causes; here the path
 * is looked at again to tell them apart, after the fact and for the text only.
 */
#include "call.h"

#include "ctl.h"

#include <errno.h>
#include <sys/stat.h>

static int explain(const char *control, int r, struct err *err)
{
	struct stat st;

	switch (-r) {
	case ENOENT:
		return err_set(err, ENOENT,
			"%s: no such socket; has the server been started with --control?", control);
	case ECONNREFUSED:
		if (stat(control, &st) == 0 && !S_ISSOCK(st.st_mode))
			return err_set(err, ENOTSOCK, "%s: is not a socket", control);
		return err_set(err, ECONNREFUSED, "%s: nobody listens there; the server has ended",
			control);
	case EACCES:
	case EPERM:
		return err_set(err, -r,
			"%s: permission denied; be root or the user the server runs as", control);
	case ECONNRESET:
	case EPIPE:
		return err_set(err, -r, "%s: the server hung up without an answer", control);
	case EPROTO:
	case EPROTOTYPE:
		return err_set(err, -r, "%s: is not the control socket of an xnbd-server", control);
	default:
		return r;
	}
}

int call_server(const char *control, json_t *request, int timeout_ms, json_t **ret, struct err *err)
{
	int r = ctl_ask(control, request, timeout_ms, ret, err);

	return r < 0 ? explain(control, r, err) : 0;
}

int call_query(const char *control, int timeout_ms, json_t **ret, struct err *err)
{
	json_t *answer = NULL;
	int r = call_server(control, json_pack("{s:s}", "cmd", "query"), timeout_ms, &answer, err);

	if (r == 0)
		r = ctl_refusal(answer, err);
	if (r < 0)
		json_decref(answer);
	else
		*ret = answer;
	return r;
}
