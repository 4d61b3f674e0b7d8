// SPDX-License-Identifier: GPL-2.0
/*
 * Give a new completion queue or queue pair of a held device the state of a
 * dumped one.
 */
#include "rxe_sealift.h"
#include "rxe_queue.h"

/* user space may have it mapped: the geometry in its header is the driver's */
static int rxe_restore_ring(struct rxe_queue *q,
			    const struct sealift_rxe_buffer *from)
{
	struct rxe_queue_buf *buf = q->buf;
	int err = 0;

	if (copy_from_user(buf, u64_to_user_ptr(from->address), q->buf_size))
		err = -EFAULT;

	buf->log2_elem_size = q->log2_elem_size;
	buf->index_mask = q->index_mask;

	return err;
}

static void rxe_clear_ring(struct rxe_queue *q)
{
	if (!q)
		return;

	rxe_queue_reset(q);
	q->buf->producer_index = 0;
	q->buf->consumer_index = 0;
	q->index = 0;
}

static bool rxe_ring_is_new(const struct rxe_queue *q)
{
	return !q || (!q->index && !q->buf->producer_index &&
		      !q->buf->consumer_index);
}

int rxe_restore_cq(struct rxe_cq *cq, const struct sealift_rxe_cq *in,
		   const struct sealift_rxe_buffer *ring)
{
	int err;

	if (!rxe_ring_is_new(cq->queue) ||
	    rxe_check_ring(cq->queue, &in->ring, ring) || rxe_check_cq(cq, in))
		return -EINVAL;

	err = rxe_restore_ring(cq->queue, ring);
	if (!err)
		err = rxe_check_cq_ring(cq, in);
	if (err) {
		rxe_clear_ring(cq->queue);
		return err;
	}

	spin_lock_irq(&cq->cq_lock);
	cq->queue->index = in->ring.index;
	cq->notify = in->notify;
	spin_unlock_irq(&cq->cq_lock);

	rxe_uobject_restore_cq(&cq->ibcq, in);
	return 0;
}

static int rxe_find_sgid(struct rxe_dev *rxe, const struct sealift_rxe_av *av)
{
	const struct ib_gid_attr *attr;
	struct net_device *ndev;
	union ib_gid gid;
	int index;

	memcpy(gid.raw, av->sgid, sizeof(gid.raw));

	ndev = rxe_ib_device_get_netdev(&rxe->ib_dev);
	if (!ndev)
		return -ENODEV;

	attr = rdma_find_gid_by_port(&rxe->ib_dev, &gid,
				     IB_GID_TYPE_ROCE_UDP_ENCAP, RXE_PORT,
				     ndev);
	dev_put(ndev);
	if (IS_ERR(attr))
		return -EADDRNOTAVAIL;

	index = attr->index;
	rdma_put_gid_attr(attr);
	return index;
}

static void rxe_fill_ah_attr(const struct sealift_rxe_av *av, u8 sgid_index,
			     struct rdma_ah_attr *ah)
{
	struct ib_global_route *grh = &ah->grh;

	ah->type = RDMA_AH_ATTR_TYPE_ROCE;
	ah->port_num = RXE_PORT;
	ah->ah_flags = IB_AH_GRH;
	memcpy(grh->dgid.raw, av->dgid, sizeof(grh->dgid.raw));
	grh->flow_label = av->flow_label;
	grh->sgid_index = sgid_index;
	grh->hop_limit = av->hop_limit;
	grh->traffic_class = av->traffic_class;
	memcpy(ah->roce.dmac, av->dmac, ETH_ALEN);
}

static int rxe_restore_to_init(struct rxe_qp *qp,
			       const struct sealift_rxe_qp *in)
{
	struct ib_qp_attr attr = {
		.qp_state = IB_QPS_INIT,
		.pkey_index = in->attr.pkey_index,
		.port_num = in->attr.port_num,
		.qp_access_flags = in->attr.access_flags,
	};

	return ib_modify_qp(&qp->ibqp, &attr,
			    IB_QP_STATE | IB_QP_PKEY_INDEX | IB_QP_PORT |
			    IB_QP_ACCESS_FLAGS);
}

/* Kernel callers bring a resolved address: no one on the network is asked. */
static int rxe_restore_to_rtr(struct rxe_qp *qp,
			      const struct sealift_rxe_qp *in)
{
	struct ib_qp_attr attr = {
		.qp_state = IB_QPS_RTR,
		.path_mtu = in->attr.path_mtu,
		.dest_qp_num = in->attr.dest_qpn,
		.rq_psn = in->resp.psn,
		.max_dest_rd_atomic = in->attr.max_dest_rd_atomic,
		.min_rnr_timer = in->attr.min_rnr_timer,
	};
	struct rxe_dev *rxe = to_rdev(qp->ibqp.device);
	int index;

	/* the interface would drop them, one retransmission after the other */
	if (in->attr.path_mtu > rxe->port.attr.active_mtu)
		return -EMSGSIZE;

	index = rxe_find_sgid(rxe, &in->attr.av);
	if (index < 0)
		return index;

	rxe_fill_ah_attr(&in->attr.av, index, &attr.ah_attr);

	return ib_modify_qp(&qp->ibqp, &attr,
			    IB_QP_STATE | IB_QP_AV | IB_QP_PATH_MTU |
			    IB_QP_DEST_QPN | IB_QP_RQ_PSN |
			    IB_QP_MAX_DEST_RD_ATOMIC | IB_QP_MIN_RNR_TIMER);
}

