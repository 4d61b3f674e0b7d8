/* SPDX-License-Identifier: GPL-2.0 */
/* What the programmes of transcript.c work on, and how they post requests. */
#ifndef TRANSCRIPT_H
#define TRANSCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "endpoint.h"

#define SLOT		8192U
#define SLOTS		24		/* of each kind of memory */
#define DEPTH		15
#define BYTES		5000U		/* five packets */
#define INLINE		64U
#define RECV		(1ULL << 32)

struct memory {
	uint8_t out[SLOTS][SLOT];	/* what is sent */
	uint8_t in[SLOTS][SLOT];	/* what is read */
	uint8_t recv[SLOTS][SLOT];
	uint8_t target[SLOTS][SLOT];	/* what the other end works on */
};

struct side {
	struct endpoint e;
	struct memory *mem;
	unsigned int sends, recvs;	/* all that were posted */
	unsigned int awaited;		/* completions of requests to come */
	bool broken;
};

extern struct side side[2];

/* What can be wrong with a request. */
enum defect {
	NONE, BAD_LKEY, BAD_RKEY, BEHIND_END, BELOW_START, NO_RECEIVE,
	SHORT_RECEIVE, BAD_OPCODE, UNALIGNED, DEFECTS,
};

/* Post a request, and a receive request for it at the other end if it takes one. A defect that says nothing of @opcode is none. */
void post_request(int n, enum ibv_wr_opcode opcode, enum defect defect,
		  bool is_last);

#endif /* TRANSCRIPT_H */
