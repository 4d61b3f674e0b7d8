// SPDX-License-Identifier: GPL-2.0
/*
 * Dump a shared receive queue of a held device, and give a new one the state of
 * a dumped one. Only responders take requests from it, and none does in a hold.
 */
#include "rxe_sealift.h"
#include "rxe_sealift_invariants.h"
#include "rxe_queue.h"

/* The invariants have names of their own for these constants of the kernel. */
static_assert(RXE_IMAGE_SRQ_WR_MAX == RXE_MAX_SRQ_WR);
static_assert(RXE_IMAGE_SRQ_SGE_MAX == RXE_MAX_SRQ_SGE);
static_assert(RXE_IMAGE_SRQ_EVENTS ==
	      (BIT(IB_EVENT_SRQ_ERR) | BIT(IB_EVENT_SRQ_LIMIT_REACHED)));

int rxe_dump_srq(struct rxe_srq *srq, const struct sealift_rxe_buffer *ring,
		 struct sealift_rxe_srq *out, struct rxe_bytes *bytes)
{
	const struct rxe_queue *q = srq->rq.queue;

	if (srq->ibsrq.srq_type != IB_SRQT_BASIC)
		return -EOPNOTSUPP;

	rxe_dump_ring(q, &out->ring);
	/* a granted max_wr may be more than the device lets one ask for */
	out->max_wr = min_t(u32, srq->rq.max_wr, RXE_MAX_SRQ_WR);
	out->max_sge = srq->rq.max_sge;
	out->limit = srq->limit;
	out->pd_handle = srq->ibsrq.pd->uobject->id;
	rxe_uobject_dump_srq(&srq->ibsrq, out);

	return rxe_bytes_copy(bytes, ring, q->buf, q->buf_size);
}

static int rxe_check_srq(struct rxe_srq *srq, const struct sealift_rxe_srq *in)
{
	if (rxe_image_srq_broken_limit(in) || rxe_image_srq_broken_rule(in) ||
	    in->max_sge != srq->rq.max_sge)
		return -EINVAL;

	return 0;
}

/* Without a queue pair nobody has taken anything from it. */
static bool rxe_srq_is_new(struct rxe_srq *srq)
{
	return !srq->is_restored && rxe_ring_is_new(srq->rq.queue) &&
	       !atomic_read(&srq->ibsrq.usecnt) &&
	       rxe_uobject_srq_is_new(&srq->ibsrq);
}

int rxe_restore_copy_srq(struct rxe_srq *srq, const struct sealift_rxe_srq *in,
			 const struct sealift_rxe_buffer *ring,
			 struct rxe_bytes *bytes)
{
	if (srq->ibsrq.srq_type != IB_SRQT_BASIC)
		return -EOPNOTSUPP;

	/* a second restore would raise the image's events again */
	if (!rxe_srq_is_new(srq))
		return -EINVAL;

	if (rxe_check_ring(srq->rq.queue, &in->ring, ring) ||
	    rxe_check_srq(srq, in))
		return -EINVAL;

	return rxe_bytes_from_user(bytes, ring);
}

int rxe_restore_srq(struct rxe_srq *srq, const struct sealift_rxe_srq *in,
		    const struct rxe_bytes *bytes)
{
	struct rxe_queue *q = srq->rq.queue;

	if (rxe_check_recv_ring(q, bytes->data, in->ring.index,
				srq->rq.max_sge) ||
	    rxe_restore_offsets(q, &in->ring, NULL, NULL))
		return -EINVAL;

	srq->is_restored = true;
	rxe_restore_ring(q, bytes);

	spin_lock_irq(&srq->rq.consumer_lock);
	q->index = in->ring.index;
	srq->limit = in->limit;
	spin_unlock_irq(&srq->rq.consumer_lock);

	rxe_uobject_restore_srq(&srq->ibsrq, in);
	return 0;
}
