// SPDX-License-Identifier: GPL-2.0
/* The operations of a match: how each is posted, and what it must have done. */
#include <arpa/inet.h>
#include <err.h>
#include <string.h>

#include "datagram.h"
#include "match.h"

#define PATTERN(end, nth, i) ((uint8_t)((end) * 101 + (nth) * 17 + (i) * 7 + ((i) >> 8)))

const char *match_kind_name(enum match_kind kind)
{
	static const char *const names[] = {
		"SEND", "SEND with immediate", "WRITE", "WRITE with immediate",
		"READ", "compare-and-swap", "fetch-and-add", "ATOMIC WRITE",
		"FLUSH",
	};

	return names[kind];
}

bool match_is_message(enum match_kind kind)
{
	return kind == MATCH_SEND || kind == MATCH_SEND_IMM ||
	       kind == MATCH_WRITE_IMM;
}

static uint32_t size_of(const struct match *m, const struct match_op *op)
{
	if (op->kind >= MATCH_CAS && op->kind <= MATCH_ATOMIC_WRITE)
		return sizeof(uint64_t);
	if (op->flags & IBV_SEND_INLINE)
		return MATCH_INLINE;
	return m->type == IBV_QPT_UD ? 1000 : MATCH_BYTES;
}

static void fill(uint8_t *at, int end, unsigned int nth)
{
	unsigned int i;

	for (i = 0; i < MATCH_SLOT; i++)
		at[i] = PATTERN(end, nth, i);
}

static void look(const uint8_t *at, uint32_t size, int end, unsigned int nth,
		 const char *what)
{
	uint32_t i;

	for (i = 0; i < size; i++)
		if (at[i] != PATTERN(end, nth, i))
			errx(1, "%s %u of end %d: byte %u of %u is wrong", what,
			     nth, end, i, size);
}

static uint64_t count_kind(const struct match_end *own, enum match_kind kind)
{
	unsigned int i;
	uint64_t n = 0;

	for (i = 0; i < own->posted; i++)
		n += own->op[i].kind == kind;
	return n;
}

static void set_atomic(struct ibv_send_wr *wr, struct match_op *op,
		       const struct match_end *own, const struct match_end *peer)
{
	op->result = count_kind(own, op->kind);
	wr->wr.atomic.rkey = peer->e.mr->rkey;
	wr->wr.atomic.compare_add = 1;
	wr->wr.atomic.remote_addr = (uintptr_t)&peer->mem->add;
	if (op->kind == MATCH_CAS) {
		wr->wr.atomic.remote_addr = (uintptr_t)&peer->mem->swap;
		wr->wr.atomic.compare_add = op->result;
		wr->wr.atomic.swap = op->result + 1;
	}
}

static void set_remote(struct match *m, int end, unsigned int nth,
		       struct ibv_send_wr *wr)
{
	struct match_end *own = &m->end[end];
	const struct match_end *peer = &m->end[!end];
	struct match_op *op = &own->op[nth];

	if (m->type == IBV_QPT_UD) {
		wr->wr.ud.ah = own->ah;
		wr->wr.ud.remote_qpn = peer->e.qp->qp_num;
		wr->wr.ud.remote_qkey = DATAGRAM_QKEY;
	} else if (op->kind == MATCH_CAS || op->kind == MATCH_ADD) {
		set_atomic(wr, op, own, peer);
	} else {
		wr->wr.rdma.rkey = peer->e.mr->rkey;
		wr->wr.rdma.remote_addr = (uintptr_t)(op->kind == MATCH_READ ?
			peer->mem->source[nth] : peer->mem->target[nth]);
	}
}

