// SPDX-License-Identifier: GPL-2.0
/*
 * Dump completion queues, memory regions and queue pairs of a held device.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <rdma/ib_umem.h>

#include "rxe_sealift.h"
#include "rxe_queue.h"

void rxe_dump_ring(const struct rxe_queue *q, struct sealift_rxe_ring *out)
{
	if (q->ip) {
		out->mmap_offset = q->ip->info.offset;
		out->mmap_size = q->ip->info.size;
	}
	out->size = q->buf_size;
	out->log2_elem_size = q->log2_elem_size;
	out->index_mask = q->index_mask;
	out->index = q->index;
}

int rxe_dump_cq(struct rxe_cq *cq, const struct sealift_rxe_buffer *ring,
		struct sealift_rxe_cq *out, struct rxe_bytes *bytes)
{
	rxe_dump_ring(cq->queue, &out->ring);
	out->cqe = cq->ibcq.cqe;
	out->notify = cq->notify;
	rxe_uobject_dump_cq(&cq->ibcq, out);
	if (out->comp_pending > SEALIFT_RXE_MAX_EVENTS)
		return -E2BIG;

	return rxe_bytes_copy(bytes, ring, cq->queue->buf,
			      cq->queue->buf_size);
}

/* Memory that no process has any more is nobody's to compare with. */
static int rxe_dump_remapped(const struct rxe_mr *mr,
			     struct sealift_rxe_mr *out)
{
	struct mm_struct *mm = mr->umem->owning_mm;
	struct page **buf;
	int ret;

	if (!mmget_not_zero(mm))
		return 0;

	ret = -ENOMEM;
	buf = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!buf)
		goto put;

	ret = mmap_read_lock_killable(mm);
	if (ret)
		goto free;

	ret = rxe_mr_find_remapped(mr, buf, &out->remapped_page);
	mmap_read_unlock(mm);
	if (ret == 1)
		out->flags = SEALIFT_RXE_OBJECT_REMAPPED;
	else
		out->remapped_page = 0;
free:
	kfree(buf);
put:
	mmput_async(mm);
	return min(ret, 0);
}

int rxe_dump_mr(struct rxe_mr *mr, struct sealift_rxe_mr *out)
{
	if (mr->ibmr.type != IB_MR_TYPE_USER || !mr->umem)
		return -EOPNOTSUPP;

	out->start = mr->umem->address;
	out->length = mr->ibmr.length;
	out->iova = mr->ibmr.iova;
	out->access = mr->access;
	out->lkey = mr->lkey;
	out->rkey = mr->rkey;
	out->pd_handle = mr->ibmr.pd->uobject->id;
	out->num_mw = atomic_read(&mr->num_mw);
	out->owner = rxe_mr_owner(mr);

	return rxe_dump_remapped(mr, out);
}

static u32 rxe_res_type(int mask)
{
	switch (mask) {
	case RXE_READ_MASK:
		return SEALIFT_RXE_RES_READ;
	case RXE_ATOMIC_MASK:
		return SEALIFT_RXE_RES_ATOMIC;
	case RXE_ATOMIC_WRITE_MASK:
		return SEALIFT_RXE_RES_ATOMIC_WRITE;
	case RXE_FLUSH_MASK:
		return SEALIFT_RXE_RES_FLUSH;
	default:
		return SEALIFT_RXE_RES_EMPTY;
	}
}

static void rxe_dump_res(const struct resp_res *res,
			 struct sealift_rxe_res *out)
{
	out->type = rxe_res_type(res->type);
	if (out->type == SEALIFT_RXE_RES_EMPTY)
		return;

	out->first_psn = res->first_psn;
	out->last_psn = res->last_psn;

	switch (out->type) {
	case SEALIFT_RXE_RES_READ:
		out->va = res->read.va_org;
		out->length = res->read.length;
		out->rkey = res->read.rkey;
		break;
	case SEALIFT_RXE_RES_ATOMIC:
		out->orig_val = res->atomic.orig_val;
		break;
	case SEALIFT_RXE_RES_FLUSH:
		out->va = res->flush.va;
		out->length = res->flush.length;
		out->flush_type = res->flush.type;
		out->flush_level = res->flush.level;
		break;
	}
}

static int rxe_dump_resources(struct rxe_qp *qp,
			      const struct sealift_rxe_buffer *buf, u32 num,
			      struct rxe_bytes *bytes)
{
	struct sealift_rxe_res *res;
	int err;
	u32 i;

	if (!num)
		return 0;

	res = kcalloc(num, sizeof(*res), GFP_KERNEL);
	if (!res)
		return -ENOMEM;

	for (i = 0; i < num; i++)
		rxe_dump_res(&qp->resp.resources[i], &res[i]);

	err = rxe_bytes_copy(bytes, buf, res, num * sizeof(*res));
	kfree(res);
	return err;
}

static void rxe_dump_attr(const struct rxe_qp *qp,
			  struct sealift_rxe_qp_attr *out)
{
	const struct ib_qp_attr *attr = &qp->attr;

	out->sq_psn = attr->sq_psn;
	out->pkey_index = attr->pkey_index;
	out->port_num = attr->port_num;
	out->sq_draining = attr->sq_draining;
	out->qkey = attr->qkey;
	out->en_sqd_async_notify = attr->en_sqd_async_notify;
	out->active_mtu = to_rdev(qp->ibqp.device)->port.attr.active_mtu;

	/* modify_qp takes the rest, too, unless it changes the state */
	if (qp->ibqp.qp_type == IB_QPT_UD) {
		out->path_mtu = out->active_mtu;
		return;
	}

