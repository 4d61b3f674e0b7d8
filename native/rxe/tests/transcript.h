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
#define DATAGRAM_BYTES	3000U		/* one packet, with what stands before it */
#define INLINE		64U
#define MOST		7		/* requests of a step */
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
	struct ibv_ah *ah;		/* UD: to the other end */
	unsigned int sends, recvs;	/* all that were posted */
	unsigned int left;		/* receive requests that nothing has taken */
	unsigned int awaited;		/* completions of requests to come */
	unsigned int awaited_recvs;	/* datagrams to come: nobody acknowledges them */
	bool broken;			/* begin again */
	bool ended;			/* it has said that its last request is reached */
};

extern struct side side[2];

/* What can be wrong with a request. */
enum defect {
	NONE, BAD_LKEY, BAD_RKEY, BEHIND_END, BELOW_START, NO_RECEIVE,
	SHORT_RECEIVE, BAD_OPCODE, UNALIGNED, BAD_QKEY, BAD_QPN, TOO_LONG,
	DEFECTS,
};

/* transcript_post.c: post a request, and a receive request for it at the other end if it takes one. A defect that says nothing of @opcode is none. */
void post_request(int n, enum ibv_wr_opcode opcode, enum defect defect,
		  bool is_last);

/* transcript_side.c */
/* Both ends, with queue pairs in RESET. @shared: they receive from shared receive queues */
void open_sides(char **device, enum ibv_qp_type type, bool shared);
void connect_side(int n, uint8_t rnr_retry);
void close_sides(void);
/* Of all that an end may work on, but for the IP headers of datagrams. */
uint32_t sum_of_memory(int n);
/* Ask for an event, or change the size, of the shared receive queue. */
void change_shared(int n);

#endif /* TRANSCRIPT_H */
