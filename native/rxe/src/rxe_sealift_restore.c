// SPDX-License-Identifier: GPL-2.0
/*
 * Give a new completion queue or queue pair of a held device the state of a
 * dumped one.
 */
#include "rxe_sealift.h"
#include "rxe_sealift_invariants.h"
#include "rxe_queue.h"

/* User space may have the ring mapped. The geometry in its header stays. */
void rxe_restore_ring(struct rxe_queue *q, const struct rxe_bytes *bytes)
{
	struct rxe_queue_buf *buf = q->buf;

	memcpy(buf, bytes->data, bytes->size);
	buf->log2_elem_size = q->log2_elem_size;
	buf->index_mask = q->index_mask;
}

/* One that is mapped stays where it is mapped. */
static u64 rxe_restored_offset(const struct rxe_mmap_info *ip,
			       const struct sealift_rxe_ring *in)
{
	return in->mmap_offset && kref_read(&ip->ref) == 1 ?
	       in->mmap_offset : ip->info.offset;
}

static bool rxe_offsets_overlap(u64 a, u32 a_size, u64 b, u32 b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* Is @offset another queue's? Of @ip's context: they are told apart by that. */
static bool rxe_offset_is_taken(const struct list_head *list,
				const struct rxe_mmap_info *ip,
				const struct rxe_mmap_info *sibling, u64 offset)
{
	const struct rxe_mmap_info *other;

	list_for_each_entry(other, list, pending_mmaps)
		if (other != ip && other != sibling &&
		    other->context == ip->context &&
		    rxe_offsets_overlap(other->info.offset, other->info.size,
					offset, ip->info.size))
			return true;

	return false;
}

/* A queue that is created later is mapped from elsewhere. */
static void rxe_restore_offset(struct rxe_dev *rxe, struct rxe_mmap_info *ip,
			       u64 offset)
{
	ip->info.offset = offset;

	spin_lock_bh(&rxe->mmap_offset_lock);
	rxe->mmap_offset = max(rxe->mmap_offset,
			       offset + ALIGN(ip->info.size, SHMLBA));
	spin_unlock_bh(&rxe->mmap_offset_lock);
}

int rxe_restore_offsets(struct rxe_queue *q, const struct sealift_rxe_ring *in,
			struct rxe_queue *rq,
			const struct sealift_rxe_ring *rq_in)
{
	struct rxe_mmap_info *ip = q->ip, *rq_ip = rq ? rq->ip : NULL;
	u64 offset, rq_offset = 0;
	struct rxe_dev *rxe = q->rxe;
	int err = 0;

	/* whose user space has asked for no mapping */
	if (!ip || (rq && !rq_ip))
		return 0;

	spin_lock_bh(&rxe->pending_lock);
	offset = rxe_restored_offset(ip, in);
	if (rq)
		rq_offset = rxe_restored_offset(rq_ip, rq_in);
	if (rxe_offset_is_taken(&rxe->pending_mmaps, ip, rq_ip, offset) ||
	    rxe_offset_is_taken(&rxe->mapped_mmaps, ip, rq_ip, offset))
		err = -EINVAL;
	if (rq && (rxe_offset_is_taken(&rxe->pending_mmaps, rq_ip, ip, rq_offset) ||
		   rxe_offset_is_taken(&rxe->mapped_mmaps, rq_ip, ip, rq_offset) ||
		   rxe_offsets_overlap(offset, ip->info.size, rq_offset,
				       rq_ip->info.size)))
		err = -EINVAL;
	if (!err)
		rxe_restore_offset(rxe, ip, offset);
	if (!err && rq)
		rxe_restore_offset(rxe, rq_ip, rq_offset);
	spin_unlock_bh(&rxe->pending_lock);

	return err;
}

int rxe_restore_cq(struct rxe_cq *cq, const struct sealift_rxe_cq *in,
		   const struct rxe_bytes *bytes)
{
	if (rxe_check_cq_ring(bytes->data, in) ||
	    rxe_restore_offsets(cq->queue, &in->ring, NULL, NULL))
		return -EINVAL;

	cq->is_restored = true;
	rxe_restore_ring(cq->queue, bytes);

	spin_lock_irq(&cq->cq_lock);
	cq->queue->index = in->ring.index;
	cq->notify = in->notify;
	spin_unlock_irq(&cq->cq_lock);

	return rxe_uobject_restore_cq(&cq->ibcq, in);
}

static void rxe_restore_recv_wqe(struct rxe_qp *qp,
				 const struct sealift_rxe_recv_wqe *in)
{
	struct rxe_recv_wqe *wqe = &qp->resp.srq_wqe.wqe;
	u32 i;

	if (!in->present)
		return;

	wqe->wr_id = in->wr_id;
	wqe->dma.length = in->length;
	wqe->dma.resid = in->resid;
	wqe->dma.cur_sge = in->cur_sge;
	wqe->dma.num_sge = in->num_sge;
	wqe->dma.sge_offset = in->sge_offset;

	for (i = 0; i < in->num_sge; i++) {
		wqe->dma.sge[i].addr = in->sge[i].addr;
		wqe->dma.sge[i].length = in->sge[i].length;
		wqe->dma.sge[i].lkey = in->sge[i].lkey;
	}

	qp->resp.wqe = wqe;
}

/* Before RTR: the answer to a duplicate request needs some of these fields. */
static void rxe_restore_resp(struct rxe_qp *qp,
			     const struct sealift_rxe_resp *in)
{
	struct rxe_resp_info *resp = &qp->resp;

	resp->msn = in->msn;
	resp->psn = in->psn;
	resp->ack_psn = in->ack_psn;
	resp->opcode = in->opcode;
	resp->drop_msg = in->drop_msg;
	resp->sent_psn_nak = in->sent_psn_nak;
	resp->status = in->status;
	resp->va = in->va;
	resp->offset = in->offset;
	resp->resid = in->resid;
	resp->rkey = in->rkey;
	resp->length = in->length;
	rxe_restore_recv_wqe(qp, &in->wqe);
}

static void rxe_restore_res(struct resp_res *res,
			    const struct sealift_rxe_res *in)
{
	res->first_psn = in->first_psn;
	res->last_psn = in->last_psn;
	res->cur_psn = in->first_psn;
	res->state = rdatm_res_state_new;
	res->replay = 1;

	switch (in->type) {
	case SEALIFT_RXE_RES_READ:
		res->read.va_org = in->va;
		res->read.va = in->va;
		res->read.length = in->length;
		res->read.resid = in->length;
		res->read.rkey = in->rkey;
		res->type = RXE_READ_MASK;
		break;
	case SEALIFT_RXE_RES_ATOMIC:
		res->atomic.orig_val = in->orig_val;
		res->type = RXE_ATOMIC_MASK;
		break;
	case SEALIFT_RXE_RES_ATOMIC_WRITE:
		res->type = RXE_ATOMIC_WRITE_MASK;
		break;
	case SEALIFT_RXE_RES_FLUSH:
		res->flush.va = in->va;
		res->flush.length = in->length;
		res->flush.type = in->flush_type;
		res->flush.level = in->flush_level;
		res->type = RXE_FLUSH_MASK;
		break;
	}
}

/* The responder runs since RTR: stop it while its cache changes. */
static void rxe_restore_cache(struct rxe_qp *qp, const struct sealift_rxe_qp *in,
			      const struct sealift_rxe_res *res)
{
	u32 i;

	if (!qp->resp.resources || !in->num_res ||
	    qp->attr.max_dest_rd_atomic != in->num_res)
		return;

	rxe_disable_task(&qp->recv_task);
	for (i = 0; i < in->num_res; i++)
		rxe_restore_res(&qp->resp.resources[i], &res[i]);
	qp->resp.res_head = in->resp.res_head;
	rxe_enable_task(&qp->recv_task);
}

static int rxe_restore_rings(struct rxe_qp *qp,
			     const struct sealift_rxe_qp *in,
			     const struct rxe_bytes *bytes)
{
	int err;

	err = rxe_check_sq_ring(qp, bytes[RXE_BYTES_SQ].data, in);
	if (!err && qp->rq.queue)
		err = rxe_check_rq_ring(qp, bytes[RXE_BYTES_RQ].data, in);
	if (!err)
		err = rxe_restore_offsets(qp->sq.queue, &in->sq, qp->rq.queue,
					  &in->rq);
	if (err)
		return err;

	rxe_restore_ring(qp->sq.queue, &bytes[RXE_BYTES_SQ]);
	qp->sq.queue->index = in->sq.index;
	if (qp->rq.queue) {
		rxe_restore_ring(qp->rq.queue, &bytes[RXE_BYTES_RQ]);
		qp->rq.queue->index = in->rq.index;
	}

	return 0;
}

static void rxe_restore_requester(struct rxe_qp *qp,
				  const struct sealift_rxe_qp *in)
{
	unsigned long flags;

	spin_lock_irqsave(&qp->state_lock, flags);

	qp->req.wqe_index = in->req.wqe_index;
	qp->req.psn = in->req.psn;
	qp->req.opcode = in->req.opcode;
	qp->req.noack_pkts = in->req.noack_pkts;
	atomic_set(&qp->req.rd_atomic, in->req.rd_atomic);
	atomic_set(&qp->ssn, in->req.ssn);

	qp->comp.psn = in->comp.psn;
	qp->comp.opcode = in->comp.opcode;
	qp->comp.retry_cnt = in->comp.retry_cnt;
	qp->comp.rnr_retry = in->comp.rnr_retry;
	qp->comp.started_retry = in->comp.started_retry;

	qp->comp.nak_psn = in->comp.nak_psn;
	qp->comp.nak_syndrome = in->comp.nak_syndrome;

	/* as the application has set them, not as they are now */
	qp->attr.rq_psn = in->attr.rq_psn;
	qp->attr.sq_psn = in->attr.sq_psn;
	/* a queue pair keeps it in RESET and INIT, until it is set anew */
	qp->attr.max_rd_atomic = in->attr.max_rd_atomic;
	qp->attr.qkey = in->attr.qkey;
	qp->attr.en_sqd_async_notify = in->attr.en_sqd_async_notify;
	qp->attr.path_mig_state = in->attr.path_mig_state;
	if (in->state == IB_QPS_SQD)
		qp->attr.sq_draining = in->attr.sq_draining;

	spin_unlock_irqrestore(&qp->state_lock, flags);

	/* an RNR wait continues: a move does not make it shorter */
	if (in->comp.rnr_wait && in->state >= IB_QPS_RTS &&
	    in->state < IB_QPS_ERR)
		rxe_hold_wait_for_rnr(qp, in->comp.rnr_wait);
}

int rxe_restore_qp(struct rxe_qp *qp, const struct sealift_rxe_qp *in,
		   const struct rxe_bytes *bytes)
{
	bool error = in->state == IB_QPS_ERR ||
		     in->flags & SEALIFT_RXE_QP_ERROR;
	int err;

	err = rxe_restore_rings(qp, in, bytes);
	if (err)
		return err;

	qp->is_restored = true;
	rxe_restore_resp(qp, &in->resp);
	qp->resp.last_wqe = in->last_wqe_reached;

	err = rxe_restore_states(qp, in, error);
	if (err)
		return err;

	/* before RTR it is what an earlier connection had, and is set anew */
	if (!error && rxe_image_is_connected(in) &&
	    in->src_port != qp->src_port)
		return -EINVAL;

	rxe_restore_cache(qp, in, bytes[RXE_BYTES_RES].data);
	rxe_restore_requester(qp, in);

	err = error ? rxe_restore_error(qp, in) : 0;
	if (err)
		return err;

	rxe_uobject_restore_qp(&qp->ibqp, in);
	return 0;
}
