/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two ends of a connection in one process, each with a device in a network
 * namespace of its own, so that a test says what happens when: what an end posts,
 * when a device is held, which end moves. Each operation has a place of its own at
 * the other end, where its effect shows, and whether it was done once.
 */
#ifndef MATCH_H
#define MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "endpoint.h"

#define MATCH_OPS	15	/* that one end posts, at most */
#define MATCH_DEPTH	7	/* of the send queue; the driver makes it a power of two less one */
#define MATCH_SLOT	4096
#define MATCH_BYTES	2500	/* of a message: three packets */
#define MATCH_INLINE	48
#define MATCH_RECV	(1ULL << 32) /* in the wr_id of receive requests */
#define MATCH_TIMEOUT	17	/* code of the ACK timeout */
#define MATCH_TIMEOUT_MS 537
#define MATCH_WAIT_MS	15000	/* no operation takes that long, on a slow machine either */

enum match_kind {
	MATCH_SEND, MATCH_SEND_IMM, MATCH_WRITE, MATCH_WRITE_IMM, MATCH_READ,
	MATCH_CAS, MATCH_ADD, MATCH_ATOMIC_WRITE, MATCH_FLUSH, MATCH_KINDS,
};

/* How the ends are made. */
enum match_trait {
	MATCH_SHARED = 1 << 0,		/* they receive from shared receive queues */
	MATCH_EXTENDED = 1 << 1,	/* they use the extended interfaces of verbs */
};

struct match_op {
	enum match_kind kind;
	int flags;		/* IBV_SEND_*, without SIGNALED */
	bool silent;		/* no completion */
	uint64_t result;	/* of an atomic: what it must have found */
};

/* What of an end the other end works on, and its own places. */
struct match_memory {
	uint64_t add, swap;
	uint8_t pad[MATCH_SLOT - 16];
	uint8_t target[MATCH_OPS][MATCH_SLOT];
	uint8_t source[MATCH_OPS][MATCH_SLOT];
	uint8_t recv[MATCH_OPS][MATCH_SLOT];
	uint8_t out[MATCH_OPS][MATCH_SLOT];
	uint8_t in[MATCH_OPS][MATCH_SLOT];
};

struct match_end {
	struct endpoint e;
	struct ibv_cq_ex *cq;	/* with MATCH_EXTENDED: that of e.cq */
	struct ibv_ah *ah;	/* UD: to the other end */
	struct match_memory *mem;
	bool held;
	/* what it has posted, and what has come of it */
	struct match_op op[MATCH_OPS];
	unsigned int posted, completed;
	/* receive requests, and messages that came */
	unsigned int recvs, received;
	bool failed;		/* it is in the error state: what completes is flushed */
};

struct match {
	struct match_end end[2];	/* the requester, the responder */
	enum ibv_qp_type type;
	unsigned int traits;		/* enum match_trait */
	unsigned int moving;		/* bit 0: the requester moves, bit 1: the responder */
	unsigned int moves;
	bool no_receives;		/* nobody posts receive requests yet */
	int silent;			/* the end that hears nothing */
};

struct match_place {
	const char *netns, *device;
};

extern struct match_place match_place[2];

/* All exit the process on failure, with a message that says what is wrong. */

/* Once, before processes are forked: enter the first namespace, and let libibverbs load its providers. */
void match_prepare(void);
/* Both ends with their objects, the queue pairs in RESET. */
void match_open(struct match *m, enum ibv_qp_type type, unsigned int traits,
		unsigned int moving);
/* Bring both queue pairs from RESET on to @state: INIT, RTR or RTS. */
void match_connect(struct match *m, enum ibv_qp_state from,
		   enum ibv_qp_state state);
void match_state(struct match *m, int end, enum ibv_qp_state state);
/* Wait for the event that the send queue in SQD is drained. */
void match_drained(const struct match *m, int end);
/* As many receive requests as there may be messages. */
void match_receives(struct match *m, int end);
/* Post one operation at @end. */
void match_post(struct match *m, int end, struct match_op op);
void match_posts(struct match *m, unsigned int n, struct match_op op);
/* With MATCH_EXTENDED: the same, but for the call that hands the request over. */
void match_begin(struct match *m, int end, struct match_op op);

void match_hold(struct match *m, int end);
void match_resume(struct match *m, int end);
/* Dump, destroy and restore what belongs to @end, which is held. */
void match_rebuild(struct match *m, int end);
/* Hold the ends that move, rebuild them, resume. What was held stays so. */
void match_move(struct match *m);
/* An end receives nothing until the other call. */
void match_silence(struct match *m, int end);
void match_hear(struct match *m);

/* match_completion.c */
/* Take a completion if there is one. Return: was there one? */
bool match_poll(struct match *m, int end);
/* What it has read is right. */
void match_take(struct match *m, int end, const struct ibv_wc *wc);
/* Until everything posted has completed, and every message has come. */
void match_wait(struct match *m);
/* What was done is right, and nothing else happens. */
void match_validate(struct match *m);

/* match.c */
void match_close(struct match *m);
/* After an end of the process in the middle: nothing is held or silent. */
void match_clean(void);

/* match_op.c */
const char *match_kind_name(enum match_kind kind);
/* It takes a receive request. */
bool match_is_message(enum match_kind kind);
/* @begin: not all of it, the last call is missing */
void match_op_post(struct match *m, int end, unsigned int nth, bool begin);
/* The effect at both ends of operation @nth of @end. */
void match_op_check(const struct match *m, int end, unsigned int nth);
/* A message has come: that of operation @nth. */
void match_op_received(const struct match *m, int end, unsigned int nth,
		       const struct ibv_wc *wc);

/* match_extended.c */
/* A queue pair that can post what ibv_post_send() cannot; with MATCH_EXTENDED its completion queue, too. */
void match_extend(struct match *m, int end, const struct ibv_qp_cap *cap);
void match_extended_begin(const struct match *m, int end,
			  const struct match_op *op,
			  const struct ibv_send_wr *wr);
void match_extended_complete(const struct match *m, int end);
/* The next completion, which stays in the queue until the other call. Return: is there one? */
bool match_extended_read(const struct match_end *own, struct ibv_wc *wc);
void match_extended_end(const struct match_end *own);

#endif /* MATCH_H */
