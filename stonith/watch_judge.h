/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an audit saw, and what is to be found in it (watch_find.h). Pure. Each question is answered
 * yes, no, or "cannot be told": of a PDU that does not answer, what was found of its outlets
 * neither begins nor ends.
 */
#ifndef STONITH_WATCH_JUDGE_H
#define STONITH_WATCH_JUDGE_H

#include "config.h"
#include "fence.h"
#include "lane.h"
#include "survey.h"
#include "watch_find.h"

struct watch_judge_pdu {
	const struct config_pdu *config;
	enum fence_fault fault; /* why nothing is known of it; FENCE_NO_FAULT = it answers */
	char why[LANE_WHY_MAX];
	bool writes;    /* a command was acknowledged */
	bool read_only; /* one was refused for want of rights */
};

struct watch_judge_outlet {
	const struct config_outlet *config;
	bool own;    /* of the host that we run on */
	bool tested; /* the rest is of the last audit of its PDU */
	enum outlet_state state;
	int32_t value;
	enum fence_fault fault; /* of the harmless command */
	char why[LANE_WHY_MAX];
	bool has_name; /* NAME is what the PDU calls it */
	char name[SURVEY_NAME_MAX];
};

/* TEXT: filled with WATCH_YES, of WATCH_FIND_TEXT_MAX bytes. */
enum watch_find_verdict watch_judge_pdu(
	enum watch_find_kind kind, const struct watch_judge_pdu *p, char *text);

/* ALL: the outlets of the node that outlet I of them belongs to. */
enum watch_find_verdict watch_judge_outlet(enum watch_find_kind kind,
	const struct watch_judge_outlet *all, size_t count, size_t i, const char *node, char *text);

#endif
