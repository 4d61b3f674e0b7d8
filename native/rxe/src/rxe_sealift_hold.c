// SPDX-License-Identifier: GPL-2.0
/*
 * Hold a device: its queue pairs put their peers off with RNR NAKs, send
 * nothing of their own and hear nothing, so that their state stands still.
 */
#include <linux/delay.h>
#include <linux/sched/signal.h>

#include "rxe.h"
#include "rxe_queue.h"

#define RXE_HOLD_DEFAULT_TIMER	20	/* 10.24 ms */

void rxe_hold_init(struct rxe_hold *hold)
{
	mutex_init(&hold->lock);
	hold->held = false;
	hold->timer = RXE_HOLD_DEFAULT_TIMER;
}

/*
 * The flag is set and both tasks have been seen at rest since: a later run of
 * them changes nothing any more. A task at rest may still owe a part of a READ
 * response, when it has used up its iterations and is scheduled again. The
 * repetition of one (replay) need not be waited for: the peer can ask again.
 */
static bool rxe_qp_has_settled(struct rxe_qp *qp)
{
	struct resp_res *res;

	if (!rxe_task_is_idle(&qp->send_task) ||
	    !rxe_task_is_idle(&qp->recv_task))
		return false;

	res = READ_ONCE(qp->resp.res);
	return !res || res->replay;
}

static int rxe_qp_settle(struct rxe_qp *qp, unsigned long deadline)
{
	while (!rxe_qp_has_settled(qp)) {
		if (time_after(jiffies, deadline))
			return -ETIMEDOUT;
		if (fatal_signal_pending(current))
			return -ERESTARTSYS;
		usleep_range(50, 200);
	}

	return 0;
}

int rxe_hold(struct rxe_dev *rxe, u8 timer, unsigned long timeout)
{
	struct rxe_hold *hold = &rxe->hold;
	unsigned long deadline = jiffies + timeout;
	bool was_held = hold->held;
	u8 old_timer = hold->timer;
	unsigned long index = 0;
	struct rxe_qp *qp;
	int err = 0;

	WRITE_ONCE(hold->timer, timer);
	WRITE_ONCE(hold->held, true);
	/* pairs with the task's lock, taken between two runs of a task */
	smp_mb();

	while (!err && (qp = rxe_pool_get_next(&rxe->qp_pool, &index))) {
		err = rxe_qp_settle(qp, deadline);
		rxe_put(qp);
	}

	if (!err)
		return 0;

	WRITE_ONCE(hold->timer, old_timer);
	if (!was_held)
		rxe_resume(rxe);

	return err;
}

/*
 * Responses were dropped and timers have run out meanwhile: repeat the oldest
 * request that has no answer, with the retry budget that was left.
 */
static void rxe_qp_prepare_resume(struct rxe_qp *qp)
{
	struct rxe_send_wqe *wqe;
	unsigned long flags;

	if (qp_type(qp) != IB_QPT_RC)
		return;

	timer_delete_sync(&qp->retrans_timer);
	timer_delete_sync(&qp->rnr_nak_timer);

	spin_lock_irqsave(&qp->state_lock, flags);
	if (qp->valid && qp_state(qp) >= IB_QPS_RTS &&
	    qp_state(qp) != IB_QPS_ERR) {
		qp->comp.timeout = 0;
		qp->comp.timeout_retry = 0;
		qp->req.wait_for_rnr_timer = 0;
		qp->req.wait_fence = 0;
		qp->req.wait_psn = 0;
		qp->req.need_rd_atomic = 0;

		wqe = queue_head(qp->sq.queue, QUEUE_TYPE_FROM_CLIENT);
		if (wqe && (wqe->state == wqe_state_processing ||
			    wqe->state == wqe_state_pending)) {
			qp->req.need_retry = 1;
			qp->comp.repeat_psn = qp->req.psn;
			qp->comp.repeats = queue_count(qp->sq.queue,
						       QUEUE_TYPE_FROM_CLIENT);
		}
	}
	spin_unlock_irqrestore(&qp->state_lock, flags);
}

void rxe_resume(struct rxe_dev *rxe)
{
	unsigned long index = 0;
	struct rxe_qp *qp;

	if (!rxe->hold.held)
		return;

	/* the tasks are still off: nothing races with this */
	while ((qp = rxe_pool_get_next(&rxe->qp_pool, &index))) {
		rxe_qp_prepare_resume(qp);
		rxe_put(qp);
	}

	WRITE_ONCE(rxe->hold.held, false);
	/* a task that runs already and saw the flag is made to run again */
	smp_mb();

	index = 0;
	while ((qp = rxe_pool_get_next(&rxe->qp_pool, &index))) {
		rxe_sched_task(&qp->recv_task);
		rxe_sched_task(&qp->send_task);
		rxe_put(qp);
	}
}
