// SPDX-License-Identifier: Apache-2.0
#include "extended.h"

#include <errno.h>

#define ANY	  (IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM)
#define CONNECTED (IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | IBV_QP_EX_WITH_RDMA_READ | \
		   IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP | IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD)

struct ibv_qp *extended_qp(struct ibv_pd *pd, const struct ibv_qp_init_attr *init)
{
	struct ibv_qp_init_attr_ex all = {
		.qp_context = init->qp_context,
		.send_cq = init->send_cq,
		.recv_cq = init->recv_cq,
		.srq = init->srq,
		.cap = init->cap,
		.qp_type = init->qp_type,
		.sq_sig_all = init->sq_sig_all,
		.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.pd = pd,
		.send_ops_flags = init->qp_type == IBV_QPT_UD ? ANY : ANY | CONNECTED,
	};

	return ibv_create_qp_ex(pd->context, &all);
}

static int build(struct ibv_qp_ex *qp, const struct ibv_send_wr *wr)
{
	switch (wr->opcode) {
	case IBV_WR_SEND:
		ibv_wr_send(qp);
		return 0;
	case IBV_WR_SEND_WITH_IMM:
		ibv_wr_send_imm(qp, wr->imm_data);
		return 0;
	case IBV_WR_RDMA_WRITE:
		ibv_wr_rdma_write(qp, wr->wr.rdma.rkey, wr->wr.rdma.remote_addr);
		return 0;
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		ibv_wr_rdma_write_imm(qp, wr->wr.rdma.rkey, wr->wr.rdma.remote_addr, wr->imm_data);
		return 0;
	case IBV_WR_RDMA_READ:
		ibv_wr_rdma_read(qp, wr->wr.rdma.rkey, wr->wr.rdma.remote_addr);
		return 0;
	case IBV_WR_ATOMIC_CMP_AND_SWP:
		ibv_wr_atomic_cmp_swp(qp, wr->wr.atomic.rkey, wr->wr.atomic.remote_addr, wr->wr.atomic.compare_add,
				      wr->wr.atomic.swap);
		return 0;
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		ibv_wr_atomic_fetch_add(qp, wr->wr.atomic.rkey, wr->wr.atomic.remote_addr,
					wr->wr.atomic.compare_add);
		return 0;
	default:
		return EINVAL;
	}
}

static void set_data(struct ibv_qp_ex *qp, const struct ibv_send_wr *wr)
{
	const struct ibv_sge *sge = wr->sg_list;

	if (wr->send_flags & IBV_SEND_INLINE)
		ibv_wr_set_inline_data(qp, (void *)(uintptr_t)sge->addr, sge->length);
	else
		ibv_wr_set_sge(qp, sge->lkey, sge->addr, sge->length);
}

int extended_post(struct ibv_qp *qp, const struct ibv_send_wr *wr)
{
	struct ibv_qp_ex *to = ibv_qp_to_qp_ex(qp);
	int ret;

	if (wr->num_sge != 1)
		return EINVAL;
	ibv_wr_start(to);
	to->wr_id = wr->wr_id;
	to->wr_flags = (unsigned int)wr->send_flags;
	ret = build(to, wr);
	if (ret) {
		ibv_wr_abort(to);
		return ret;
	}
	if (qp->qp_type == IBV_QPT_UD)
		ibv_wr_set_ud_addr(to, wr->wr.ud.ah, wr->wr.ud.remote_qpn, wr->wr.ud.remote_qkey);
	set_data(to, wr);
	return ibv_wr_complete(to);
}

struct ibv_cq_ex *extended_cq(struct ibv_context *context, uint32_t entries, void *of, struct ibv_comp_channel *channel)
{
	struct ibv_cq_init_attr_ex init = {
		.cqe = entries,
		.cq_context = of,
		.channel = channel,
		.wc_flags = IBV_WC_EX_WITH_BYTE_LEN | IBV_WC_EX_WITH_IMM | IBV_WC_EX_WITH_QP_NUM,
	};

	return ibv_create_cq_ex(context, &init);
}

static void read_one(struct ibv_cq_ex *cq, struct ibv_wc *wc)
{
	*wc = (struct ibv_wc){ .wr_id = cq->wr_id, .status = cq->status, .qp_num = ibv_wc_read_qp_num(cq) };
	if (wc->status != IBV_WC_SUCCESS)
		return;
	wc->opcode = ibv_wc_read_opcode(cq);
	wc->byte_len = ibv_wc_read_byte_len(cq);
	wc->wc_flags = ibv_wc_read_wc_flags(cq);
	if (wc->wc_flags & IBV_WC_WITH_IMM)
		wc->imm_data = ibv_wc_read_imm_data(cq);
}

int extended_poll(struct ibv_cq_ex *cq, int count, struct ibv_wc *wc)
{
	struct ibv_poll_cq_attr none = { 0 };
	int ret = 0, n = 0;

	/* One at a time: rxe's provider ends a poll itself where ibv_next_poll() finds no more, others do not. */
	while (n < count && !(ret = ibv_start_poll(cq, &none))) {
		read_one(cq, &wc[n++]);
		ibv_end_poll(cq);
	}
	return n || ret == ENOENT ? n : -ret;
}
