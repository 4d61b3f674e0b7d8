// SPDX-License-Identifier: GPL-2.0
/* The rings of an image, filled so that they agree with its fields. */
#include "mutate_ring.h"

#include <string.h>

#include <rdma/ib_user_verbs.h>
#include <rdma/rdma_user_rxe.h>

#include "expect.h"
#include "random.h"
#include "../src/rxe_sealift_invariants.h"

#define PSN(n) ((n) & RXE_IMAGE_PSN_MAX)

/* What the driver keeps of a request's kind (rxe_opcode.h). */
enum {
	WR_INLINE = 1 << 0, WR_ATOMIC = 1 << 1, WR_SEND = 1 << 2,
	WR_READ = 1 << 3, WR_WRITE = 1 << 4, WR_LOCAL = 1 << 5,
	WR_FLUSH = 1 << 6, WR_ATOMIC_WRITE = 1 << 7,
};

/* States of a request in the ring (rxe_verbs.h). */
enum { POSTED, PROCESSING, PENDING, DONE, FAILED };

#define SEND_INLINE (1 << 3)

/* FLUSH and ATOMIC_WRITE are not in this header of every distribution. */
#define OPCODE_FLUSH		14
#define OPCODE_ATOMIC_WRITE	15

static const struct {
	uint32_t opcode, mask;
} kinds[] = {
	{ IB_UVERBS_WR_RDMA_WRITE, WR_INLINE | WR_WRITE },
	{ IB_UVERBS_WR_RDMA_WRITE_WITH_IMM, WR_INLINE | WR_WRITE },
	{ IB_UVERBS_WR_SEND, WR_INLINE | WR_SEND },
	{ IB_UVERBS_WR_SEND_WITH_IMM, WR_INLINE | WR_SEND },
	{ IB_UVERBS_WR_SEND_WITH_INV, WR_INLINE | WR_SEND },
	{ IB_UVERBS_WR_RDMA_READ, WR_READ },
	{ IB_UVERBS_WR_RDMA_READ_WITH_INV, WR_READ },
	{ IB_UVERBS_WR_ATOMIC_CMP_AND_SWP, WR_ATOMIC },
	{ IB_UVERBS_WR_ATOMIC_FETCH_AND_ADD, WR_ATOMIC },
	{ IB_UVERBS_WR_LOCAL_INV, WR_LOCAL },
	{ IB_UVERBS_WR_BIND_MW, WR_LOCAL },
	{ OPCODE_FLUSH, WR_FLUSH },
	{ OPCODE_ATOMIC_WRITE, WR_ATOMIC_WRITE },
};

void mutate_indices(unsigned char *ring, uint32_t producer, uint32_t consumer)
{
	struct rxe_queue_buf *head = (void *)ring;

	head->producer_index = producer;
	head->consumer_index = consumer;
}

/* A ring that the image no longer describes is left alone. */
static int same_ring(const struct sealift_rxe_ring *now,
		     const struct sealift_rxe_ring *orig)
{
	return now->size == orig->size &&
	       now->log2_elem_size == orig->log2_elem_size &&
	       now->index_mask == orig->index_mask &&
	       now->index <= orig->index_mask;
}

static void *element(unsigned char *ring, const struct sealift_rxe_ring *r,
		     uint32_t index)
{
	return ring + sizeof(struct rxe_queue_buf) +
	       ((size_t)(index & r->index_mask) << r->log2_elem_size);
}

/* Elements of some region. Return: their length together */
static uint32_t elements(struct rxe_dma_info *dma, uint32_t max,
			 const struct mutate_memory *mem)
{
	uint32_t i, length = 0;

	dma->num_sge = any(max + 1);
	for (i = 0; i < dma->num_sge; i++) {
		dma->sge[i].length = any(mem->size / 4);
		dma->sge[i].addr = any(8) ? mem->address + any(mem->size) :
					    interesting();
		dma->sge[i].lkey = any(8) ? mem->key : interesting();
		length += dma->sge[i].length;
	}
	dma->length = length;
	dma->resid = length;
	dma->cur_sge = 0;
	dma->sge_offset = 0;
	return length;
}

