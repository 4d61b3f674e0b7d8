// SPDX-License-Identifier: GPL-2.0
/*
 * Check an image and copy its rings before the restore locks the device.
 */
#include "rxe_sealift.h"
#include "rxe_queue.h"

bool rxe_ring_is_new(const struct rxe_queue *q)
{
	return !q || (!q->index && !q->buf->producer_index &&
		      !q->buf->consumer_index);
}

int rxe_restore_copy_cq(struct rxe_cq *cq, const struct sealift_rxe_cq *in,
			const struct sealift_rxe_buffer *ring,
			struct rxe_bytes *bytes)
{
	/* a second restore would raise the image's events again */
	if (cq->is_restored || !rxe_ring_is_new(cq->queue) ||
	    !rxe_uobject_cq_is_new(&cq->ibcq))
		return -EINVAL;

	if (rxe_check_ring(cq->queue, &in->ring, ring) || rxe_check_cq(cq, in))
		return -EINVAL;

	return rxe_bytes_from_user(bytes, ring);
}

static int rxe_restore_copy_res(const struct sealift_rxe_qp *in,
				const struct sealift_rxe_buffer *from,
				struct rxe_bytes *bytes)
{
	const struct sealift_rxe_res *res;
	int err;
	u32 i;

	if (from->size != in->num_res * sizeof(*res))
		return -EINVAL;

	err = rxe_bytes_from_user(bytes, from);
	if (err)
		return err;

	res = bytes->data;
	for (i = 0; i < in->num_res; i++)
		if (rxe_check_res(&res[i]))
			return -EINVAL;

	return 0;
}

int rxe_restore_copy_qp(struct rxe_qp *qp, const struct sealift_rxe_qp *in,
			const struct sealift_rxe_qp_buffers *bufs,
			struct rxe_bytes *bytes)
{
	int err;

	if (qp_type(qp) != IB_QPT_RC && qp_type(qp) != IB_QPT_UD)
		return -EOPNOTSUPP;

	/* a second restore would raise the image's events again */
	if (qp->is_restored || qp_state(qp) != IB_QPS_RESET ||
	    !rxe_ring_is_new(qp->sq.queue) ||
	    !rxe_ring_is_new(qp->rq.queue) ||
	    !rxe_uobject_qp_is_new(&qp->ibqp))
		return -EINVAL;

	if (rxe_check_ring(qp->sq.queue, &in->sq, &bufs->sq) ||
	    rxe_check_ring(qp->rq.queue, &in->rq, &bufs->rq) ||
	    rxe_check_buffer(&bufs->res) || rxe_check_qp(qp, in))
		return -EINVAL;

	err = rxe_restore_copy_res(in, &bufs->res, &bytes[RXE_BYTES_RES]);
	if (!err)
		err = rxe_bytes_from_user(&bytes[RXE_BYTES_SQ], &bufs->sq);
	if (!err)
		err = rxe_bytes_from_user(&bytes[RXE_BYTES_RQ], &bufs->rq);

	return err;
}
