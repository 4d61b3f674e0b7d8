// SPDX-License-Identifier: GPL-2.0
/*
 * Hold a device: its queue pairs put their peers off with RNR NAKs or silence,
 * send no requests and drop responses, so that their state does not change.
 * Those of UD may receive all the same, until a second hold ends that.
 */
#include <linux/delay.h>
#include <linux/sched/signal.h>

#include "rxe.h"
#include "rxe_queue.h"

#define RXE_HOLD_DEFAULT_TIMER	20	/* 10.24 ms */
#define RXE_HOLD_MAX_RNR_WAIT	655360	/* us */

void rxe_hold_init(struct rxe_hold *hold)
{
	mutex_init(&hold->lock);
	hold->state = RXE_NOT_HELD;
	hold->timer = RXE_HOLD_DEFAULT_TIMER;
}

/*
 * Both tasks have been idle since the flag was set: a later run of them changes
 * no state. An idle task may still have a part of a READ response to send, if
 * it has used up its iterations and is scheduled again. HOLD waits for the
 * response to a new READ, unless that takes too long. It does not wait for a
 * repeated response: the peer can ask again. A queue pair in the error state or in RESET sends none.
 * The responder of a UD queue pair that still receives need not be idle.
 *
 * modify_qp may replace the replay cache: this reads no resource in it.
 */
static bool rxe_qp_has_settled(struct rxe_qp *qp, bool receives_ud)
{
	enum ib_qp_state state;
	unsigned long flags;

	if (!rxe_task_is_idle(&qp->send_task))
		return false;

	if (receives_ud && qp_type(qp) == IB_QPT_UD)
		return true;

	if (!rxe_task_is_idle(&qp->recv_task))
		return false;

	spin_lock_irqsave(&qp->state_lock, flags);
	state = qp_state(qp);
	spin_unlock_irqrestore(&qp->state_lock, flags);

	return state == IB_QPS_RESET || state == IB_QPS_ERR ||
	       !READ_ONCE(qp->resp.res) || READ_ONCE(qp->resp.replaying);
}

/* Keeps no reference while it sleeps: a destroy must not wait for a hold. */
int rxe_hold_settle(struct rxe_dev *rxe, unsigned long timeout)
{
	unsigned long deadline = jiffies + timeout;
	unsigned long cut = jiffies + timeout / 2;
	bool receives_ud = !rxe_is_held_fully(&rxe->hold);
	unsigned long index = 0;
	struct rxe_qp *qp;
	bool settled;
	int err = 0;

	while ((qp = rxe_pool_get_next(&rxe->qp_pool, &index))) {
		settled = rxe_qp_has_settled(qp, receives_ud);
		if (!settled)
			index = qp->elem.index;
		rxe_put(qp);
		if (settled)
			continue;

		if (time_after(jiffies, deadline)) {
			err = -ETIMEDOUT;
			break;
		}
		if (time_after(jiffies, cut))
			WRITE_ONCE(rxe->hold.cuts, true);
		if (fatal_signal_pending(current)) {
			err = -ERESTARTSYS;
			break;
		}
		usleep_range(50, 200);
	}
	WRITE_ONCE(rxe->hold.cuts, false);

	return err;
}

/*
 * The send tasks look at their queue pair, not at the device. One that is created
 * meanwhile is in RESET; one that modify_qp is at, under the same lock, sees the
 * device's state itself, or is seen here.
 */
static void rxe_hold_update(struct rxe_qp *qp)
{
	unsigned long flags;

	spin_lock_irqsave(&qp->state_lock, flags);
	rxe_qp_update_sends(qp);
	spin_unlock_irqrestore(&qp->state_lock, flags);
}

static void rxe_hold_update_all(struct rxe_dev *rxe)
{
	unsigned long index = 0;
	struct rxe_qp *qp;

	while ((qp = rxe_pool_get_next(&rxe->qp_pool, &index))) {
		rxe_hold_update(qp);
		rxe_put(qp);
	}
}