void mutate_receives(struct victim *v, const struct mutate_memory *mem,
		     unsigned int count)
{
	struct rxe_queue_buf *head = (void *)v->rq;
	struct rxe_recv_wqe *wqe;
	unsigned int i;

	if (!v->qp.rq.size || !same_ring(&v->qp.rq, &v->qp_orig.rq))
		return;
	if (count > v->qp.rq.index_mask)
		count = v->qp.rq.index_mask;
	for (i = 0; i < count; i++) {
		wqe = element(v->rq, &v->qp.rq, v->qp.rq.index + i);
		wqe->wr_id = i;
		elements(&wqe->dma, v->qp_orig.max_recv_sge, mem);
		/* librxe takes any length */
		if (any(4) == 0) {
			wqe->dma.sge[0].length = interesting();
			wqe->dma.length += wqe->dma.sge[0].length;
			wqe->dma.resid = wqe->dma.length;
		}
	}
	head->producer_index = (v->qp.rq.index + count) & v->qp.rq.index_mask;
}

/* Write one request. Return: its packets */
static uint32_t request(struct victim *v, struct rxe_send_wqe *wqe,
			const struct mutate_memory *mem)
{
	uint32_t mtu = 128u << v->qp.attr.path_mtu, length;
	unsigned int kind = any(ARRAY_SIZE(kinds));

	memset(&wqe->wr, 0, sizeof(wqe->wr));
	wqe->wr.opcode = kinds[kind].opcode;
	wqe->wr.send_flags = any(32) & ~SEND_INLINE;
	wqe->mask = kinds[kind].mask;
	wqe->iova = any(2) ? mem->address : interesting();
	wqe->wr.wr.rdma.remote_addr = wqe->iova;
	wqe->wr.wr.rdma.rkey = any(2) ? mem->key : any(0x10000);
	if (wqe->mask & WR_LOCAL) {
		wqe->wr.ex.invalidate_rkey = any(2) ? mem->key : interesting();
		return 0;
	}
	length = elements(&wqe->dma, v->qp_orig.max_send_sge, mem);
	if (wqe->mask & WR_INLINE && any(4) == 0) {
		wqe->wr.send_flags |= SEND_INLINE;
		length = any(v->qp_orig.max_inline + 1);
		wqe->dma.length = length;
		wqe->dma.resid = length;
	}
	if (!(wqe->mask & (WR_SEND | WR_WRITE | WR_READ)))
		return 1;
	return length ? (length + mtu - 1) / mtu : 1;
}

/* The oldest is answered up to some packet, the one being sent is sent so far. */
void mutate_requests(struct victim *v, const struct mutate_memory *mem)
{
	unsigned int i, count, sent, packets, at, reads = 0;
	struct rxe_queue_buf *head = (void *)v->sq;
	struct rxe_send_wqe *wqe = NULL;
	uint32_t psn = v->qp.comp.psn;

	if (!same_ring(&v->qp.sq, &v->qp_orig.sq) || !v->qp.attr.path_mtu ||
	    v->qp.attr.path_mtu > 5)
		return;
	count = any(6);
	if (count > v->qp.sq.index_mask)
		count = v->qp.sq.index_mask;
	sent = any(count + 1);
	v->qp.req.psn = psn;
	v->qp.req.opcode = SEALIFT_RXE_NONE;
	v->qp.comp.opcode = SEALIFT_RXE_NONE;
	v->qp.comp.nak_syndrome = 0;
	v->qp.comp.nak_psn = 0;
	v->qp.comp.rnr_wait = 0;
	for (i = 0; i < count; i++) {
		wqe = element(v->sq, &v->qp.sq, v->qp.sq.index + i);
		packets = request(v, wqe, mem);
		wqe->first_psn = psn;
		wqe->last_psn = PSN(psn + (packets ? packets - 1 : 0));
		wqe->ssn = any(16);
		wqe->state = i < sent ? (any(8) ? PENDING : DONE + any(2)) :
			     i == sent && any(2) ? PROCESSING : POSTED;
		wqe->status = wqe->state == FAILED && any(8) ? 1 + any(20) : 0;
		wqe->has_rd_atomic = wqe->mask & (WR_READ | WR_ATOMIC) &&
				     i < sent;
		reads += wqe->has_rd_atomic;
		at = packets > 1 ? any(packets) : 0;
		if (i == 0 && sent && packets > 1 && any(2)) {
			v->qp.comp.psn = PSN(psn + at);
			if (wqe->mask == WR_READ)
				v->qp.comp.opcode = RXE_IMAGE_READ_FIRST + any(2);
		}
		if (wqe->state == PROCESSING && packets > 1) {
			v->qp.req.psn = PSN(psn + at);
			v->qp.req.opcode = wqe->mask & WR_SEND ?
				RXE_IMAGE_SEND_FIRST : RXE_IMAGE_WRITE_FIRST;
		} else if (i < sent) {
			v->qp.req.psn = PSN(psn + packets);
		}
		psn = PSN(psn + packets);
	}
	head->producer_index = (v->qp.sq.index + count) & v->qp.sq.index_mask;
	v->qp.req.wqe_index = (v->qp.sq.index + sent) & v->qp.sq.index_mask;
	if (reads <= v->qp.attr.max_rd_atomic && any(8))
		v->qp.req.rd_atomic = v->qp.attr.max_rd_atomic - reads;
	if (sent && any(4) == 0)
		v->qp.comp.rnr_wait = any(20000);
	else if (sent && any(4) == 0) {
		v->qp.comp.nak_syndrome = 0x61 + any(3);
		v->qp.comp.nak_psn = PSN(v->qp.comp.psn + any(4));
	}
}

