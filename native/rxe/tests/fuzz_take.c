// SPDX-License-Identifier: GPL-2.0
/* Queue pairs in the states that an image can show. */
#include <err.h>
#include <stdlib.h>

#include "fuzz.h"
#include "random.h"

static void requests(struct scripted *s)
{
	scripted_post(s, IBV_WR_SEND, 0, 3000, 1);
	scripted_post(s, IBV_WR_RDMA_WRITE, 4096, 3000, 2);
	scripted_post(s, IBV_WR_RDMA_READ, 8192, 3000, 3);
	scripted_post(s, IBV_WR_ATOMIC_FETCH_AND_ADD, 16384, 8, 4);
}

static void read_half_way(struct scripted *s)
{
	struct wire_packet p = {
		.opcode = WIRE_READ_FIRST,
		.qpn = s->end.qp->qp_num,
		.psn = SCRIPTED_SQ_PSN,
		.syndrome = WIRE_OK,
		.size = WIRE_MTU,
	};

	scripted_post(s, IBV_WR_RDMA_READ, 8192, 3 * WIRE_MTU, 1);
	scripted_count(s, WIRE_READ, 20);
	wire_send(&s->wire, &p);
}

static void message(struct scripted *s, uint8_t opcode)
{
	struct wire_packet p = scripted_request(s, opcode, 0);

	scripted_post_recv(s, 4096);
	scripted_post_recv(s, 4096);
	p.size = WIRE_MTU;
	p.length = 3 * WIRE_MTU;
	wire_send(&s->wire, &p);
}

static void answers(struct scripted *s)
{
	static const uint8_t opcodes[] = {
		WIRE_READ, WIRE_FETCH_ADD, WIRE_ATOMIC_WRITE, WIRE_FLUSH,
	};
	struct wire_packet p;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		p = scripted_request(s, opcodes[i], i);
		p.length = opcodes[i] == WIRE_READ ? 100 : 8;
		p.size = opcodes[i] == WIRE_ATOMIC_WRITE ? 8 : 0;
		p.swap_add = 1;
		p.flush = 1 | 1 << 4;
		wire_send(&s->wire, &p);
	}
}

static void some_state(struct scripted *s)
{
	switch (any(8)) {
	case 0:
		break;
	case 1:
		requests(s);
		break;
	case 2:
		read_half_way(s);
		break;
	case 3:
		message(s, WIRE_SEND_FIRST);
		break;
	case 4:
		message(s, WIRE_WRITE_FIRST);
		break;
	case 5:
		answers(s);
		break;
	case 6:
		requests(s);
		scripted_count(s, WIRE_SEND_LAST, 20);
		scripted_answer(s, WIRE_RNR | 28, 0);
		break;
	default:
		requests(s);
		answers(s);
	}
	scripted_count(s, WIRE_ACK, 20);
}

void fuzz_take(struct fuzz *f)
{
	struct scripted *s = &f->s;

	if (any(2))
		setenv("LIVE_SRQ", "1", 1);
	else
		unsetenv("LIVE_SRQ");
	scripted_open(s);
	f->memory = (struct mutate_memory){
		.address = (uintptr_t)s->mem,
		.size = SCRIPTED_BYTES,
		.key = s->end.mr->rkey,
	};
	f->cq_handle = s->end.cq->handle;
	f->mr_handle = s->end.mr->handle;
	f->srq_handle = s->end.srq ? s->end.srq->handle : SEALIFT_RXE_NONE;
	some_state(s);
	scripted_hold(s);
	if (any(8) == 0)
		scripted_answer(s, WIRE_NAK_ACCESS, any(4));
	scripted_hold(s);
	victim_take(&f->v, s->fd, s->end.qp->handle);
}
