// SPDX-License-Identifier: GPL-2.0
/* The requests of transcript.c, right ones and wrong ones. */
#include <arpa/inet.h>
#include <stdio.h>

#include "random.h"
#include "transcript.h"

static const char *const defects[] = {
	"right", "wrong lkey", "wrong rkey", "behind the region's end",
	"below the region's start", "no receive request", "short receive request",
	"wrong opcode", "unaligned",
};

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

	printf("end %d: posts receive %u of %u bytes: %d\n", n, s->recvs - 1,
	       size, ibv_post_recv(s->e.qp, &wr, &bad));
}

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

void post_request(int n, enum ibv_wr_opcode opcode, enum defect defect,
		  bool is_last)
{
	struct side *s = &side[n];
	unsigned int nth = s->sends++, slot = nth % SLOTS, parts = 1 + any(3), i;
	uint32_t size = is_atomic(opcode) ? 8 : any(4) ? any(BYTES) : any(2) * 1024;
	bool is_read = opcode == IBV_WR_RDMA_READ || is_atomic(opcode);
	uint8_t *at = is_read ? s->mem->in[slot] : s->mem->out[slot];
	struct ibv_send_wr *bad, wr = { .wr_id = nth, .opcode = opcode };
	struct ibv_sge sge[3];
	uint32_t rkey = side[!n].e.mr->rkey;
	int ret;

	if (is_atomic(opcode) || any(2))
		parts = 1;
	if (!is_read && any(5) == 0) {
		wr.send_flags |= IBV_SEND_INLINE;
		size = any(INLINE + 1);
		parts = 1;
	}
	if (any(4) == 0)
		wr.send_flags |= IBV_SEND_FENCE;
	if (any(4) == 0)
		wr.send_flags |= IBV_SEND_SOLICITED;
	if (is_last || any(3))
		wr.send_flags |= IBV_SEND_SIGNALED;
	for (i = 0; i < parts; i++)
		sge[i] = (struct ibv_sge){
			(uintptr_t)at + size / parts * i,
			i + 1 < parts ? size / parts : size - size / parts * i,
			defect == BAD_LKEY ? 0x1234567 : s->e.mr->lkey,
		};
	wr.sg_list = sge;
	wr.num_sge = parts;
	wr.imm_data = htonl(nth);
	if (is_atomic(opcode)) {
		wr.wr.atomic.remote_addr = remote_address(n, slot, defect);
		wr.wr.atomic.rkey = defect == BAD_RKEY ? rkey ^ 1 : rkey;
		wr.wr.atomic.compare_add = any(3);
		wr.wr.atomic.swap = any(1000);
	} else {
		wr.wr.rdma.remote_addr = remote_address(n, slot, defect);
		wr.wr.rdma.rkey = defect == BAD_RKEY ? rkey ^ 1 : rkey;
	}
	if (defect == BAD_OPCODE)
		wr.opcode = 40;
	if (takes_receive(opcode) && defect != NO_RECEIVE)
		post_receive(!n, defect == SHORT_RECEIVE ? size / 2 : size + any(100));
	ret = ibv_post_send(s->e.qp, &wr, &bad);
	printf("end %d: posts %u, opcode %d, %u bytes in %u, flags %#x, %s: %d\n",
	       n, nth, opcode, size, parts, wr.send_flags, defects[defect], ret);
	if (!ret && wr.send_flags & IBV_SEND_SIGNALED)
		s->awaited++;
}
