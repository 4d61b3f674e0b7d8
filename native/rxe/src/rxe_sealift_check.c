// SPDX-License-Identifier: GPL-2.0
/*
 * An image is untrusted input: reject what no queue could ever hold. The tasks
 * rely on some of it, the rest shows that an image was altered.
 */
#include <linux/overflow.h>

#include "rxe_sealift.h"
#include "rxe_queue.h"

#define RXE_MAX_RES		128	/* the device's limit, rounded up */
#define RXE_MAX_PENDING		65536
#define RXE_CQ_EVENTS		BIT(IB_EVENT_CQ_ERR)
#define RXE_QP_EVENTS							\
	(BIT(IB_EVENT_QP_FATAL) | BIT(IB_EVENT_QP_REQ_ERR) |		\
	 BIT(IB_EVENT_QP_ACCESS_ERR) | BIT(IB_EVENT_COMM_EST) |		\
	 BIT(IB_EVENT_SQ_DRAINED) | BIT(IB_EVENT_PATH_MIG) |		\
	 BIT(IB_EVENT_PATH_MIG_ERR) | BIT(IB_EVENT_QP_LAST_WQE_REACHED))

static bool is_psn(u32 psn)
{
	return !(psn & ~BTH_PSN_MASK);
}

static bool is_depth(u32 depth)
{
	return depth <= RXE_MAX_RES && (!depth || is_power_of_2(depth));
}

static bool is_opcode(u32 opcode)
{
	return opcode == SEALIFT_RXE_NONE ||
	       (opcode <= IB_OPCODE_RC_ATOMIC_WRITE &&
		rxe_opcode[opcode].mask);
}

static bool is_zero(const void *p, size_t size)
{
	return !memchr_inv(p, 0, size);
}

int rxe_check_buffer(const struct sealift_rxe_buffer *buf)
{
	if (buf->reserved || (!buf->address && buf->size))
		return -EINVAL;

	return 0;
}

int rxe_check_ring(const struct rxe_queue *q,
		   const struct sealift_rxe_ring *ring,
		   const struct sealift_rxe_buffer *buf)
{
	if (ring->reserved || rxe_check_buffer(buf))
		return -EINVAL;

	if (!q)
		return is_zero(ring, sizeof(*ring)) && !buf->size ? 0 : -EINVAL;

	if (ring->size != q->buf_size || buf->size != q->buf_size ||
	    ring->log2_elem_size != q->log2_elem_size ||
	    ring->index_mask != q->index_mask ||
	    ring->index > q->index_mask)
		return -EINVAL;

	return 0;
}

int rxe_check_cq(struct rxe_cq *cq, const struct sealift_rxe_cq *in)
{
	if (in->reserved || in->cqe != cq->ibcq.cqe ||
	    in->notify & ~IB_CQ_SOLICITED_MASK ||
	    in->async_pending & ~RXE_CQ_EVENTS ||
	    in->comp_pending > RXE_MAX_PENDING)
		return -EINVAL;

	if (in->comp_pending && !rxe_uobject_cq_has_channel(&cq->ibcq))
		return -EINVAL;

	return 0;
}

int rxe_check_cq_ring(struct rxe_cq *cq, const struct sealift_rxe_cq *in)
{
	const struct rxe_queue_buf *buf = cq->queue->buf;

	if (buf->producer_index != in->ring.index ||
	    buf->consumer_index > in->ring.index_mask)
		return -EINVAL;

	return 0;
}

static int rxe_check_caps(struct rxe_qp *qp, const struct sealift_rxe_qp *in)
{
	if (in->max_send_wr != qp->sq.max_wr ||
	    in->max_send_sge != qp->sq.max_sge ||
	    in->max_inline != qp->sq.max_inline ||
	    in->max_recv_wr != qp->rq.max_wr ||
	    in->max_recv_sge != qp->rq.max_sge ||
	    in->sq_sig_all != (qp->sq_sig_type == IB_SIGNAL_ALL_WR))
		return -EINVAL;

	return 0;
}

static int rxe_check_av(const struct sealift_rxe_av *av)
{
	bool ipv4;

	if (!av->present)
		return is_zero(av, sizeof(*av)) ? 0 : -EINVAL;

	if (av->present != 1 || av->sl || av->flow_label > 0xfffff)
		return -EINVAL;

	/* both ends' addresses are of the path's family */
	ipv4 = av->network_type == RXE_NETWORK_TYPE_IPV4;
	if ((!ipv4 && av->network_type != RXE_NETWORK_TYPE_IPV6) ||
	    ipv6_addr_v4mapped((const struct in6_addr *)av->sgid) != ipv4 ||
	    ipv6_addr_v4mapped((const struct in6_addr *)av->dgid) != ipv4)
		return -EINVAL;

	return 0;
}