	out->path_mtu = attr->path_mtu;
	out->dest_qpn = attr->dest_qp_num;
	out->rq_psn = attr->rq_psn;
	out->access_flags = attr->qp_access_flags;
	out->timeout = attr->timeout;
	out->retry_cnt = attr->retry_cnt;
	out->rnr_retry = attr->rnr_retry;
	out->min_rnr_timer = attr->min_rnr_timer;
	out->max_rd_atomic = attr->max_rd_atomic;
	out->max_dest_rd_atomic = attr->max_dest_rd_atomic;
	out->path_mig_state = attr->path_mig_state;
	rxe_dump_av(&qp->pri_av, qp->ibqp.av_sgid_attr, &out->av);
}

static void rxe_dump_recv_wqe(const struct rxe_qp *qp,
			      struct sealift_rxe_recv_wqe *out)
{
	/* the responder works on a copy; the ring has the request as posted */
	const struct rxe_recv_wqe *wqe = qp->resp.wqe;
	u32 i;

	if (!wqe)
		return;

	out->present = 1;
	out->wr_id = wqe->wr_id;
	out->length = wqe->dma.length;
	out->resid = wqe->dma.resid;
	out->cur_sge = wqe->dma.cur_sge;
	out->num_sge = min_t(u32, wqe->dma.num_sge, SEALIFT_RXE_MAX_SGE);
	out->sge_offset = wqe->dma.sge_offset;

	for (i = 0; i < out->num_sge; i++) {
		out->sge[i].addr = wqe->dma.sge[i].addr;
		out->sge[i].length = wqe->dma.sge[i].length;
		out->sge[i].lkey = wqe->dma.sge[i].lkey;
	}
}

static void rxe_dump_resp(const struct rxe_qp *qp, struct sealift_rxe_resp *out)
{
	const struct rxe_resp_info *resp = &qp->resp;

	out->msn = resp->msn;
	out->psn = resp->psn;
	out->ack_psn = resp->ack_psn;
	out->opcode = resp->opcode;
	out->drop_msg = resp->drop_msg;
	out->sent_psn_nak = resp->sent_psn_nak;
	out->status = resp->status;
	out->aeth_syndrome = resp->aeth_syndrome;
	out->va = resp->va;
	out->offset = resp->offset;
	out->resid = resp->resid;
	out->rkey = resp->rkey;
	out->length = resp->length;

	/* a datagram takes its request anew; one that was refused stays here */
	if (qp->ibqp.qp_type == IB_QPT_UD)
		return;

	out->res_head = resp->res_head;
	rxe_dump_recv_wqe(qp, &out->wqe);
}

static void rxe_dump_comp(struct rxe_qp *qp, struct sealift_rxe_comp *out)
{
	const struct rxe_comp_info *comp = &qp->comp;

	out->psn = comp->psn;
	out->opcode = comp->opcode;
	if (qp->ibqp.qp_type == IB_QPT_UD)
		return;

	out->retry_cnt = comp->retry_cnt;
	out->rnr_retry = comp->rnr_retry;
	out->started_retry = comp->started_retry;
	out->nak_psn = comp->nak_psn;
	out->nak_syndrome = comp->nak_syndrome;

	if (qp_type(qp) == IB_QPT_RC)
		out->rnr_wait = rxe_hold_rnr_wait(qp);
}

int rxe_dump_qp(struct rxe_qp *qp, const struct sealift_rxe_qp_buffers *bufs,
		struct sealift_rxe_qp *out, struct rxe_bytes *bytes)
{
	unsigned long flags;
	int err;

	BUILD_BUG_ON(SEALIFT_RXE_MAX_SGE != RXE_MAX_SGE);

	rxe_uobject_dump_qp(&qp->ibqp, out);
	out->qpn = qp_num(qp);
	out->qp_type = qp_type(qp);
	out->sq_sig_all = qp->sq_sig_type == IB_SIGNAL_ALL_WR;
	out->last_wqe_reached = qp->resp.last_wqe;
	out->num_mcast = atomic_read(&qp->mcg_num);
	out->max_send_wr = qp->sq.max_wr;
	out->max_send_sge = qp->sq.max_sge;
	out->max_inline = qp->sq.max_inline;
	out->src_port = qp->src_port;
	if (qp->ibqp.qp_type != IB_QPT_UD && qp->resp.resources)
		out->num_res = qp->attr.max_dest_rd_atomic;

	spin_lock_irqsave(&qp->state_lock, flags);
	out->state = qp_state(qp);
	spin_unlock_irqrestore(&qp->state_lock, flags);

	rxe_dump_attr(qp, &out->attr);

	out->req.wqe_index = qp->req.wqe_index;
	out->req.psn = qp->req.psn;
	out->req.opcode = qp->req.opcode;
	if (qp->ibqp.qp_type != IB_QPT_UD)
		out->req.rd_atomic = atomic_read(&qp->req.rd_atomic);
	out->req.noack_pkts = qp->req.noack_pkts;
	out->req.ssn = atomic_read(&qp->ssn);

	rxe_dump_comp(qp, &out->comp);
	rxe_dump_resp(qp, &out->resp);

	rxe_dump_ring(qp->sq.queue, &out->sq);
	err = rxe_bytes_copy(&bytes[RXE_BYTES_SQ], &bufs->sq,
			     qp->sq.queue->buf, qp->sq.queue->buf_size);

	if (qp->rq.queue) {
		out->max_recv_wr = qp->rq.max_wr;
		out->max_recv_sge = qp->rq.max_sge;
		rxe_dump_ring(qp->rq.queue, &out->rq);
		if (!err)
			err = rxe_bytes_copy(&bytes[RXE_BYTES_RQ], &bufs->rq,
					     qp->rq.queue->buf,
					     qp->rq.queue->buf_size);
	}

	if (!err)
		err = rxe_dump_resources(qp, &bufs->res, out->num_res,
					 &bytes[RXE_BYTES_RES]);

	return err;
}
