// SPDX-License-Identifier: GPL-2.0
/*
 * The extended interfaces of verbs: queue pairs to which requests are posted call
 * by call (ibv_wr_start() to ibv_wr_complete()), and completion queues that are
 * read field by field. User space works on the same rings as with the other ones,
 * but may be stopped between two calls.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>

#include "datagram.h"
#include "match.h"

#define FIELDS	(IBV_WC_EX_WITH_BYTE_LEN | IBV_WC_EX_WITH_IMM | \
		 IBV_WC_EX_WITH_QP_NUM | IBV_WC_EX_WITH_SRC_QP)
#define ANY_QP	(IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM)
#define RC_ONLY	(IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | \
		 IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP | \
		 IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD | \
		 IBV_QP_EX_WITH_ATOMIC_WRITE | IBV_QP_EX_WITH_FLUSH)

static void extend_cq(struct match_end *own, const struct ibv_qp_cap *cap)
{
	struct ibv_cq_init_attr_ex init = {
		.cqe = cap->max_send_wr + cap->max_recv_wr,
		.cq_context = own,
		.channel = own->e.channel,
		.wc_flags = FIELDS,
	};

	if (ibv_destroy_cq(own->e.cq))
		err(1, "ibv_destroy_cq");
	own->cq = ibv_create_cq_ex(own->e.ctx, &init);
	if (!own->cq)
		err(1, "ibv_create_cq_ex");
	own->e.cq = ibv_cq_ex_to_cq(own->cq);
	if (ibv_req_notify_cq(own->e.cq, 0))
		err(1, "ibv_req_notify_cq");
}

void match_extend(struct match *m, int end, const struct ibv_qp_cap *cap)
{
	struct match_end *own = &m->end[end];
	struct ibv_qp_init_attr_ex init = {
		.srq = own->e.srq,
		.cap = *cap,
		.qp_type = m->type,
		.comp_mask = IBV_QP_INIT_ATTR_PD |
			     IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.pd = own->e.pd,
		.send_ops_flags = m->type == IBV_QPT_UD ? ANY_QP :
							  ANY_QP | RC_ONLY,
	};

	if (ibv_destroy_qp(own->e.qp))
		err(1, "ibv_destroy_qp");
	if (m->traits & MATCH_EXTENDED)
		extend_cq(own, cap);
	init.send_cq = own->e.cq;
	init.recv_cq = own->e.cq;
	own->e.qp = ibv_create_qp_ex(own->e.ctx, &init);
	if (!own->e.qp)
		err(1, "ibv_create_qp_ex");
}

static void build(struct ibv_qp_ex *qp, const struct match_op *op,
		  const struct ibv_send_wr *wr)
{
	uint32_t rkey = wr->wr.rdma.rkey;
	uint64_t at = wr->wr.rdma.remote_addr;

	switch (op->kind) {
	case MATCH_SEND:
		ibv_wr_send(qp);
		break;
	case MATCH_SEND_IMM:
		ibv_wr_send_imm(qp, wr->imm_data);
		break;
	case MATCH_WRITE:
		ibv_wr_rdma_write(qp, rkey, at);
		break;
	case MATCH_WRITE_IMM:
		ibv_wr_rdma_write_imm(qp, rkey, at, wr->imm_data);
		break;
	case MATCH_READ:
		ibv_wr_rdma_read(qp, rkey, at);
		break;
	case MATCH_CAS:
		ibv_wr_atomic_cmp_swp(qp, wr->wr.atomic.rkey,
				      wr->wr.atomic.remote_addr,
				      wr->wr.atomic.compare_add,
				      wr->wr.atomic.swap);
		break;
	case MATCH_ADD:
		ibv_wr_atomic_fetch_add(qp, wr->wr.atomic.rkey,
					wr->wr.atomic.remote_addr,
					wr->wr.atomic.compare_add);
		break;
	case MATCH_ATOMIC_WRITE:
		ibv_wr_atomic_write(qp, rkey, at,
				    (void *)(uintptr_t)wr->sg_list->addr);
		break;
	default:
		ibv_wr_flush(qp, rkey, at, MATCH_BYTES, IBV_FLUSH_GLOBAL,
			     IBV_FLUSH_RANGE);
	}
}

void match_extended_begin(const struct match *m, int end,
			  const struct match_op *op,
			  const struct ibv_send_wr *wr)
{
	struct ibv_qp_ex *qp = ibv_qp_to_qp_ex(m->end[end].e.qp);
	const struct ibv_sge *sge = wr->sg_list;

	ibv_wr_start(qp);
	qp->wr_id = wr->wr_id;
	qp->wr_flags = wr->send_flags;
	build(qp, op, wr);
	/* these two say themselves what they carry */
	if (op->kind >= MATCH_ATOMIC_WRITE)
		return;
	if (m->type == IBV_QPT_UD)
		ibv_wr_set_ud_addr(qp, wr->wr.ud.ah, wr->wr.ud.remote_qpn,
				   wr->wr.ud.remote_qkey);
	if (op->flags & IBV_SEND_INLINE)
		ibv_wr_set_inline_data(qp, (void *)(uintptr_t)sge->addr,
				       sge->length);
	else
		ibv_wr_set_sge(qp, sge->lkey, sge->addr, sge->length);
}

void match_extended_complete(const struct match *m, int end)
{
	if (ibv_wr_complete(ibv_qp_to_qp_ex(m->end[end].e.qp)))
		err(1, "ibv_wr_complete");
}

bool match_extended_read(const struct match_end *own, struct ibv_wc *wc)
{
	struct ibv_poll_cq_attr none = { 0 };
	int ret = ibv_start_poll(own->cq, &none);

	if (ret == ENOENT)
		return false;
	if (ret)
		errx(1, "ibv_start_poll: %d", ret);
	*wc = (struct ibv_wc){
		.wr_id = own->cq->wr_id,
		.status = own->cq->status,
		.wc_flags = ibv_wc_read_wc_flags(own->cq),
		.qp_num = ibv_wc_read_qp_num(own->cq),
		.src_qp = ibv_wc_read_src_qp(own->cq),
	};
	/* of a failed one verbs promise no more */
	if (wc->status != IBV_WC_SUCCESS)
		return true;
	wc->opcode = ibv_wc_read_opcode(own->cq);
	wc->byte_len = ibv_wc_read_byte_len(own->cq);
	if (wc->wc_flags & IBV_WC_WITH_IMM)
		wc->imm_data = ibv_wc_read_imm_data(own->cq);
	return true;
}

void match_extended_end(const struct match_end *own)
{
	ibv_end_poll(own->cq);
}