static int rxe_check_attr(const struct sealift_rxe_qp_attr *attr, u32 state)
{
	if (attr->path_mtu < IB_MTU_256 || attr->path_mtu > IB_MTU_4096 ||
	    !is_psn(attr->dest_qpn) || !is_psn(attr->rq_psn) ||
	    !is_psn(attr->sq_psn) ||
	    attr->access_flags & ~RXE_ACCESS_SUPPORTED_QP ||
	    attr->pkey_index || attr->port_num > RXE_NUM_PORT ||
	    attr->timeout > 31 || attr->retry_cnt > 7 ||
	    attr->rnr_retry > 7 || attr->min_rnr_timer > 31 ||
	    !is_depth(attr->max_rd_atomic) ||
	    !is_depth(attr->max_dest_rd_atomic) ||
	    attr->sq_draining > 1 || attr->reserved)
		return -EINVAL;

	if (state > IB_QPS_RESET && state < IB_QPS_ERR && !attr->port_num)
		return -EINVAL;

	if (state > IB_QPS_INIT && state < IB_QPS_ERR && !attr->av.present)
		return -EINVAL;

	if (attr->av.present && !attr->port_num)
		return -EINVAL;

	return rxe_check_av(&attr->av);
}

static int rxe_check_dma(u32 length, u32 resid, u32 cur_sge, u32 num_sge,
			 u32 sge_offset, const struct rxe_sge *sge)
{
	if (length > RXE_PORT_MAX_MSG_SZ || resid > length ||
	    cur_sge > num_sge || (resid && cur_sge == num_sge))
		return -EINVAL;

	if (cur_sge == num_sge)
		return 0;

	return sge_offset > sge[cur_sge].length ? -EINVAL : 0;
}

static int rxe_check_recv_wqe(struct rxe_qp *qp,
			      const struct sealift_rxe_recv_wqe *wqe)
{
	size_t used;

	BUILD_BUG_ON(sizeof(struct sealift_rxe_sge) != sizeof(struct rxe_sge));

	if (!wqe->present)
		return is_zero(wqe, sizeof(*wqe)) ? 0 : -EINVAL;

	if (wqe->present != 1 || wqe->num_sge > qp->rq.max_sge ||
	    wqe->num_sge > SEALIFT_RXE_MAX_SGE)
		return -EINVAL;

	used = offsetof(struct sealift_rxe_recv_wqe, sge[wqe->num_sge]);
	if (!is_zero((const u8 *)wqe + used, sizeof(*wqe) - used))
		return -EINVAL;

	return rxe_check_dma(wqe->length, wqe->resid, wqe->cur_sge,
			     wqe->num_sge, wqe->sge_offset,
			     (const struct rxe_sge *)wqe->sge);
}

static int rxe_check_resp(struct rxe_qp *qp, const struct sealift_rxe_qp *in)
{
	const struct sealift_rxe_resp *resp = &in->resp;

	if (!is_psn(resp->psn) || !is_psn(resp->ack_psn) ||
	    !is_opcode(resp->opcode) || resp->drop_msg > 1 ||
	    resp->sent_psn_nak > 1 || resp->status > IB_WC_GENERAL_ERR ||
	    resp->aeth_syndrome > U8_MAX ||
	    resp->resid > RXE_PORT_MAX_MSG_SZ ||
	    resp->length > RXE_PORT_MAX_MSG_SZ ||
	    resp->res_head >= max(in->num_res, 1U))
		return -EINVAL;

	return rxe_check_recv_wqe(qp, &resp->wqe);
}

static int rxe_check_req(const struct sealift_rxe_qp *in)
{
	const struct sealift_rxe_comp *comp = &in->comp;
	const struct sealift_rxe_req *req = &in->req;

	if (req->wqe_index > in->sq.index_mask || !is_psn(req->psn) ||
	    !is_opcode(req->opcode) ||
	    req->rd_atomic > in->attr.max_rd_atomic ||
	    req->noack_pkts > RXE_MAX_PKT_PER_ACK + 1)
		return -EINVAL;

	if (!is_psn(comp->psn) || comp->retry_cnt > 7 || comp->rnr_retry > 7 ||
	    comp->started_retry > 1 || comp->reserved)
		return -EINVAL;

	/* the completer knows no other: a READ response goes on, or none does */
	switch (comp->opcode) {
	case SEALIFT_RXE_NONE:
	case IB_OPCODE_RC_RDMA_READ_RESPONSE_FIRST:
	case IB_OPCODE_RC_RDMA_READ_RESPONSE_MIDDLE:
		return 0;
	default:
		return -EINVAL;
	}
}

