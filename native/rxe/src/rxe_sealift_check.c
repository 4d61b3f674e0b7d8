// SPDX-License-Identifier: GPL-2.0
/*
 * An image is untrusted input: refuse a state that no object can be in. The
 * tasks rely on some of the checks; the others tell that an image was altered.
 * The rules for a queue pair's own fields are in rxe_sealift_invariants.h.
 */
#include <linux/overflow.h>

#include "rxe_sealift.h"
#include "rxe_sealift_invariants.h"
#include "rxe_queue.h"

#define RXE_CQ_EVENTS		BIT(IB_EVENT_CQ_ERR)
#define RXE_QP_EVENTS							\
	(BIT(IB_EVENT_QP_FATAL) | BIT(IB_EVENT_QP_REQ_ERR) |		\
	 BIT(IB_EVENT_QP_ACCESS_ERR) | BIT(IB_EVENT_COMM_EST) |		\
	 BIT(IB_EVENT_SQ_DRAINED) | BIT(IB_EVENT_PATH_MIG) |		\
	 BIT(IB_EVENT_PATH_MIG_ERR) | BIT(IB_EVENT_QP_LAST_WQE_REACHED))
/* a device that has failed cannot be moved */
#define RXE_PORT_EVENTS							\
	(BIT(IB_EVENT_PORT_ACTIVE) | BIT(IB_EVENT_PORT_ERR) |		\
	 BIT(IB_EVENT_LID_CHANGE) | BIT(IB_EVENT_PKEY_CHANGE) |		\
	 BIT(IB_EVENT_SM_CHANGE) | BIT(IB_EVENT_CLIENT_REREGISTER) |	\
	 BIT(IB_EVENT_GID_CHANGE))
#define RXE_PORT_NUM		1

/* The invariants have names of their own for these constants of the kernel. */
static_assert(RXE_IMAGE_PSN_MAX == BTH_PSN_MASK);
static_assert(RXE_IMAGE_LENGTH_MAX == RXE_PORT_MAX_MSG_SZ);
static_assert(RXE_IMAGE_PAGE == PAGE_SIZE);
static_assert(RXE_IMAGE_SQE == (int)IB_QPS_SQE);
static_assert(RXE_IMAGE_ERR == (int)IB_QPS_ERR);
static_assert(RXE_IMAGE_UD == (int)IB_QPT_UD);
static_assert(RXE_IMAGE_UD_SEND == (int)IB_OPCODE_UD_SEND_ONLY);
static_assert(RXE_IMAGE_UD_SEND_IMM ==
	      (int)IB_OPCODE_UD_SEND_ONLY_WITH_IMMEDIATE);
static_assert(RXE_IMAGE_AH_MAX == RXE_MAX_AH_INDEX);
static_assert(RXE_IMAGE_WRITE_MIDDLE == (int)IB_OPCODE_RC_RDMA_WRITE_MIDDLE);
static_assert(RXE_IMAGE_READ_MIDDLE ==
	      (int)IB_OPCODE_RC_RDMA_READ_RESPONSE_MIDDLE);
static_assert(RXE_IMAGE_ATOMIC_WRITE == (int)IB_OPCODE_RC_ATOMIC_WRITE);

static bool is_psn(u32 psn)
{
	return psn <= RXE_IMAGE_PSN_MAX;
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

	if (!rxe_image_is_offset(ring->mmap_offset) ||
	    ring->size != q->buf_size || buf->size != q->buf_size ||
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
	    in->comp_pending > SEALIFT_RXE_MAX_EVENTS)
		return -EINVAL;

	if (in->comp_pending && !rxe_uobject_cq_has_channel(&cq->ibcq))
		return -EINVAL;

	return 0;
}

int rxe_check_event(const struct sealift_rxe_event *in)
{
	u32 allowed;

	switch (in->object) {
	case UVERBS_OBJECT_CQ:
		allowed = RXE_CQ_EVENTS;
		break;
	case UVERBS_OBJECT_SRQ:
		allowed = RXE_IMAGE_SRQ_EVENTS;
		break;
	case UVERBS_OBJECT_QP:
		allowed = RXE_QP_EVENTS;
		break;
	case SEALIFT_RXE_NONE:
		if (in->handle != RXE_PORT_NUM)
			return -EINVAL;
		allowed = RXE_PORT_EVENTS;
		break;
	default:
		return -EINVAL;
	}

	if (in->reserved || in->type >= 32 || !(BIT(in->type) & allowed))
		return -EINVAL;

	return 0;
}

