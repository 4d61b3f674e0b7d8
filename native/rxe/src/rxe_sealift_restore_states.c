// SPDX-License-Identifier: GPL-2.0
/* Take a new queue pair through the states to the state of a dumped one. */
#include "rxe_sealift.h"

static int rxe_restore_to(struct rxe_qp *qp, enum ib_qp_state state)
{
	struct ib_qp_attr attr = { .qp_state = state };

	return ib_modify_qp(&qp->ibqp, &attr, IB_QP_STATE);
}

static int rxe_restore_to_init(struct rxe_qp *qp,
			       const struct sealift_rxe_qp *in)
{
	struct ib_qp_attr attr = {
		.qp_state = IB_QPS_INIT,
		.pkey_index = in->attr.pkey_index,
		.port_num = in->attr.port_num,
		.qp_access_flags = in->attr.access_flags,
		.qkey = in->attr.qkey,
	};

	return ib_modify_qp(&qp->ibqp, &attr,
			    IB_QP_STATE | IB_QP_PKEY_INDEX | IB_QP_PORT |
			    (qp_type(qp) == IB_QPT_UD ? IB_QP_QKEY :
							IB_QP_ACCESS_FLAGS));
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
	int err;

	/*
	 * The interface would drop packets that got through at the source, and
	 * their retransmissions. Longer ones did not get through there either.
	 */
	if (min_t(u32, in->attr.path_mtu, in->attr.active_mtu) >
	    rxe->port.attr.active_mtu)
		return -EMSGSIZE;

	if (qp_type(qp) == IB_QPT_UD)
		return rxe_restore_to(qp, IB_QPS_RTR);

	err = rxe_restore_av(rxe, &in->attr.av, &attr.ah_attr);
	if (err)
		return err;

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

	if (qp_type(qp) == IB_QPT_UD)
		return ib_modify_qp(&qp->ibqp, &attr,
				    IB_QP_STATE | IB_QP_SQ_PSN);

	return ib_modify_qp(&qp->ibqp, &attr,
			    IB_QP_STATE | IB_QP_TIMEOUT | IB_QP_RETRY_CNT |
			    IB_QP_RNR_RETRY | IB_QP_SQ_PSN |
			    IB_QP_MAX_QP_RD_ATOMIC);
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
	if (err || in->state == IB_QPS_INIT)
		return err;

	/* the error state needs no more than that */
	if (qp_type(qp) == IB_QPT_UD ? error : !in->attr.av.present)
		return 0;

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