int rxe_check_qp(struct rxe_qp *qp, const struct sealift_rxe_qp *in)
{
	u32 num_res = in->attr.max_dest_rd_atomic;

	if (in->flags & ~SEALIFT_RXE_QP_ERROR || in->reserved ||
	    in->qpn != qp_num(qp) || in->qp_type != qp_type(qp) ||
	    in->state > IB_QPS_ERR || in->state == IB_QPS_SQE ||
	    in->num_mcast || in->src_port > U16_MAX ||
	    in->async_pending & ~RXE_QP_EVENTS)
		return -EINVAL;

	/* the cache comes with RTR, and goes with it */
	if (in->num_res && in->num_res != num_res)
		return -EINVAL;
	if (in->state >= IB_QPS_RTR && in->state < IB_QPS_ERR &&
	    in->num_res != num_res)
		return -EINVAL;

	if (rxe_check_caps(qp, in) || rxe_check_attr(&in->attr, in->state) ||
	    rxe_check_req(in))
		return -EINVAL;

	return rxe_check_resp(qp, in);
}

int rxe_check_res(const struct sealift_rxe_res *res)
{
	if (!is_zero(res->reserved, sizeof(res->reserved)))
		return -EINVAL;

	switch (res->type) {
	case SEALIFT_RXE_RES_EMPTY:
		return is_zero(res, sizeof(*res)) ? 0 : -EINVAL;
	case SEALIFT_RXE_RES_READ:
	case SEALIFT_RXE_RES_ATOMIC:
	case SEALIFT_RXE_RES_ATOMIC_WRITE:
	case SEALIFT_RXE_RES_FLUSH:
		break;
	default:
		return -EINVAL;
	}

	if (!is_psn(res->first_psn) || !is_psn(res->last_psn) ||
	    res->length > RXE_PORT_MAX_MSG_SZ ||
	    res->flush_type & ~(IB_FLUSH_GLOBAL | IB_FLUSH_PERSISTENT) ||
	    res->flush_level > IB_FLUSH_MR)
		return -EINVAL;

	return 0;
}

/* @sent: the requester has passed this one, and waits for the answer */
static int rxe_check_send_wqe(struct rxe_qp *qp, struct rxe_send_wqe *wqe,
			      bool sent)
{
	unsigned int mask;

	if (wqe->wr.opcode > IB_WR_ATOMIC_WRITE)
		return -EINVAL;

	mask = wr_opcode_mask(wqe->wr.opcode, qp);
	if (!mask)
		return -EINVAL;

	switch (wqe->state) {
	case wqe_state_posted:
		/* not looked at yet: as the application wrote it */
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
		if (wqe->mask != mask || !is_psn(wqe->first_psn) ||
		    !is_psn(wqe->last_psn))
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}

	if (wqe->has_rd_atomic > 1)
		return -EINVAL;

	/* bind and invalidate move no data */
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

	/* moves data at the other end only */
	if (wqe->wr.opcode == IB_WR_FLUSH)
		return 0;

	return rxe_check_dma(wqe->dma.length, wqe->dma.resid, wqe->dma.cur_sge,
			     wqe->dma.num_sge, wqe->dma.sge_offset,
			     wqe->dma.sge);
}

int rxe_check_sq_ring(struct rxe_qp *qp, const struct sealift_rxe_qp *in)
{
	struct rxe_queue *q = qp->sq.queue;
	u32 prod = q->buf->producer_index;
	u32 cons = in->sq.index;
	u32 sent, i, count;

	if (prod > q->index_mask || q->buf->consumer_index != cons)
		return -EINVAL;

	count = (prod - cons) & q->index_mask;
	sent = (in->req.wqe_index - cons) & q->index_mask;
	if (sent > count)
		return -EINVAL;

	for (i = 0; i < count; i++)
		if (rxe_check_send_wqe(qp, queue_addr_from_index(q, cons + i),
				       i < sent))
			return -EINVAL;

	return 0;
}

int rxe_check_rq_ring(struct rxe_qp *qp, const struct sealift_rxe_qp *in)
{
	struct rxe_queue *q = qp->rq.queue;
	struct rxe_recv_wqe *wqe;
	u32 prod, i, count;

	if (!q)
		return 0;

	prod = q->buf->producer_index;
	if (prod > q->index_mask || q->buf->consumer_index != in->rq.index)
		return -EINVAL;

	count = (prod - in->rq.index) & q->index_mask;

	/* a message is received into the oldest request */
	if (in->resp.wqe.present && !count)
		return -EINVAL;

	for (i = 0; i < count; i++) {
		wqe = queue_addr_from_index(q, in->rq.index + i);

		if (wqe->dma.num_sge > qp->rq.max_sge ||
		    rxe_check_dma(wqe->dma.length, wqe->dma.resid,
				  wqe->dma.cur_sge, wqe->dma.num_sge,
				  wqe->dma.sge_offset, wqe->dma.sge))
			return -EINVAL;
	}

	return 0;
}
