/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of this side of a run, on which four files work: opening.c opens it and meets the peer,
 * schedule.c does what is due by the clock, completions.c takes completions, closing.c takes the
 * peer's lines and ends the run. run.c is the loop over them.
 */
#ifndef LEDGER_SIDE_H
#define LEDGER_SIDE_H

#include "control.h"
#include "datagrams.h"
#include "settings.h"

enum phase { RUNNING, DRAINING, CLOSING, SUMMING, DONE };

struct side {
	const struct settings *settings;
	struct endpoint endpoint;
	struct control control;
	struct stream *streams;
	struct datagrams datagrams;
	struct tally tally, result;
	struct pulse pulse;
	enum phase phase;
	bool peer_drained;
	bool stop; /* asked for here or by the peer */
	bool summed;
	bool blocked; /* rounds are due, and every window is full */
	unsigned int peer_streams; /* whose totals have come */
	uint64_t beats_sent, issued;
	struct book beats;
	int64_t next_round, next_beat, next_flush, last_progress, last_event;
	uint64_t progress;
	unsigned int turn;
};

#endif
