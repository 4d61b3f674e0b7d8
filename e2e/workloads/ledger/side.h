/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One side of a run and its parts: opening it and meeting the peer (opening.c), taking completions
 * (completions.c), closing the books with the peer (closing.c). run.c is the loop over them.
 */
#ifndef LEDGER_SIDE_H
#define LEDGER_SIDE_H

#include <time.h>

#include "control.h"
#include "run.h"

#define SECOND 1000000000LL

enum phase { RUNNING, DRAINING, CLOSING, SUMMING, DONE };

struct run {
	const struct settings *s;
	struct endpoint endpoint;
	struct control control;
	struct lane *lanes;
	struct tally tally, result;
	struct pulse pulse;
	enum phase phase;
	bool peer_drained;
	bool stop; /* asked for here or by the peer */
	bool summed;
	bool blocked; /* rounds are due, and every window is full */
	unsigned int peer_lanes; /* whose totals have come */
	uint64_t beats_sent, issued;
	struct book beats;
	int64_t next_round, next_beat, next_flush, last_progress, last_event;
	uint64_t progress;
	unsigned int turn;
};

int64_t clock_ns(clockid_t id);
/* Says on stderr what could not be done, and returns @err, which is -errno. */
int broke(const char *what, int err);

/* Opens the device and all lanes. Returns 0 or -errno. */
int open_all(struct run *r);
/* Meets the peer over TCP and connects every lane to its own. Returns 0 or -errno. */
int connect_all(struct run *r);

/* Takes what both queues hold. Returns the number of completions, or -errno. */
int reap_all(struct run *r);
/* Takes completions that an event told of, and looks for a lost one when none came for long. */
int handle_completions(struct run *r, int64_t now);

/* Takes every line that the peer has sent. Returns 0 or -errno. */
int handle_control(struct run *r);
/* Moves from one phase of the end to the next when its condition is met. Returns 0 or -errno. */
int advance(struct run *r);

#endif
