// SPDX-License-Identifier: GPL-2.0
/*
 * The requests in an image's rings, in the kernel's copy. User space has the
 * rings themselves mapped and may write to them at any time, so the tasks trust
 * nothing in them. These checks find images that were altered on the way.
 */
#include "rxe_sealift.h"
#include "rxe_sealift_invariants.h"
#include "rxe_queue.h"

static bool is_psn(u32 psn)
{
	return psn <= RXE_IMAGE_PSN_MAX;
}

/* The geometry in the copy's header is not believed. */
static const void *rxe_check_addr(const struct rxe_queue *q,
				  const struct rxe_queue_buf *buf, u32 index)
{
	return buf->data + ((size_t)(index & q->index_mask) <<
			    q->log2_elem_size);
}

/* Is @psn one of @wqe's, or the one after them? */
static bool is_psn_of(const struct rxe_send_wqe *wqe, u32 psn)
{
	return psn_compare(psn, wqe->first_psn) >= 0 &&
	       psn_compare(psn, (wqe->last_psn + 1) & BTH_PSN_MASK) <= 0;
}

/* @sent: the requester has sent this one, and waits for the answer */
static int rxe_check_send_wqe(struct rxe_qp *qp,
			      const struct rxe_send_wqe *wqe, bool sent)
{
	unsigned int mask;

	if (wqe->wr.opcode > IB_WR_ATOMIC_WRITE)
		return -EINVAL;

	mask = wr_opcode_mask(wqe->wr.opcode, qp);
	if (!mask)
		return -EINVAL;

	switch (wqe->state) {
	case wqe_state_posted:
		/* the driver has not read it yet */
		if (sent)
			return -EINVAL;
		break;
	case wqe_state_processing:
		if (sent)
			return -EINVAL;
		fallthrough;
	case wqe_state_pending:
	case wqe_state_done:
	case wqe_state_error:
		if (wqe->state == wqe_state_error &&
		    wqe->status == IB_WC_SUCCESS)
			return -EINVAL;
		if (wqe->mask != mask)
			return -EINVAL;
		/* a datagram is sent in one go, and has no answer */
		if (qp_type(qp) == IB_QPT_UD &&
		    (wqe->state == wqe_state_processing ||
		     wqe->state == wqe_state_pending))
			return -EINVAL;
		/* local operations (bind, invalidate) have no PSNs */
		if (!(mask & WR_LOCAL_OP_MASK) &&
		    (!is_psn(wqe->first_psn) || !is_psn(wqe->last_psn) ||
		     psn_compare(wqe->first_psn, wqe->last_psn) > 0))
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}

	if (wqe->has_rd_atomic > 1)
		return -EINVAL;

	/* local operations move no data */
	if (mask & WR_LOCAL_OP_MASK)
		return 0;

	if (wqe->dma.num_sge > qp->sq.max_sge)
		return -EINVAL;

	if (wqe->wr.send_flags & IB_SEND_INLINE) {
		if (wqe->dma.length > qp->sq.max_inline ||
		    wqe->dma.resid > wqe->dma.length ||
		    wqe->dma.sge_offset > qp->sq.max_inline)
			return -EINVAL;
		return 0;
	}

	/* its data is in the request itself */
	if (wqe->wr.opcode == IB_WR_ATOMIC_WRITE)
		return wqe->dma.resid > wqe->dma.length ? -EINVAL : 0;

	/* a FLUSH moves data at the peer only */
	if (wqe->wr.opcode == IB_WR_FLUSH)
		return 0;

	/* no longer message has been sent; one that is posted fails later */
	if (wqe->state != wqe_state_posted &&
	    wqe->state != wqe_state_error &&
	    wqe->dma.length > RXE_PORT_MAX_MSG_SZ)
		return -EINVAL;

	return rxe_check_dma(wqe->dma.length, wqe->dma.resid, wqe->dma.cur_sge,
			     wqe->dma.num_sge, wqe->dma.sge_offset,
			     wqe->dma.sge);
}

