// SPDX-License-Identifier: GPL-2.0
#include "datagram.h"

#include <arpa/inet.h>
#include <err.h>

void datagram_init(struct endpoint *e)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qkey = DATAGRAM_QKEY,
	};

	if (ibv_modify_qp(e->qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
			  IBV_QP_PORT | IBV_QP_QKEY))
		err(1, "INIT");
}

void datagram_to(struct endpoint *e, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state, .sq_psn = DATAGRAM_PSN };
	int mask = IBV_QP_STATE;

	if (state == IBV_QPS_RTS)
		mask |= IBV_QP_SQ_PSN;
	if (ibv_modify_qp(e->qp, &attr, mask))
		err(1, "state %d", state);
}

void datagram_ready(struct endpoint *e)
{
	datagram_init(e);
	datagram_to(e, IBV_QPS_RTR);
	datagram_to(e, IBV_QPS_RTS);
}

struct ibv_ah *datagram_handle(struct endpoint *e, const union ibv_gid *gid)
{
	struct ibv_ah_attr attr = {
		.is_global = 1,
		.port_num = 1,
		.grh = {
			.dgid = *gid,
			.sgid_index = endpoint_sgid_index(e),
			.hop_limit = 64,
			.traffic_class = 8,
		},
	};
	struct ibv_ah *ah = ibv_create_ah(e->pd, &attr);

	if (!ah)
		err(1, "ibv_create_ah");
	return ah;
}

void datagram_send(struct endpoint *e, const struct datagram *d)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)d->data,
		.length = d->size,
		.lkey = e->mr->lkey,
	};
	struct ibv_send_wr *bad, wr = {
		.wr_id = d->wr_id,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = d->immediate ? IBV_WR_SEND_WITH_IMM : IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED | d->flags,
		.imm_data = htonl(d->immediate),
		.wr.ud = {
			.ah = d->ah,
			.remote_qpn = d->qpn,
			.remote_qkey = DATAGRAM_QKEY,
		},
	};

	if (ibv_post_send(e->qp, &wr, &bad))
		err(1, "ibv_post_send");
}

void datagram_receive(struct endpoint *e, void *at, uint32_t size,
		      uint64_t wr_id)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)at,
		.length = size,
		.lkey = e->mr->lkey,
	};
	struct ibv_recv_wr wr = {
		.wr_id = wr_id, .sg_list = &sge, .num_sge = 1,
	};

	endpoint_post_recv(e, &wr);
}
