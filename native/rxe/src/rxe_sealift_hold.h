/* SPDX-License-Identifier: GPL-2.0 */
/* The hold of a device. */
#ifndef RXE_SEALIFT_HOLD_H
#define RXE_SEALIFT_HOLD_H

#include <linux/mutex.h>
#include <linux/types.h>

struct rxe_dev;
struct rxe_pkt_info;
struct rxe_qp;

enum rxe_hold_state {
	RXE_NOT_HELD,
	RXE_HELD_BUT_UD,	/* UD queue pairs receive */
	RXE_HELD,
};

/* Part of struct rxe_dev. */
struct rxe_hold {
	struct mutex	lock;	/* serialises hold, resume, dump and restore */
	u8		state;	/* enum rxe_hold_state */
	u8		timer;	/* RNR timer code that a held responder sends */
	bool		chooses; /* each queue pair how to put its peer off */
	bool		cuts;	/* long responses, as they keep it from settling */
};

#define RXE_HOLD_NO_LIMIT	U32_MAX

/* How a held queue pair puts its peer off. */
struct rxe_hold_answer {
	bool	is_silent;	/* else RNR NAK */
	u8	timer;		/* RNR timer code */
	u32	budget_ms;	/* how long the peer retries, or NO_LIMIT */
};

void rxe_hold_init(struct rxe_hold *hold);

/* The tasks read it without a lock: rxe_hold() waits for those that run. */
static inline bool rxe_is_held(const struct rxe_hold *hold)
{
	return READ_ONCE(hold->state) != RXE_NOT_HELD;
}

/* Is the rest of a READ's response to be asked for again? */
static inline bool rxe_hold_cuts(const struct rxe_hold *hold)
{
	return READ_ONCE(hold->cuts);
}

/* Nothing changes: objects can be dumped and restored. */
static inline bool rxe_is_held_fully(const struct rxe_hold *hold)
{
	return READ_ONCE(hold->state) == RXE_HELD;
}

/*
 * rxe_hold - hold all queue pairs of a device, present and future
 * @state: RXE_HELD or RXE_HELD_BUT_UD
 * @timer: RNR timer code, 0..31
 * @chooses: queue pairs choose between RNR NAK and silence
 * @timeout: how long to wait for them to settle, in jiffies. When half of it is
 *   over the rest of long READ responses is dropped.
 *
 * Context: process context, caller holds hold.lock.
 * Return: 0; -ETIMEDOUT or -ERESTARTSYS, then the device is as it was before.
 */
int rxe_hold(struct rxe_dev *rxe, enum rxe_hold_state state, u8 timer,
	     bool chooses, unsigned long timeout);

/*
 * Wait until the queue pairs of a held device have looked at what was received.
 *
 * Context: process context, caller holds hold.lock.
 * Return: 0; -ETIMEDOUT; -ERESTARTSYS
 */
int rxe_hold_settle(struct rxe_dev *rxe, unsigned long timeout);

/*
 * rxe_resume - end a hold
 *
 * Context: process context, caller holds hold.lock.
 */
void rxe_resume(struct rxe_dev *rxe);

/*
 * rxe_sealift_retry.c
 * Whether @qp has the attributes that tell how long its peer retries: those of
 * an RC queue pair that may send.
 */
bool rxe_hold_knows_peer(const struct rxe_qp *qp);
/*
 * rxe_hold_choose - what a queue pair chooses in a hold
 * @timer: RNR timer code for a peer without a limit
 *
 * Without the attributes: RNR NAK with @timer, no limit. Context: any.
 */
void rxe_hold_choose(const struct rxe_qp *qp, u8 timer,
		     struct rxe_hold_answer *answer);
/* RNR timer code of a held responder's answer to a new request; -1: silence */
int rxe_hold_rnr_timer(const struct rxe_qp *qp);

/* The rest of a held queue pair's RNR wait, in us; 0: no wait. */
u32 rxe_hold_rnr_wait(struct rxe_qp *qp);
/* Start the rest of a restored queue pair's RNR wait. */
void rxe_hold_wait_for_rnr(struct rxe_qp *qp, u32 us);

/*
 * rxe_sealift_nak.c
 * rxe_hold_keep_nak - keep a response that a held completer drops, if the peer
 * does not send it again
 *
 * Context: the send task, under state_lock.
 */
void rxe_hold_keep_nak(struct rxe_qp *qp, const struct rxe_pkt_info *pkt);

#endif /* RXE_SEALIFT_HOLD_H */