static bool is_under_way(const struct rxe_send_wqe *wqe)
{
	return wqe->state == wqe_state_processing ||
	       wqe->state == wqe_state_pending;
}

/* The oldest request, the one being sent, and the fields about them. */
static int rxe_check_ends(const struct rxe_queue *q,
			  const struct rxe_queue_buf *buf, u32 count, u32 sent,
			  const struct sealift_rxe_qp *in)
{
	const struct rxe_send_wqe *head, *next;

	head = rxe_check_addr(q, buf, in->sq.index);
	next = rxe_check_addr(q, buf, in->req.wqe_index);

	/* only a READ has a response of several packets, and only the oldest */
	if (in->comp.opcode != SEALIFT_RXE_NONE &&
	    (!count || (head->wr.opcode != IB_WR_RDMA_READ &&
			head->wr.opcode != IB_WR_RDMA_READ_WITH_INV)))
		return -EINVAL;

	/* an RNR wait and a NAK concern a request */
	if ((in->comp.rnr_wait || in->comp.nak_syndrome) && !count)
		return -EINVAL;

	if (count && is_under_way(head) && !is_psn_of(head, in->comp.psn))
		return -EINVAL;

	/* one without an unacknowledged PSN: a retry would begin behind it */
	if (count && is_under_way(head) && head->mask & WR_WRITE_OR_SEND_MASK &&
	    psn_compare(in->comp.psn, head->last_psn) > 0)
		return -EINVAL;

	if (sent < count && next->state == wqe_state_processing &&
	    in->state == IB_QPS_RTS && !is_psn_of(next, in->req.psn))
		return -EINVAL;

	return 0;
}

int rxe_check_sq_ring(struct rxe_qp *qp, const struct rxe_queue_buf *buf,
		      const struct sealift_rxe_qp *in)
{
	const struct rxe_queue *q = qp->sq.queue;
	u32 prod = buf->producer_index;
	u32 cons = in->sq.index;
	u32 sent, i, count, reads = in->req.rd_atomic;
	const struct rxe_send_wqe *wqe;

	if (prod > q->index_mask || buf->consumer_index != cons)
		return -EINVAL;

	count = (prod - cons) & q->index_mask;
	sent = (in->req.wqe_index - cons) & q->index_mask;
	if (sent > count)
		return -EINVAL;

	for (i = 0; i < count; i++) {
		wqe = rxe_check_addr(q, buf, cons + i);
		if (rxe_check_send_wqe(qp, wqe, i < sent))
			return -EINVAL;
		reads += wqe->has_rd_atomic;
	}

	if (in->state < IB_QPS_RTS || in->state == IB_QPS_ERR)
		return 0;

	/* those under way and those that may still be sent */
	if (reads > in->attr.max_rd_atomic)
		return -EINVAL;

	return rxe_check_ends(q, buf, count, sent, in);
}

int rxe_check_recv_ring(const struct rxe_queue *q,
			const struct rxe_queue_buf *buf, u32 index, u32 max_sge)
{
	u32 prod = buf->producer_index;
	const struct rxe_recv_wqe *wqe;
	u32 i, count;

	if (prod > q->index_mask || buf->consumer_index != index)
		return -EINVAL;

	count = (prod - index) & q->index_mask;

	for (i = 0; i < count; i++) {
		wqe = rxe_check_addr(q, buf, index + i);

		if (wqe->dma.num_sge > max_sge ||
		    rxe_check_dma(wqe->dma.length, wqe->dma.resid,
				  wqe->dma.cur_sge, wqe->dma.num_sge,
				  wqe->dma.sge_offset, wqe->dma.sge))
			return -EINVAL;
	}

	return 0;
}

int rxe_check_rq_ring(struct rxe_qp *qp, const struct rxe_queue_buf *buf,
		      const struct sealift_rxe_qp *in)
{
	/* an incoming message uses the oldest receive request */
	if (in->resp.wqe.present && buf->producer_index == in->rq.index)
		return -EINVAL;

	return rxe_check_recv_ring(qp->rq.queue, buf, in->rq.index,
				   qp->rq.max_sge);
}
