/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What to do next to have a node's outlets off, on, or known; and the only place that says success.
 *
 * A node has outlets on PDUs ("lanes"). Each lane has one request under way at most; lanes work at
 * the same time. OFF, of each lane: identify (its sysObjectID is the profile's, else nothing is
 * ever set there), look once for the record, cancel what is pending, set off every outlet even if
 * it reads off, then read until all are as wanted:
 *
 *	reads OUTLET_OFF, after a set that was acknowledged, after a cancel that was acknowledged.
 *
 * When all lanes are there: a sweep, each lane is read once more, by requests that began after the
 * last request of any lane that could change something had ended. All as wanted: further sweeps
 * through the dwell, a second at most apart, the last one begun after its end: done. What reads
 * otherwise in a sweep ends it and the dwell, and is set off again at once.
 *
 * What fails is tried again until the deadline; what is off stays off; nothing is ever set on by a
 * plan that is to set off. At the deadline: failure, with each outlet's last state. No answer, a
 * PDU that cannot be reached, an odd value, a wrong type: failure, never "already off". A PDU that
 * is not the one it should be is final: success is impossible then, and it is failure as soon as
 * all other lanes are as wanted.
 *
 * Times: a read follows a set at once, then after 20 ms, doubling to 250 ms. What was set and does
 * not become as wanted is set again after 2 s, then 4 s, then every 8 s (a PDU that takes its time
 * may begin anew with each set); if the set got no answer, after 100 ms. A lane without an answer
 * is asked again after 100 ms, doubling to 1 s; from the second time in a row on it is begun with
 * anew, as the PDU may have restarted. A lane that waits for others is read every 2 s.
 *
 * CYCLE (reboot) is OFF, pause, ON; it has succeeded when the off half has, and ON_FAILED says
 * whether on came. The PDU's own reboot is never used. ON is one sweep without a dwell. READ reads
 * once (retried until the deadline) and sets nothing; it succeeds when all outlets could be read,
 * whatever they are. TEST proves that outlets could be switched without switching them: identify,
 * read, cancel (what has no cancel is believed); every outlet must read on or off and idle. What is
 * pending is left alone, and is a failure. Neither waits for the deadline with a key that is wrong.
 *
 * Pure: events with their time go in, steps come out; the caller carries them out.
 */
#ifndef STONITH_FENCE_H
#define STONITH_FENCE_H

#include "profile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FENCE_LANES_MAX = 8, FENCE_OUTLETS_MAX = 32 };

#define FENCE_NEVER UINT64_MAX

enum fence_goal { FENCE_OFF, FENCE_ON, FENCE_CYCLE, FENCE_READ, FENCE_TEST, FENCE_GOALS };

/* Does it switch anything? */
static inline bool fence_goal_switches(enum fence_goal goal)
{
	return goal == FENCE_OFF || goal == FENCE_ON || goal == FENCE_CYCLE;
}

enum fence_op {
	FENCE_IDENTIFY, /* GET sysObjectID: fence_identified() */
	FENCE_CANCEL,   /* SET all of profile_cancels() of the outlet: fence_done() */
	FENCE_SET_OFF,  /* SET: fence_done() */
	FENCE_SET_ON,
	FENCE_READ_ALL, /* GET all outlets of the lane: fence_read() */
};

/* Why a request came to nothing. */
enum fence_fault {
	FENCE_NO_FAULT,
	FENCE_SILENT,       /* no answer in time */
	FENCE_UNREACHABLE,  /* the network says so */
	FENCE_AUTH,         /* SNMPv3: wrong user, key, or context */
	FENCE_READ_ONLY,    /* noAccess, notWritable, readOnly, authorizationError ... to a SET */
	FENCE_REFUSED,      /* any other SNMP error */
	FENCE_BROKEN,       /* the answer made no sense, or our helper died */
	FENCE_WRONG_SYSTEM, /* sysObjectID is not the profile's; final */
	FENCE_FAULTS,
};

struct fence_outlet {
	uint8_t lane;
	/* Before anything was set, UNKNOWN if it was not to be had; and the last reading. */
	enum outlet_state before, last;
	int32_t before_value, last_value;
	enum fence_fault fault; /* of the last SET of it; cleared when all of them succeeded */
	bool set;               /* off (or on) was set, and acknowledged */
	bool has_cancel;
	bool cancelled;               /* acknowledged */
	bool cancel_tried, set_tried; /* in this round; whatever came of it */
	uint32_t read_id;             /* request of the last reading, 0 = none */
};

enum fence_phase { /* of a lane */
	FENCE_IDENTIFYING,
	FENCE_LOOKING, /* for the record */
	FENCE_CANCELLING,
	FENCE_SETTING,
	FENCE_READING,  /* until as wanted */
	FENCE_ARRIVED,  /* as wanted when last read; waits for the others */
	FENCE_SWEEPING, /* to be read once more, for all */
	FENCE_SWEPT,    /* as wanted in this sweep */
	FENCE_FAILED,   /* for good */
};

