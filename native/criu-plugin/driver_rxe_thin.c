// SPDX-License-Identifier: GPL-2.0
/*
 * A pod may have thousands of queue pairs, most of them idle: only what nothing
 * else in the image says is kept of each. What an idle one has is no zero, but
 * known, becomes one: "no opcode" is SEALIFT_RXE_NONE.
 */
#include <stdbool.h>
#include <string.h>

#include "driver_rxe_thin.h"

#define PAGE 4096ULL

void rxe_record_fields(PB(QueuePair) *record, uint32_t handle, const struct sealift_rxe_qp *qp)
{
	record->handle = handle;
	record->qpn = qp->qpn;
	record->type = qp->qp_type;
	record->state = qp->state;
	record->user_handle = qp->user_handle;
	record->pd = qp->pd_handle;
	record->send_cq = qp->send_cq_handle;
	record->recv_cq = qp->recv_cq_handle;
	record->sq_sig_all = qp->sq_sig_all;
	record->max_send_wr = qp->max_send_wr;
	record->max_send_sge = qp->max_send_sge;
	record->max_inline = qp->max_inline;
	record->max_recv_wr = qp->max_recv_wr;
	record->max_recv_sge = qp->max_recv_sge;
	record->has_srq = qp->srq_handle != SEALIFT_RXE_NONE;
	record->srq = record->has_srq ? qp->srq_handle : 0;
}

/* Its own inverse. */
static void flip_opcodes(struct sealift_rxe_qp *qp)
{
	qp->req.opcode ^= SEALIFT_RXE_NONE;
	qp->comp.opcode ^= SEALIFT_RXE_NONE;
	qp->resp.opcode ^= SEALIFT_RXE_NONE;
}

/* As in XOR: a PSN that is near another one takes a byte. */
static void flip_psns(struct sealift_rxe_qp *qp)
{
	qp->comp.psn ^= qp->req.psn;
	qp->resp.ack_psn ^= qp->resp.psn;
}

/* The next queue that is created is mapped from the next pages. */
static uint64_t behind_sq(const struct sealift_rxe_qp *qp)
{
	return qp->sq.mmap_offset + ((qp->sq.size + PAGE - 1) & ~(PAGE - 1));
}

static bool has_offsets(const struct sealift_rxe_qp *qp)
{
	return qp->sq.mmap_offset && qp->rq.size;
}

void rxe_thin_qp(struct sealift_rxe_qp *qp, const PB(Path) *path)
{
	qp->user_handle = 0;
	qp->qpn = qp->qp_type = qp->state = 0;
	qp->pd_handle = qp->send_cq_handle = qp->recv_cq_handle = qp->srq_handle = 0;
	qp->max_send_wr = qp->max_send_sge = qp->max_inline = 0;
	qp->max_recv_wr = qp->max_recv_sge = 0;
	if (has_offsets(qp))
		qp->rq.mmap_offset -= behind_sq(qp);
	qp->sq.mmap_size = qp->rq.mmap_size = 0;
	if (path) {
		qp->attr.dest_qpn = qp->attr.port_num = 0;
		memset(qp->attr.av.sgid, 0, sizeof(qp->attr.av.sgid));
		memset(qp->attr.av.dgid, 0, sizeof(qp->attr.av.dgid));
		qp->attr.av.sgid_index = 0;
	}
	flip_opcodes(qp);
	flip_psns(qp);
}

void rxe_full_qp(struct sealift_rxe_qp *qp, const PB(QueuePair) *record)
{
	qp->qpn = record->qpn;
	qp->qp_type = record->type;
	qp->state = record->state;
	qp->srq_handle = record->has_srq ? record->srq : SEALIFT_RXE_NONE;
	qp->max_send_wr = record->max_send_wr;
	qp->max_send_sge = record->max_send_sge;
	qp->max_inline = record->max_inline;
	qp->max_recv_wr = record->max_recv_wr;
	qp->max_recv_sge = record->max_recv_sge;
	if (has_offsets(qp))
		qp->rq.mmap_offset += behind_sq(qp);
	if (record->path) {
		qp->attr.dest_qpn = record->path->dest_qpn;
		qp->attr.port_num = record->path->port;
		memcpy(qp->attr.av.sgid, record->path->sgid.data, sizeof(qp->attr.av.sgid));
		memcpy(qp->attr.av.dgid, record->path->dgid.data, sizeof(qp->attr.av.dgid));
	}
	flip_opcodes(qp);
	flip_psns(qp);
}
