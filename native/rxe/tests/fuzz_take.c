// SPDX-License-Identifier: GPL-2.0
/* Queue pairs in the states that an image can show. */
#include <err.h>
#include <stdlib.h>

#include "datagram.h"
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

/* Datagrams: the one that waits is of a hold, those before are sent. */
static void some_datagrams(struct scripted *s, struct ibv_ah *ah)
{
	struct datagram d = {
		.ah = ah,
		.qpn = SCRIPTED_QPN,
		.data = s->mem,
		.size = 500,
	};
	unsigned int n;

	for (n = any(4); n; n--) {
		d.immediate = any(2);
		d.flags = any(4) ? 0 : IBV_SEND_SOLICITED;
		datagram_send(&s->end, &d);
	}
	for (n = any(4); n; n--)
		scripted_post_recv(s, 4096);
	scripted_count(s, WIRE_UD_SEND, 20);
	scripted_hold(s);
	for (n = any(4); n; n--)
		datagram_send(&s->end, &d);
}

static void open_some(struct scripted *s)
{
	if (any(4)) {
		scripted_open(s);
		return;
	}
	scripted_open_end(s, IBV_QPT_UD);
	datagram_ready(&s->end);
}

void fuzz_take(struct fuzz *f)
{
	struct sealift_rxe_ah handle;
	struct ibv_ah *ah;
	union ibv_gid gid;

	struct scripted *s = &f->s;

	if (any(2))
		setenv("LIVE_SRQ", "1", 1);
	else
		unsetenv("LIVE_SRQ");
	open_some(s);
	scripted_peer_gid(s, &gid);
	ah = datagram_handle(&s->end, &gid);
	f->ah_handle = ah->handle;
	f->memory = (struct mutate_memory){
		.address = (uintptr_t)s->mem,
		.size = SCRIPTED_BYTES,
		.key = s->end.mr->rkey,
	};
	f->cq_handle = s->end.cq->handle;
	f->mr_handle = s->end.mr->handle;
	f->srq_handle = s->end.srq ? s->end.srq->handle : SEALIFT_RXE_NONE;
	if (s->end.type == IBV_QPT_UD)
		some_datagrams(s, ah);
	else
		some_state(s);
	scripted_hold(s);
	if (any(8) == 0)
		scripted_answer(s, WIRE_NAK_ACCESS, any(4));
	if (sl_dump_ah(s->fd, ah->handle, &handle))
		errx(1, "DUMP_AH");
	f->memory.handle = handle.number;
	scripted_hold(s);
	victim_take(&f->v, s->fd, s->end.qp->handle);
}
