// SPDX-License-Identifier: GPL-2.0
/* The image of a UD queue pair, and what the driver makes of it. */
#include "mutate.h"

#include "expect.h"
#include "mutate_ring.h"
#include "random.h"
#include "../src/rxe_sealift_invariants.h"

#define PSN(n) ((n) & RXE_IMAGE_PSN_MAX)

static uint32_t some_opcode(void)
{
	static const uint32_t opcodes[] = {
		SEALIFT_RXE_NONE, RXE_IMAGE_UD_SEND, RXE_IMAGE_UD_SEND_IMM,
	};

	return any(8) ? opcodes[any(ARRAY_SIZE(opcodes))] : any(256);
}

static void state(struct victim *v)
{
	static const uint8_t states[] = {
		RXE_IMAGE_RESET, RXE_IMAGE_INIT, RXE_IMAGE_RTR, RXE_IMAGE_RTS,
		RXE_IMAGE_SQD, RXE_IMAGE_ERR, RXE_IMAGE_SQE,
	};

	v->qp.state = states[any(ARRAY_SIZE(states))];
	v->qp.flags = any(4) ? 0 : SEALIFT_RXE_QP_ERROR;
	v->qp.attr.sq_draining = v->qp.state == RXE_IMAGE_SQD && any(2);
	if (v->qp.state == RXE_IMAGE_RESET && any(2))
		v->qp.attr.port_num = 0;
}

static void received(struct victim *v)
{
	struct sealift_rxe_resp *r = &v->qp.resp;

	r->psn = PSN(interesting());
	r->ack_psn = PSN(any(2) ? r->psn : interesting());
	r->msn = interesting();
	r->opcode = some_opcode();
	r->status = any(23);
	r->drop_msg = any(2);
	r->aeth_syndrome = any(256);
}

static void sent(struct victim *v)
{
	v->qp.attr.sq_psn = PSN(interesting());
	v->qp.comp.psn = PSN(interesting());
	v->qp.req.psn = PSN(interesting());
	v->qp.req.opcode = some_opcode();
	v->qp.attr.qkey = any(2) ? v->qp.attr.qkey : interesting();
	v->qp.attr.path_mtu = any(2) ? v->qp.attr.path_mtu : any(7);
}

/* what only a connection has */
static void connection(struct victim *v)
{
	switch (any(5)) {
	case 0:
		v->qp.comp.rnr_wait = any(100);
		break;
	case 1:
		v->qp.attr.timeout = any(32);
		v->qp.attr.retry_cnt = any(8);
		break;
	case 2:
		v->qp.attr.max_dest_rd_atomic = 1 << any(4);
		v->qp.num_res = any(2) ? v->qp.attr.max_dest_rd_atomic : 0;
		break;
	case 3:
		v->qp.resp.wqe.present = 1;
		v->qp.resp.wqe.num_sge = any(3);
		break;
	default:
		v->qp.attr.av.present = any(2);
		v->qp.attr.av.network_type = any(3);
	}
}

void mutate_datagrams(struct victim *v, const struct mutate_memory *mem)
{
	unsigned int n = 1 + any(4);

	while (n--) {
		switch (any(11)) {
		case 0:
			state(v);
			break;
		case 1:
			received(v);
			break;
		case 2:
			sent(v);
			break;
		case 3:
			connection(v);
			break;
		case 4:
		case 5:
			mutate_receives(v, mem, any(5));
			break;
		case 6:
		case 7:
			mutate_datagram_requests(v, mem);
			break;
		case 8:
			mutate_limit(v);
			break;
		case 9:
			mutate_share(v);
			break;
		default:
			mutate_bytes(v);
		}
	}
}