struct fence_lane {
	enum fence_phase phase;
	enum fence_fault fault; /* of its last request; an answer of any kind clears it */
	bool busy;              /* a request is under way */
	enum fence_op op;       /* that one, or the last */
	uint8_t outlet;         /* that one's: of CANCEL, SET_... */
	bool looked;            /* for the record */
	bool lost;              /* in this round something set got no answer */
	uint32_t id;            /* that one's */
	uint64_t again;         /* ms: when to go on, while not busy */
	uint64_t round_again;   /* ms: READING: when to set again */
	uint32_t round_gap;     /* ms: that was waited for; 0 = this round is the first */
	uint32_t poll_gap;      /* ms */
	unsigned tries;         /* in a row without an answer */
	uint8_t first, count;   /* its outlets */
};

struct fence_times {
	uint64_t deadline; /* ms, of the clock that events have; of both halves together */
	uint64_t dwell;    /* ms between the first sweep and the last */
	uint64_t on_pause; /* ms between off and on of a CYCLE */
};

enum fence_verdict { FENCE_WORKING, FENCE_SUCCESS, FENCE_FAILURE };

struct fence {
	enum fence_goal goal;
	bool turning_on; /* second half of a CYCLE, or ON */
	bool on_failed;  /* CYCLE: off was verified, on was not; it is success all the same */
	enum fence_verdict verdict;
	struct fence_times times;
	struct fence_lane lanes[FENCE_LANES_MAX];
	struct fence_outlet outlets[FENCE_OUTLETS_MAX]; /* of one lane side by side */
	size_t lane_count, outlet_count;
	uint64_t off_at;      /* ms: when off was certain; 0 = not yet, or not asked for */
	uint32_t last_id;     /* of a request; they are numbered through from 1 */
	uint32_t last_change; /* id of the last request that could change something */
	uint32_t sweep_from; /* id from which on requests belong to this sweep; 0 = there is none */
	unsigned sweeps;     /* whole ones since then, all as wanted */
	uint64_t sweep_began; /* ms */
	uint64_t sweep_again; /* ms: not before */
	uint64_t dwell_until; /* ms; while SWEEPS > 0 */
};

struct fence_step {
	uint32_t id; /* to be handed back with its result */
	uint8_t lane;
	enum fence_op op;
	uint8_t outlet; /* CANCEL, SET_...: into fence.outlets */
};

struct fence_steps {
	uint64_t due; /* ms: when fence_tick() is to be called at the latest, or FENCE_NEVER */
	size_t count;
	struct fence_step step[FENCE_LANES_MAX];
};

/*
 * LANES: of each outlet, ascending from 0 without gaps. HAS_CANCEL: of each outlet, has its profile
 * one? What makes no sense (no outlets, too many) is FENCE_FAILURE from the start.
 */
void fence_init(struct fence *f, enum fence_goal goal, const struct fence_times *times,
	const uint8_t *lanes, const bool *has_cancel, size_t outlets);

/*
 * The rest are events. NOW never goes back. Each overwrites *OUT with what is to be done now; with
 * the verdict there is nothing more to be done. Look at f->verdict after each.
 */

/* Also the first call. */
void fence_tick(struct fence *f, uint64_t now, struct fence_steps *out);

/*
 * Results of the lane's request ID, which is over with that; of any other request they are ignored.
 * A request is over when nothing of it is on its way any more, as far as we know.
 */
void fence_identified(struct fence *f, uint8_t lane, uint32_t id, bool right, uint64_t now,
	struct fence_steps *out);
void fence_done(struct fence *f, uint8_t lane, uint32_t id, uint64_t now, struct fence_steps *out);
/* COUNT states, and values as read, of the lane's outlets in their order; another count is BROKEN.
 */
void fence_read(struct fence *f, uint8_t lane, uint32_t id, const enum outlet_state *states,
	const int32_t *values, size_t count, uint64_t now, struct fence_steps *out);
/* Of an IDENTIFY, FENCE_WRONG_SYSTEM is final. */
void fence_failed(struct fence *f, uint8_t lane, uint32_t id, enum fence_fault fault, uint64_t now,
	struct fence_steps *out);

/* What the outlets are together; what was read of a lane that does not answer now is not known. */
enum fence_power {
	FENCE_POWER_OFF,     /* every one was off when last read */
	FENCE_POWER_ON,      /* at least one is on: the node may run */
	FENCE_POWER_UNKNOWN, /* none is known to be on, not all are known to be off */
};
enum fence_power fence_power(const struct fence *f);

/* "no answer", "wrong user or key" ... */
const char *fence_fault_text(enum fence_fault fault);

#endif