static int rxe_restore_to_rts(struct rxe_qp *qp,
			      const struct sealift_rxe_qp *in)
{
	struct ib_qp_attr attr = {
		.qp_state = IB_QPS_RTS,
		.timeout = in->attr.timeout,
		.retry_cnt = in->attr.retry_cnt,
		.rnr_retry = in->attr.rnr_retry,
		.sq_psn = in->comp.psn,
		.max_rd_atomic = in->attr.max_rd_atomic,
	};

	return ib_modify_qp(&qp->ibqp, &attr,
			    IB_QP_STATE | IB_QP_TIMEOUT | IB_QP_RETRY_CNT |
			    IB_QP_RNR_RETRY | IB_QP_SQ_PSN |
			    IB_QP_MAX_QP_RD_ATOMIC);
}

static int rxe_restore_to(struct rxe_qp *qp, enum ib_qp_state state)
{
	struct ib_qp_attr attr = { .qp_state = state };

	return ib_modify_qp(&qp->ibqp, &attr, IB_QP_STATE);
}

/*
 * Go the way of states that the application went. A queue pair in the error
 * state may have got there from anywhere, and needs no peer any more.
 */
static int rxe_restore_states(struct rxe_qp *qp,
			      const struct sealift_rxe_qp *in, bool error)
{
	int err;

	if (in->state == IB_QPS_RESET || !in->attr.port_num)
		return 0;

	err = rxe_restore_to_init(qp, in);
	if (err || in->state == IB_QPS_INIT || !in->attr.av.present)
		return err;

	err = rxe_restore_to_rtr(qp, in);
	if ((err == -EADDRNOTAVAIL || err == -EMSGSIZE) && error)
		return 0;
	if (err || in->state == IB_QPS_RTR)
		return err;

	err = rxe_restore_to_rts(qp, in);
	if (err || in->state != IB_QPS_SQD)
		return err;

	return rxe_restore_to(qp, IB_QPS_SQD);
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

/* Before the first packet can come in: a duplicate's answer needs some of it. */
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

static struct sealift_rxe_res *
rxe_copy_resources(const struct sealift_rxe_buffer *from, u32 num)
{
	struct sealift_rxe_res *res;
	u32 i;

	if (from->size != num * sizeof(*res))
		return ERR_PTR(-EINVAL);

	if (!num)
		return NULL;

	res = memdup_array_user(u64_to_user_ptr(from->address), num,
				sizeof(*res));
	if (IS_ERR(res))
		return res;

	for (i = 0; i < num; i++) {
		if (rxe_check_res(&res[i])) {
			kfree(res);
			return ERR_PTR(-EINVAL);
		}
	}

	return res;
}

static int rxe_restore_rings(struct rxe_qp *qp,
			     const struct sealift_rxe_qp *in,
			     const struct sealift_rxe_qp_buffers *bufs)
{
	int err;

	err = rxe_restore_ring(qp->sq.queue, &bufs->sq);
	if (!err)
		err = rxe_check_sq_ring(qp, in);

	if (!err && qp->rq.queue)
		err = rxe_restore_ring(qp->rq.queue, &bufs->rq);
	if (!err)
		err = rxe_check_rq_ring(qp, in);

	if (err) {
		rxe_clear_ring(qp->sq.queue);
		rxe_clear_ring(qp->rq.queue);
		return err;
	}

	qp->sq.queue->index = in->sq.index;
	if (qp->rq.queue)
		qp->rq.queue->index = in->rq.index;

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

	/* what the application asked for, not what it has come to */
	qp->attr.rq_psn = in->attr.rq_psn;
	qp->attr.sq_psn = in->attr.sq_psn;
	qp->attr.qkey = in->attr.qkey;
	if (in->state == IB_QPS_SQD)
		qp->attr.sq_draining = in->attr.sq_draining;

	spin_unlock_irqrestore(&qp->state_lock, flags);
}

int rxe_restore_qp(struct rxe_qp *qp, const struct sealift_rxe_qp *in,
		   const struct sealift_rxe_qp_buffers *bufs)
{
	bool error = in->state == IB_QPS_ERR ||
		     in->flags & SEALIFT_RXE_QP_ERROR;
	struct sealift_rxe_res *res;
	int err;
	u32 i;

	if (qp_type(qp) != IB_QPT_RC || qp->srq)
		return -EOPNOTSUPP;

	if (qp_state(qp) != IB_QPS_RESET || !rxe_ring_is_new(qp->sq.queue) ||
	    !rxe_ring_is_new(qp->rq.queue) ||
	    rxe_check_ring(qp->sq.queue, &in->sq, &bufs->sq) ||
	    rxe_check_ring(qp->rq.queue, &in->rq, &bufs->rq) ||
	    rxe_check_buffer(&bufs->res) || rxe_check_qp(qp, in))
		return -EINVAL;

	res = rxe_copy_resources(&bufs->res, in->num_res);
	if (IS_ERR(res))
		return PTR_ERR(res);

	err = rxe_restore_rings(qp, in, bufs);
	if (err)
		goto out;

	rxe_restore_resp(qp, &in->resp);

	err = rxe_restore_states(qp, in, error);
	if (err)
		goto out;

	if (!error && in->src_port != qp->src_port) {
		err = -EINVAL;
		goto out;
	}

	/* the responder may answer duplicates by now, but not find these yet */
	if (qp->resp.resources && qp->attr.max_dest_rd_atomic == in->num_res) {
		for (i = 0; i < in->num_res; i++)
			rxe_restore_res(&qp->resp.resources[i], &res[i]);
		qp->resp.res_head = in->resp.res_head;
	}

	rxe_restore_requester(qp, in);

	if (error)
		err = rxe_restore_to(qp, IB_QPS_ERR);
	if (!err)
		rxe_uobject_restore_qp(&qp->ibqp, in);
out:
	kfree(res);
	return err;
}
