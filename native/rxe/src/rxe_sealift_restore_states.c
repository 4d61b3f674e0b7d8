// SPDX-License-Identifier: GPL-2.0
/* Take a new queue pair through the states to the state of a dumped one. */
#include "rxe_sealift.h"

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

/* A kernel caller passes a resolved address: this sends nothing. */
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

	/* the interface would drop every packet and its retransmissions */
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
 * Go through the states that the application has set, up to the one in @in. A
 * queue pair in the error state may come from any of them. It sends nothing any
 * more, so that its address need not exist here.
 */
int rxe_restore_states(struct rxe_qp *qp, const struct sealift_rxe_qp *in,
		       bool error)
{
	int err;

	if (in->state == IB_QPS_RESET)
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

/*
 * modify_qp has no transition from RESET to the error state. A queue pair in
 * RESET has nothing to flush and no peer: it stays in RESET.
 */
int rxe_restore_error(struct rxe_qp *qp, const struct sealift_rxe_qp *in)
{
	return in->state == IB_QPS_RESET ? 0 : rxe_restore_to(qp, IB_QPS_ERR);
}
