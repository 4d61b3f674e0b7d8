// SPDX-License-Identifier: GPL-2.0
/*
 * The NAK that ends a connection: the peer sends it once, and nothing after it.
 * A held queue pair keeps it. What comes after the dump of its queue pair goes
 * to the restored one by itself.
 */
#include <linux/jiffies.h>
#include <linux/rcupdate.h>

#include "rxe_sealift.h"
#include "rxe_queue.h"

#define RXE_NAK_SETTLE_MS	1000

static bool rxe_nak_ends(u32 syndrome)
{
	return syndrome == AETH_NAK_INVALID_REQ ||
	       syndrome == AETH_NAK_REM_ACC_ERR ||
	       syndrome == AETH_NAK_REM_OP_ERR;
}

/* Has a request with this PSN been sent that has no answer yet? */
static bool rxe_nak_is_awaited(struct rxe_qp *qp, u32 psn)
{
	return psn_compare(psn, qp->comp.psn) >= 0 &&
	       psn_compare(psn, qp->req.psn) < 0 &&
	       queue_head(qp->sq.queue, QUEUE_TYPE_FROM_CLIENT);
}

/*
 * A held completer drops every other response: the peer sends it again when the
 * request is repeated.
 */
void rxe_hold_keep_nak(struct rxe_qp *qp, const struct rxe_pkt_info *pkt)
{
	u8 syndrome;

	if (pkt->opcode != IB_OPCODE_RC_ACKNOWLEDGE || qp->comp.nak_syndrome)
		return;

	syndrome = aeth_syn((struct rxe_pkt_info *)pkt);
	if (!rxe_nak_ends(syndrome) || !rxe_nak_is_awaited(qp, pkt->psn))
		return;

	qp->comp.nak_psn = pkt->psn;
	qp->comp.nak_syndrome = syndrome;
}

/* The caller has qp->state_lock. */
static bool rxe_nak_is_obeyed(struct rxe_qp *qp)
{
	return qp->valid && qp_type(qp) == IB_QPT_RC &&
	       (qp_state(qp) == IB_QPS_RTS || qp_state(qp) == IB_QPS_SQD);
}

static bool rxe_nak_dump_qp(struct rxe_qp *qp, struct sealift_rxe_nak *out)
{
	unsigned long flags;
	bool kept;

	spin_lock_irqsave(&qp->state_lock, flags);
	kept = rxe_nak_is_obeyed(qp) && qp->comp.nak_syndrome;
	if (kept) {
		out->qpn = qp_num(qp);
		out->psn = qp->comp.nak_psn;
		out->syndrome = qp->comp.nak_syndrome;
	}
	spin_unlock_irqrestore(&qp->state_lock, flags);

	return kept;
}

int rxe_naks_settle(struct rxe_dev *rxe)
{
	/* whoever receives a packet just now queues it before this returns */
	synchronize_rcu_expedited();

	return rxe_hold_settle(rxe, msecs_to_jiffies(RXE_NAK_SETTLE_MS));
}

u32 rxe_naks_dump(struct rxe_dev *rxe, struct sealift_rxe_nak *naks, u32 max)
{
	struct sealift_rxe_nak nak = {};
	unsigned long index = 0;
	struct rxe_qp *qp;
	u32 count = 0;

	while ((qp = rxe_pool_get_next(&rxe->qp_pool, &index))) {
		if (rxe_nak_dump_qp(qp, &nak) && count++ < max)
			naks[count - 1] = nak;
		rxe_put(qp);
	}

	return count;
}

int rxe_nak_restore(struct rxe_dev *rxe, const struct sealift_rxe_nak *in)
{
	unsigned long flags;
	struct rxe_qp *qp;
	int err = 0;

	if (in->reserved || in->psn > BTH_PSN_MASK ||
	    !rxe_nak_ends(in->syndrome))
		return -EINVAL;

	qp = rxe_pool_get_index(&rxe->qp_pool, in->qpn);
	if (!qp)
		return -ENOENT;

	spin_lock_irqsave(&qp->state_lock, flags);
	if (!rxe_nak_is_obeyed(qp) || !rxe_nak_is_awaited(qp, in->psn)) {
		err = -EINVAL;
	} else if (!qp->comp.nak_syndrome) {
		qp->comp.nak_psn = in->psn;
		qp->comp.nak_syndrome = in->syndrome;
	}
	spin_unlock_irqrestore(&qp->state_lock, flags);
	rxe_put(qp);

	return err;
}