int rxe_hold(struct rxe_dev *rxe, enum rxe_hold_state state, u8 timer,
	     bool chooses, unsigned long timeout)
{
	struct rxe_hold *hold = &rxe->hold;
	u8 old_state = hold->state;
	u8 old_timer = hold->timer;
	bool old_chooses = hold->chooses;
	int err;

	WRITE_ONCE(hold->timer, timer);
	WRITE_ONCE(hold->chooses, chooses);
	WRITE_ONCE(hold->state, state);
	/* pairs with the task's lock, taken between two runs of a task */
	smp_mb();
	rxe_hold_update_all(rxe);

	err = rxe_hold_settle(rxe, timeout);
	if (!err)
		return 0;

	WRITE_ONCE(hold->timer, old_timer);
	WRITE_ONCE(hold->chooses, old_chooses);
	if (old_state == RXE_NOT_HELD)
		rxe_resume(rxe);
	else
		WRITE_ONCE(hold->state, old_state);

	return err;
}

/* An RNR wait continues in a hold. After its end the requester stays held. */
u32 rxe_hold_rnr_wait(struct rxe_qp *qp)
{
	unsigned long left = READ_ONCE(qp->rnr_nak_timer.expires) - jiffies;

	if (!timer_pending(&qp->rnr_nak_timer))
		return 0;

	return clamp_t(long, jiffies_to_usecs(clamp_t(long, left, 1, HZ)), 1,
		       RXE_HOLD_MAX_RNR_WAIT);
}

void rxe_hold_wait_for_rnr(struct rxe_qp *qp, u32 us)
{
	qp->req.wait_for_rnr_timer = 1;
	mod_timer(&qp->rnr_nak_timer, jiffies + usecs_to_jiffies(us));
}

/*
 * Responses were dropped and timers have run out meanwhile: repeat the oldest
 * request that has no answer, with the retry budget that was left, or after the
 * wait that the peer has asked for.
 */
static void rxe_qp_prepare_resume(struct rxe_qp *qp)
{
	struct rxe_send_wqe *wqe;
	unsigned long flags;

	if (qp_type(qp) != IB_QPT_RC)
		return;

	timer_delete_sync(&qp->retrans_timer);

	spin_lock_irqsave(&qp->state_lock, flags);
	if (qp->valid && qp_state(qp) >= IB_QPS_RTS &&
	    qp_state(qp) != IB_QPS_ERR) {
		qp->comp.timeout = 0;
		qp->comp.timeout_retry = 0;
		qp->req.wait_for_rnr_timer = timer_pending(&qp->rnr_nak_timer);
		qp->req.wait_fence = 0;
		qp->req.wait_psn = 0;
		qp->req.need_rd_atomic = 0;

		wqe = queue_head(qp->sq.queue, QUEUE_TYPE_FROM_CLIENT);
		if (wqe && (wqe->state == wqe_state_processing ||
			    wqe->state == wqe_state_pending)) {
			/*
			 * else rnr_nak_timer() does so at the end of the wait.
			 * A peer that has ended the connection is not asked
			 * again, and the NAK is obeyed by what was sent.
			 */
			if (!qp->req.wait_for_rnr_timer &&
			    !qp->comp.nak_syndrome)
				qp->req.need_retry = 1;
			qp->comp.repeat_psn = qp->req.psn;
			qp->comp.repeats = queue_count(qp->sq.queue,
						       QUEUE_TYPE_FROM_CLIENT);
		}
	}
	spin_unlock_irqrestore(&qp->state_lock, flags);

	/* one that runs just now asks for the same retry: let it do so now */
	if (!qp->req.wait_for_rnr_timer)
		timer_delete_sync(&qp->rnr_nak_timer);
}

void rxe_resume(struct rxe_dev *rxe)
{
	unsigned long index = 0;
	struct rxe_qp *qp;

	if (!rxe_is_held(&rxe->hold))
		return;

	/* the device is still held: no task changes these fields */
	while ((qp = rxe_pool_get_next(&rxe->qp_pool, &index))) {
		rxe_qp_prepare_resume(qp);
		rxe_put(qp);
	}

	WRITE_ONCE(rxe->hold.state, RXE_NOT_HELD);
	/* a task that runs and has seen it held must run again */
	smp_mb();

	index = 0;
	while ((qp = rxe_pool_get_next(&rxe->qp_pool, &index))) {
		rxe_hold_update(qp);
		rxe_sched_task(&qp->recv_task);
		rxe_sched_task(&qp->send_task);
		rxe_put(qp);
	}
}