/* @nth is the one after those that are counted as posted. */
void match_op_post(struct match *m, int end, unsigned int nth, bool begin)
{
	static const enum ibv_wr_opcode codes[MATCH_ATOMIC_WRITE] = {
		IBV_WR_SEND, IBV_WR_SEND_WITH_IMM, IBV_WR_RDMA_WRITE,
		IBV_WR_RDMA_WRITE_WITH_IMM, IBV_WR_RDMA_READ,
		IBV_WR_ATOMIC_CMP_AND_SWP, IBV_WR_ATOMIC_FETCH_AND_ADD,
	};
	struct match_end *own = &m->end[end], *peer = &m->end[!end];
	struct match_op *op = &own->op[nth];
	bool answers = op->kind >= MATCH_READ && op->kind <= MATCH_ADD;
	struct ibv_sge sge = {
		.addr = (uintptr_t)(answers ? own->mem->in[nth] :
					      own->mem->out[nth]),
		.length = size_of(m, op),
		.lkey = own->e.mr->lkey,
	};
	struct ibv_send_wr *bad, wr = {
		.wr_id = nth,
		.sg_list = &sge,
		.num_sge = 1,
		.imm_data = htonl(nth + 1),
		.send_flags = op->flags | (op->silent ? 0 : IBV_SEND_SIGNALED),
	};

	fill(own->mem->out[nth], end, nth);
	fill(peer->mem->source[nth], end, nth);
	set_remote(m, end, nth, &wr);
	/* ibv_post_send() has no opcode for the last two */
	if (m->traits & MATCH_EXTENDED || op->kind >= MATCH_ATOMIC_WRITE) {
		match_extended_begin(m, end, op, &wr);
		if (!begin)
			match_extended_complete(m, end);
		return;
	}
	wr.opcode = codes[op->kind];
	if (ibv_post_send(own->e.qp, &wr, &bad))
		err(1, "ibv_post_send");
}

void match_op_check(const struct match *m, int end, unsigned int nth)
{
	const struct match_end *own = &m->end[end], *peer = &m->end[!end];
	const struct match_op *op = &own->op[nth];
	uint64_t found;

	switch (op->kind) {
	case MATCH_WRITE:
	case MATCH_WRITE_IMM:
	case MATCH_ATOMIC_WRITE:
		look(peer->mem->target[nth], size_of(m, op), end, nth, "WRITE");
		break;
	case MATCH_READ:
		look(own->mem->in[nth], size_of(m, op), end, nth, "READ");
		break;
	case MATCH_CAS:
	case MATCH_ADD:
		memcpy(&found, own->mem->in[nth], sizeof(found));
		if (found != op->result)
			errx(1, "%s %u of end %d found %llu, not %llu",
			     match_kind_name(op->kind), nth, end,
			     (unsigned long long)found,
			     (unsigned long long)op->result);
		break;
	default:
		break;
	}
	found = op->kind == MATCH_CAS ? peer->mem->swap : peer->mem->add;
	if ((op->kind == MATCH_CAS || op->kind == MATCH_ADD) &&
	    found != count_kind(own, op->kind))
		errx(1, "%s was done %llu times", match_kind_name(op->kind),
		     (unsigned long long)found);
}

void match_op_received(const struct match *m, int end, unsigned int nth,
		       const struct ibv_wc *wc)
{
	const struct match_end *own = &m->end[end], *peer = &m->end[!end];
	const struct match_op *op = &own->op[nth];
	uint32_t grh = m->type == IBV_QPT_UD ? DATAGRAM_GRH : 0;
	bool imm = op->kind != MATCH_SEND;

	if (wc->byte_len != size_of(m, op) + grh)
		errx(1, "message %u of end %d has %u bytes", nth, end,
		     wc->byte_len);
	if (imm != !!(wc->wc_flags & IBV_WC_WITH_IMM) ||
	    (imm && ntohl(wc->imm_data) != nth + 1))
		errx(1, "message %u of end %d: immediate %#x, flags %#x", nth,
		     end, ntohl(wc->imm_data), wc->wc_flags);
	if (op->kind != MATCH_WRITE_IMM)
		look(peer->mem->recv[wc->wr_id & ~MATCH_RECV] + grh, size_of(m, op), end, nth,
		     "message");
}
