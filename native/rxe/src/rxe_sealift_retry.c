// SPDX-License-Identifier: GPL-2.0
/*
 * How a held queue pair puts its peer off, and for how long. An RNR NAK uses up
 * the peer's rnr_retry, silence its retry_cnt. Both ends of a connection are
 * nearly always set up the same, so the queue pair's own attributes stand for
 * the peer's. docs/adr/0018 has the reasons and the table.
 */
#include <linux/math64.h>
#include <linux/minmax.h>

#include "rxe.h"

/*
 * rxe takes a retry_cnt of 7 so, too. One that is larger, which modify_qp takes,
 * counts down to 7 and stays there.
 */
#define RXE_RETRY_FOREVER	7

/* IBA volume 1, 9.7.5.2.8, table "Encoding for RNR NAK Timer Field", in us */
static const u32 rxe_rnr_us[] = {
	655360, 10, 20, 30, 40, 60, 80, 120,
	160, 240, 320, 480, 640, 960, 1280, 1920,
	2560, 3840, 5120, 7680, 10240, 15360, 20480, 30720,
	40960, 61440, 81920, 122880, 163840, 245760, 327680, 491520,
};

/* What the peer is set up with. */
struct rxe_peer {
	u8	rnr_retry;
	u8	retry_cnt;
	u64	timeout_us;	/* 0: it waits for ever, and repeats nothing */
};

/*
 * The timer may have run when the hold began, so that the first expiry comes at
 * once. It is rounded down to jiffies of up to 10 ms.
 */
static u32 rxe_silence_budget(const struct rxe_peer *peer)
{
	u32 ms = div_u64(peer->timeout_us, 1000);

	if (!peer->timeout_us)
		return 0;
	if (peer->retry_cnt >= RXE_RETRY_FOREVER)
		return RXE_HOLD_NO_LIMIT;

	return peer->retry_cnt * rounddown(ms, 10);
}

/*
 * The peer's response timer goes on while it waits for an RNR timer. It is set
 * again with the next repetition, unless the RNR NAK to that comes first, which
 * happens on a busy machine. Each expiry costs a retry, at most one in a wait.
 */
static u32 rxe_expiry_budget(const struct rxe_peer *peer, u32 us)
{
	/* nobody misses it eight times in a row */
	bool is_often = peer->timeout_us >= 8ULL * (us + 10000);

	if (!peer->timeout_us || peer->retry_cnt >= RXE_RETRY_FOREVER || is_often)
		return RXE_HOLD_NO_LIMIT;
	/* the first expiry may come before the first RNR NAK */
	if (us >= peer->timeout_us)
		return peer->retry_cnt ? (peer->retry_cnt - 1) * us / 1000 : 0;

	return rxe_silence_budget(peer);
}

/* It gives up at the RNR NAK after the last one that it accepts. */
static u32 rxe_rnr_budget(const struct rxe_peer *peer, u8 timer)
{
	u32 us = rxe_rnr_us[timer];
	u32 naks = peer->rnr_retry >= RXE_RETRY_FOREVER ? RXE_HOLD_NO_LIMIT :
		   peer->rnr_retry * us / 1000;

	return min(naks, rxe_expiry_budget(peer, us));
}

/* The timer that lasts longest; @timer if it has no limit. */
static u8 rxe_best_timer(const struct rxe_peer *peer, u8 timer)
{
	u32 best = rxe_rnr_budget(peer, timer);
	u32 budget;
	u8 code;

	if (best == RXE_HOLD_NO_LIMIT)
		return timer;

	for (code = 0; code < ARRAY_SIZE(rxe_rnr_us); code++) {
		budget = rxe_rnr_budget(peer, code);
		if (budget < best ||
		    (budget == best && rxe_rnr_us[code] <= rxe_rnr_us[timer]))
			continue;
		best = budget;
		timer = code;
	}

	return timer;
}

bool rxe_hold_knows_peer(const struct rxe_qp *qp)
{
	enum ib_qp_state state = READ_ONCE(qp->attr.qp_state);

	return qp->ibqp.qp_type == IB_QPT_RC && state >= IB_QPS_RTS &&
	       state != IB_QPS_ERR;
}

void rxe_hold_choose(const struct rxe_qp *qp, u8 timer,
		     struct rxe_hold_answer *answer)
{
	const struct ib_qp_attr *attr = &qp->attr;
	struct rxe_peer peer;
	u32 silence;

	*answer = (struct rxe_hold_answer){
		.timer = timer,
		.budget_ms = RXE_HOLD_NO_LIMIT,
	};
	if (!rxe_hold_knows_peer(qp))
		return;

	peer = (struct rxe_peer){
		.rnr_retry = attr->rnr_retry,
		.retry_cnt = attr->retry_cnt,
		.timeout_us = attr->timeout ?
			div_u64(4096ULL << attr->timeout, 1000) : 0,
	};
	answer->timer = rxe_best_timer(&peer, timer);
	answer->budget_ms = rxe_rnr_budget(&peer, answer->timer);

	silence = rxe_silence_budget(&peer);
	if (silence > answer->budget_ms) {
		answer->is_silent = true;
		answer->budget_ms = silence;
	}
}

int rxe_hold_rnr_timer(const struct rxe_qp *qp)
{
	const struct rxe_hold *hold = &to_rdev(qp->ibqp.device)->hold;
	u8 timer = READ_ONCE(hold->timer);
	struct rxe_hold_answer answer;

	if (!READ_ONCE(hold->chooses))
		return timer;

	rxe_hold_choose(qp, timer, &answer);

	return answer.is_silent ? -1 : answer.timer;
}
