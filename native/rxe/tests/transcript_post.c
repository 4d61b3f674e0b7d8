// SPDX-License-Identifier: GPL-2.0
/* The requests of transcript.c, right ones and wrong ones. */
#include <arpa/inet.h>
#include <stdio.h>

#include "datagram.h"
#include "random.h"
#include "transcript.h"

static const char *const defects[] = {
	"right", "wrong lkey", "wrong rkey", "behind the region's end",
	"below the region's start", "no receive request", "short receive request",
	"wrong opcode", "unaligned", "wrong Q_Key", "wrong queue pair", "too long",
};

static bool takes_receive(enum ibv_wr_opcode opcode)
{
	return opcode == IBV_WR_SEND || opcode == IBV_WR_SEND_WITH_IMM ||
	       opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
}

static bool is_atomic(enum ibv_wr_opcode opcode)
{
	return opcode == IBV_WR_ATOMIC_CMP_AND_SWP ||
	       opcode == IBV_WR_ATOMIC_FETCH_AND_ADD;
}

static void post_receive(int n, uint32_t size)
{
	struct side *s = &side[n];
	uint8_t *at = s->mem->recv[s->recvs % SLOTS];
	unsigned int parts = 1 + any(2);
	struct ibv_sge sge[2] = {
		{ (uintptr_t)at, parts == 2 ? size / 2 : size, s->e.mr->lkey },
		{ (uintptr_t)at + size / 2, size - size / 2, s->e.mr->lkey },
	};
	struct ibv_recv_wr *bad, wr = {
		.wr_id = RECV | s->recvs++, .sg_list = sge, .num_sge = parts,
	};
	int ret = s->e.srq ? ibv_post_srq_recv(s->e.srq, &wr, &bad) :
			     ibv_post_recv(s->e.qp, &wr, &bad);

	printf("end %d: posts receive %u of %u bytes: %d\n", n, s->recvs - 1,
	       size, ret);
	s->left += !ret;
}

/* For a request of @size bytes. Those that are left over are for any message, so all are as long then. */
static void post_receive_for(int n, uint32_t size, enum defect defect)
{
	uint32_t head = side[n].ah ? DATAGRAM_GRH : 0;

	if (defect == NO_RECEIVE)
		return;
	if (defect == SHORT_RECEIVE)
		post_receive(n, (head + size) / 2);
	else
		post_receive(n, side[n].ah || side[n].e.srq ? SLOT :
			     size + any(100));
}

/* Is there such a defect of such a request now? */
static bool is_possible(int n, enum ibv_wr_opcode opcode, enum defect defect)
{
	switch (defect) {
	case NO_RECEIVE:
	case SHORT_RECEIVE:
		return takes_receive(opcode) && !side[!n].left;
	case BAD_RKEY:
	case BEHIND_END:
	case BELOW_START:
	case UNALIGNED:
		return !side[n].ah;
	case BAD_QKEY:
	case BAD_QPN:
	case TOO_LONG:
		return side[n].ah;
	default:
		return true;
	}
}

static uint64_t remote_address(int n, unsigned int slot, enum defect defect)
{
	struct memory *mem = side[!n].mem;

	switch (defect) {
	case BEHIND_END:
		return (uintptr_t)(mem + 1) - 4;
	case BELOW_START:
		return (uintptr_t)mem - 16;
	case UNALIGNED:
		return (uintptr_t)mem->target[slot] + 3;
	default:
		return (uintptr_t)mem->target[slot];
	}
}

static void address(int n, struct ibv_send_wr *wr, unsigned int slot,
		    enum defect defect)
{
	uint32_t rkey = side[!n].e.mr->rkey;