int rxe_check_cq_ring(const struct rxe_queue_buf *buf,
		      const struct sealift_rxe_cq *in)
{
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

int rxe_check_av(const struct sealift_rxe_av *av, bool any_group)
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
	    (ipv6_addr_v4mapped((const struct in6_addr *)av->dgid) != ipv4 &&
	     !(any_group &&
	       rdma_is_multicast_addr((struct in6_addr *)av->dgid))))
		return -EINVAL;

	return 0;
}

/* The next byte is in one of the elements, and not beyond its end. */
int rxe_check_dma(u32 length, u32 resid, u32 cur_sge, u32 num_sge,
		  u32 sge_offset, const struct rxe_sge *sge)
{
	if (resid > length || cur_sge > num_sge ||
	    (resid && cur_sge == num_sge))
		return -EINVAL;

	if (cur_sge == num_sge)
		return 0;

	return sge_offset > sge[cur_sge].length ? -EINVAL : 0;
}

static int rxe_check_recv_wqe(const struct sealift_rxe_recv_wqe *wqe)
{
	size_t used;

	BUILD_BUG_ON(sizeof(struct sealift_rxe_sge) != sizeof(struct rxe_sge));

	if (!wqe->present)
		return is_zero(wqe, sizeof(*wqe)) ? 0 : -EINVAL;

	if (wqe->present != 1 || wqe->num_sge > SEALIFT_RXE_MAX_SGE)
		return -EINVAL;

	used = offsetof(struct sealift_rxe_recv_wqe, sge[wqe->num_sge]);
	if (!is_zero((const u8 *)wqe + used, sizeof(*wqe) - used))
		return -EINVAL;

	return rxe_check_dma(wqe->length, wqe->resid, wqe->cur_sge,
			     wqe->num_sge, wqe->sge_offset,
			     (const struct rxe_sge *)wqe->sge);
}

int rxe_check_qp(struct rxe_qp *qp, const struct sealift_rxe_qp *in)
{
	const struct rxe_rq *rq = qp->srq ? &qp->srq->rq : &qp->rq;

	if (in->qpn != qp_num(qp) || in->qp_type != qp_type(qp) ||
	    in->async_pending & ~RXE_QP_EVENTS ||
	    in->attr.access_flags & ~RXE_ACCESS_SUPPORTED_QP ||
	    (in->srq_handle != SEALIFT_RXE_NONE) != !!qp->srq ||
	    in->req.wqe_index > in->sq.index_mask ||
	    in->req.noack_pkts > RXE_MAX_PKT_PER_ACK + 1)
		return -EINVAL;

	if (rxe_image_broken_limit(in) || rxe_image_broken_rule(in) ||
	    rxe_image_broken_taken(in, rq->max_sge) ||
	    rxe_check_caps(qp, in) || rxe_check_av(&in->attr.av, false))
		return -EINVAL;

	return rxe_check_recv_wqe(&in->resp.wqe);
}

/*
 * One entry of the replay cache. The responder looks the region up when it uses
 * the entry, so that no check of the region belongs here.
 */
int rxe_check_res(const struct sealift_rxe_res *res)
{
	if (!is_zero(res->reserved, sizeof(res->reserved)))
		return -EINVAL;

	switch (res->type) {
	case SEALIFT_RXE_RES_EMPTY:
		return is_zero(res, sizeof(*res)) ? 0 : -EINVAL;
	case SEALIFT_RXE_RES_ATOMIC:
	case SEALIFT_RXE_RES_ATOMIC_WRITE:
	case SEALIFT_RXE_RES_FLUSH:
		/* of a single packet */
		if (res->first_psn != res->last_psn)
			return -EINVAL;
		break;
	case SEALIFT_RXE_RES_READ:
		break;
	default:
		return -EINVAL;
	}

	if (!is_psn(res->first_psn) || !is_psn(res->last_psn) ||
	    psn_compare(res->first_psn, res->last_psn) > 0 ||
	    res->length > RXE_IMAGE_LENGTH_MAX ||
	    res->flush_type & ~(IB_FLUSH_GLOBAL | IB_FLUSH_PERSISTENT) ||
	    res->flush_level > IB_FLUSH_MR)
		return -EINVAL;

	if (res->type == SEALIFT_RXE_RES_READ &&
	    res->va + res->length < res->va)
		return -EINVAL;

	return 0;
}