/* Datagrams: some sent, some to a handle that is none, some with their path. */
void mutate_datagram_requests(struct victim *v, const struct mutate_memory *mem)
{
	struct rxe_queue_buf *head = (void *)v->sq;
	struct rxe_send_wqe *wqe;
	unsigned int i, count, sent;
	uint32_t length;

	if (!same_ring(&v->qp.sq, &v->qp_orig.sq))
		return;
	count = any(6);
	if (count > v->qp.sq.index_mask)
		count = v->qp.sq.index_mask;
	sent = any(count + 1);
	for (i = 0; i < count; i++) {
		wqe = element(v->sq, &v->qp.sq, v->qp.sq.index + i);
		memset(&wqe->wr, 0, sizeof(wqe->wr));
		wqe->wr.wr_id = i;
		wqe->wr.opcode = any(16) ? IB_UVERBS_WR_SEND + any(2) : any(20);
		wqe->wr.send_flags = any(32) & ~SEND_INLINE;
		wqe->wr.wr.ud.remote_qpn = any(2) ? v->qp.qpn : any(1 << 24);
		wqe->wr.wr.ud.remote_qkey = any(2) ? v->qp.attr.qkey :
						     interesting();
		wqe->wr.wr.ud.ah_num = any(4) ? mem->handle : any(2) ? any(8) :
							      interesting();
		if (!wqe->wr.wr.ud.ah_num) {
			wqe->wr.wr.ud.av.network_type = any(4);
			wqe->wr.wr.ud.av.grh.sgid_index = any(2) ? any(4) :
								   any(256);
		}
		wqe->mask = WR_INLINE | WR_SEND;
		length = elements(&wqe->dma, v->qp_orig.max_send_sge, mem);
		if (any(4) == 0) {
			wqe->wr.send_flags |= SEND_INLINE;
			length = any(v->qp_orig.max_inline + 1);
			wqe->dma.length = length;
			wqe->dma.resid = length;
		}
		wqe->first_psn = PSN(v->qp.comp.psn + i);
		wqe->last_psn = wqe->first_psn;
		wqe->has_rd_atomic = 0;
		wqe->state = i < sent ? DONE + (any(8) == 0) : POSTED;
		wqe->status = wqe->state == FAILED ? 1 + any(20) : 0;
		if (any(16) == 0)
			wqe->state = any(6);
	}
	head->producer_index = (v->qp.sq.index + count) & v->qp.sq.index_mask;
	v->qp.req.wqe_index = (v->qp.sq.index + sent) & v->qp.sq.index_mask;
	v->qp.req.psn = PSN(v->qp.comp.psn + sent);
}