	if (side[n].ah) {
		wr->wr.ud.ah = side[n].ah;
		wr->wr.ud.remote_qpn = side[!n].e.qp->qp_num;
		if (defect == BAD_QPN)
			wr->wr.ud.remote_qpn ^= 0x800000;
		wr->wr.ud.remote_qkey = defect == BAD_QKEY ? DATAGRAM_QKEY + 1 :
							     DATAGRAM_QKEY;
	} else if (is_atomic(wr->opcode)) {
		wr->wr.atomic.remote_addr = remote_address(n, slot, defect);
		wr->wr.atomic.rkey = defect == BAD_RKEY ? rkey ^ 1 : rkey;
		wr->wr.atomic.compare_add = any(3);
		wr->wr.atomic.swap = any(1000);
	} else {
		wr->wr.rdma.remote_addr = remote_address(n, slot, defect);
		wr->wr.rdma.rkey = defect == BAD_RKEY ? rkey ^ 1 : rkey;
	}
}

static uint32_t size_of(int n, enum ibv_wr_opcode opcode, enum defect defect)
{
	if (is_atomic(opcode))
		return 8;
	if (defect == TOO_LONG)
		return BYTES;
	/* of nothing no key is looked at */
	if (side[n].ah)
		return 1 + any(DATAGRAM_BYTES);
	return any(4) ? any(BYTES) : any(2) * 1024;
}

static uint32_t flags_of(bool is_last)
{
	uint32_t flags = 0;

	if (any(4) == 0)
		flags |= IBV_SEND_FENCE;
	if (any(4) == 0)
		flags |= IBV_SEND_SOLICITED;
	if (is_last || any(3))
		flags |= IBV_SEND_SIGNALED;
	return flags;
}

/* What comes of a request that was posted. */
static void await(int n, uint32_t flags, enum defect defect)
{
	struct side *own = &side[n], *peer = &side[!n];

	if (flags & IBV_SEND_SIGNALED)
		own->awaited++;
	if (!own->ah)
		return;
	/* the rest of its step goes nowhere, and a short request stays in its queue */
	if (defect == BAD_LKEY || defect == BAD_OPCODE)
		own->broken = true;
	if (defect == SHORT_RECEIVE) {
		peer->broken = true;
		/* a shared queue's request ends with an error */
		peer->awaited_recvs += !!peer->e.srq;
	}
	if (defect == NONE && !own->broken && !peer->broken &&
	    peer->left > peer->awaited_recvs)
		peer->awaited_recvs++;
}

void post_request(int n, enum ibv_wr_opcode opcode, enum defect defect,
		  bool is_last)
{
	struct side *s = &side[n];
	unsigned int nth = s->sends++, slot = nth % SLOTS, parts = 1 + any(3), i;
	bool is_read = opcode == IBV_WR_RDMA_READ || is_atomic(opcode);
	uint8_t *at = is_read ? s->mem->in[slot] : s->mem->out[slot];
	struct ibv_send_wr *bad, wr = { .wr_id = nth, .opcode = opcode };
	struct ibv_sge sge[3];
	uint32_t size;
	int ret;

	if (!is_possible(n, opcode, defect))
		defect = NONE;
	size = size_of(n, opcode, defect);
	if (is_atomic(opcode) || any(2))
		parts = 1;
	wr.send_flags = flags_of(is_last);
	if (!is_read && defect == NONE && any(5) == 0) {
		wr.send_flags |= IBV_SEND_INLINE;
		size = any(INLINE + 1);
		parts = 1;
	}
	for (i = 0; i < parts; i++)
		sge[i] = (struct ibv_sge){
			(uintptr_t)at + size / parts * i,
			i + 1 < parts ? size / parts : size - size / parts * i,
			defect == BAD_LKEY ? 0x1234567 : s->e.mr->lkey,
		};
	wr.sg_list = sge;
	wr.num_sge = parts;
	wr.imm_data = htonl(nth);
	address(n, &wr, slot, defect);
	if (defect == BAD_OPCODE)
		wr.opcode = 40;
	if (takes_receive(opcode))
		post_receive_for(!n, size, defect);
	ret = ibv_post_send(s->e.qp, &wr, &bad);
	printf("end %d: posts %u, opcode %d, %u bytes in %u, flags %#x, %s: %d\n",
	       n, nth, opcode, size, parts, wr.send_flags, defects[defect], ret);
	if (!ret)
		await(n, wr.send_flags, defect);
}
