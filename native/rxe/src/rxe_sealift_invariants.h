/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rules that hold in the image of every queue pair and of every shared
 * receive queue; what is special to UD queue pairs, and address handles, are in
 * rxe_sealift_invariants_ud.h. The driver refuses an image that breaks one. The tests break each of them, and the fuzzer knows by
 * them what the driver must refuse. Rules about the rings and about the new
 * objects are in rxe_sealift_check_ring.c, rxe_sealift_check.c and
 * rxe_sealift_srq.c.
 */
#ifndef RXE_SEALIFT_INVARIANTS_H
#define RXE_SEALIFT_INVARIANTS_H

#ifdef __KERNEL__
#include <linux/stddef.h>
#else
#include <stddef.h>
#endif

#include "sealift_rxe.h"

#define RXE_IMAGE_PSN_MAX	0xffffff
#define RXE_IMAGE_DEPTH_MAX	128		/* READs and atomics */
#define RXE_IMAGE_BYTE_MAX	0xff		/* of what modify_qp takes unseen */
#define RXE_IMAGE_LENGTH_MAX	0x80000000U	/* of a message */
#define RXE_IMAGE_RNR_WAIT_MAX	655360		/* us, the longest RNR timer */
#define RXE_IMAGE_OFFSET_MAX	(1ULL << 62)	/* of a queue's mapping: its end is a loff_t */
#define RXE_IMAGE_PAGE		4096
#define RXE_IMAGE_SRQ_WR_MAX	(1U << 20)
#define RXE_IMAGE_SRQ_SGE_MAX	27
#define RXE_IMAGE_SRQ_EVENTS	(1U << 14 | 1U << 15) /* IBV_EVENT_SRQ_* */

/* enum ib_qp_state */
enum {
	RXE_IMAGE_RESET, RXE_IMAGE_INIT, RXE_IMAGE_RTR, RXE_IMAGE_RTS,
	RXE_IMAGE_SQD, RXE_IMAGE_SQE, RXE_IMAGE_ERR,
};

/* Opcodes of a reliable connection (InfiniBand specification 9.2). */
enum {
	RXE_IMAGE_SEND_FIRST = 0x00, RXE_IMAGE_SEND_MIDDLE = 0x01,
	RXE_IMAGE_WRITE_FIRST = 0x06, RXE_IMAGE_WRITE_MIDDLE = 0x07,
	RXE_IMAGE_READ_REQUEST = 0x0c,
	RXE_IMAGE_READ_FIRST = 0x0d, RXE_IMAGE_READ_MIDDLE = 0x0e,
	RXE_IMAGE_CMP_SWAP = 0x13, RXE_IMAGE_FETCH_ADD = 0x14,
	RXE_IMAGE_SEND_LAST_INV = 0x16, RXE_IMAGE_SEND_ONLY_INV = 0x17,
	RXE_IMAGE_FLUSH = 0x1c, RXE_IMAGE_ATOMIC_WRITE = 0x1d,
};

/* enum ib_qp_type, of datagrams */
#define RXE_IMAGE_UD		4

/* Is it a request's opcode, or none yet? */
static inline int rxe_image_is_request(__u32 opcode)
{
	return opcode == SEALIFT_RXE_NONE ||
	       opcode <= RXE_IMAGE_READ_REQUEST ||
	       opcode == RXE_IMAGE_CMP_SWAP || opcode == RXE_IMAGE_FETCH_ADD ||
	       opcode == RXE_IMAGE_SEND_LAST_INV ||
	       opcode == RXE_IMAGE_SEND_ONLY_INV ||
	       opcode == RXE_IMAGE_FLUSH || opcode == RXE_IMAGE_ATOMIC_WRITE;
}

static inline int rxe_image_in_send(__u32 opcode)
{
	return opcode == RXE_IMAGE_SEND_FIRST ||
	       opcode == RXE_IMAGE_SEND_MIDDLE;
}

static inline int rxe_image_in_write(__u32 opcode)
{
	return opcode == RXE_IMAGE_WRITE_FIRST ||
	       opcode == RXE_IMAGE_WRITE_MIDDLE;
}

/* It receives packets. In the error state it drops them. */
static inline int rxe_image_is_connected(const struct sealift_rxe_qp *in)
{
	return in->state >= RXE_IMAGE_RTR && in->state < RXE_IMAGE_ERR;
}

static inline int rxe_image_is_depth(__u32 depth)
{
	return !(depth & (depth - 1));
}

/* The largest value of each field alone. */
struct rxe_image_limit {
	const char *field;
	__u16 offset;
	__u16 size;		/* 1 or 4 */
	__u32 max;
};

#define RXE_IMAGE_LIMIT_OF(_type, _field, _max) {			\
	.field = #_field,						\
	.offset = offsetof(_type, _field),				\
	.size = sizeof(((_type *)0)->_field),				\
	.max = _max,							\
}

#define RXE_IMAGE_LIMIT(_field, _max)					\
	RXE_IMAGE_LIMIT_OF(struct sealift_rxe_qp, _field, _max)

static const struct rxe_image_limit rxe_image_limits[] = {
	RXE_IMAGE_LIMIT(flags, SEALIFT_RXE_QP_ERROR),
	RXE_IMAGE_LIMIT(qpn, RXE_IMAGE_PSN_MAX),
	RXE_IMAGE_LIMIT(state, RXE_IMAGE_ERR),
	RXE_IMAGE_LIMIT(sq_sig_all, 1),
	RXE_IMAGE_LIMIT(num_mcast, 0),
	RXE_IMAGE_LIMIT(src_port, 0xffff),
	RXE_IMAGE_LIMIT(num_res, RXE_IMAGE_DEPTH_MAX),
	RXE_IMAGE_LIMIT(last_wqe_reached, 1),
	RXE_IMAGE_LIMIT(sq.reserved, 0),
	RXE_IMAGE_LIMIT(rq.reserved, 0),
	RXE_IMAGE_LIMIT(attr.path_mtu, 5),
	RXE_IMAGE_LIMIT(attr.rq_psn, RXE_IMAGE_PSN_MAX),
	RXE_IMAGE_LIMIT(attr.sq_psn, RXE_IMAGE_PSN_MAX),
	RXE_IMAGE_LIMIT(attr.pkey_index, 0xffff),
	RXE_IMAGE_LIMIT(attr.port_num, 1),
	RXE_IMAGE_LIMIT(attr.timeout, 31),
	RXE_IMAGE_LIMIT(attr.retry_cnt, RXE_IMAGE_BYTE_MAX),
	RXE_IMAGE_LIMIT(attr.rnr_retry, RXE_IMAGE_BYTE_MAX),
	RXE_IMAGE_LIMIT(attr.min_rnr_timer, RXE_IMAGE_BYTE_MAX),
	RXE_IMAGE_LIMIT(attr.max_rd_atomic, RXE_IMAGE_DEPTH_MAX),
	RXE_IMAGE_LIMIT(attr.max_dest_rd_atomic, RXE_IMAGE_DEPTH_MAX),
	RXE_IMAGE_LIMIT(attr.sq_draining, 1),
	RXE_IMAGE_LIMIT(attr.active_mtu, 5),
	RXE_IMAGE_LIMIT(attr.reserved, 0),
	RXE_IMAGE_LIMIT(attr.av.flow_label, 0xfffff),
	RXE_IMAGE_LIMIT(attr.av.sl, 0),
	RXE_IMAGE_LIMIT(attr.av.present, 1),
	RXE_IMAGE_LIMIT(req.psn, RXE_IMAGE_PSN_MAX),
	RXE_IMAGE_LIMIT(comp.psn, RXE_IMAGE_PSN_MAX),
	RXE_IMAGE_LIMIT(comp.retry_cnt, RXE_IMAGE_BYTE_MAX),
	RXE_IMAGE_LIMIT(comp.rnr_retry, RXE_IMAGE_BYTE_MAX),
	RXE_IMAGE_LIMIT(comp.started_retry, 1),
	RXE_IMAGE_LIMIT(comp.rnr_wait, RXE_IMAGE_RNR_WAIT_MAX),
	RXE_IMAGE_LIMIT(comp.nak_psn, RXE_IMAGE_PSN_MAX),
	RXE_IMAGE_LIMIT(comp.nak_syndrome, 0x63),
	RXE_IMAGE_LIMIT(resp.psn, RXE_IMAGE_PSN_MAX),
	RXE_IMAGE_LIMIT(resp.ack_psn, RXE_IMAGE_PSN_MAX),
	RXE_IMAGE_LIMIT(resp.drop_msg, 1),
	RXE_IMAGE_LIMIT(resp.sent_psn_nak, 1),
	RXE_IMAGE_LIMIT(resp.status, 21),
	RXE_IMAGE_LIMIT(resp.aeth_syndrome, 0xff),
	RXE_IMAGE_LIMIT(resp.resid, RXE_IMAGE_LENGTH_MAX),
	RXE_IMAGE_LIMIT(resp.length, RXE_IMAGE_LENGTH_MAX),
	RXE_IMAGE_LIMIT(resp.wqe.present, 1),
	RXE_IMAGE_LIMIT(resp.wqe.num_sge, SEALIFT_RXE_MAX_SGE),
	{ .field = NULL },
};

static inline const char *
rxe_image_beyond(const struct rxe_image_limit *limit, const void *in)
{
	const __u8 *at;
	__u32 value;

	for (; limit->field; limit++) {
		at = (const __u8 *)in + limit->offset;
		value = limit->size == 1 ? *at : *(const __u32 *)at;
		if (value > limit->max)
			return limit->field;
	}

	return NULL;
}

/* Where a queue was mapped from: the device goes on behind it. */
static inline int rxe_image_is_offset(__u64 offset)
{
	return !(offset % RXE_IMAGE_PAGE) && offset < RXE_IMAGE_OFFSET_MAX;
}

/* The first field that is beyond its limit, or NULL. */
static inline const char *
rxe_image_broken_limit(const struct sealift_rxe_qp *in)
{
	return rxe_image_beyond(rxe_image_limits, in);
}

/* Of a queue pair and its shared receive queue. */
static inline const char *
rxe_image_broken_share(const struct sealift_rxe_qp *in)
{
	const struct sealift_rxe_ring *rq = &in->rq;

	if (in->srq_handle == SEALIFT_RXE_NONE)
		return in->last_wqe_reached ?
		       "only a shared receive queue has a last request" : NULL;

	if (in->max_recv_wr || in->max_recv_sge || rq->mmap_offset ||
	    rq->mmap_size || rq->size || rq->log2_elem_size ||
	    rq->index_mask || rq->index)
		return "who shares a receive queue has none of its own";
	if (in->last_wqe_reached && in->state != RXE_IMAGE_ERR)
		return "the last request is reached in the error state";
	if (in->last_wqe_reached && in->resp.wqe.present)
		return "nothing is taken once the last request is reached";

	return NULL;
}

/* What the way to RTR and to RTS does not set anew is as in a new queue pair. */
static inline const char *
rxe_image_broken_early(const struct sealift_rxe_qp *in)
{
	if (in->state < RXE_IMAGE_RTR &&
	    (in->resp.opcode != SEALIFT_RXE_NONE || in->resp.wqe.present))
		return "nothing comes in before RTR";
	if (in->state >= RXE_IMAGE_RTS)
		return NULL;
	if (in->req.opcode != SEALIFT_RXE_NONE ||
	    in->comp.opcode != SEALIFT_RXE_NONE || in->comp.nak_syndrome)
		return "nothing is sent before RTS";
	if (in->req.wqe_index != in->sq.index)
		return "no request is under way before RTS";

	return NULL;
}

#include "rxe_sealift_invariants_ud.h"

/* The first rule about several fields that is broken, or NULL. */
static inline const char *
rxe_image_broken_rule(const struct sealift_rxe_qp *in)
{
	const int connected = rxe_image_is_connected(in);
	const __u32 depth = in->attr.max_dest_rd_atomic;

	if (in->state == RXE_IMAGE_SQE)
		return "a queue pair has no SQE state";
	if (!rxe_image_is_offset(in->sq.mmap_offset) ||
	    !rxe_image_is_offset(in->rq.mmap_offset))
		return "a queue is mapped from a page";
	if (!in->attr.path_mtu || !in->attr.active_mtu)
		return "an MTU is set";
	if (in->state != RXE_IMAGE_RESET && !in->attr.port_num)
		return "a port is set from INIT on";
	if (rxe_image_broken_early(in))
		return rxe_image_broken_early(in);
	if (in->qp_type == RXE_IMAGE_UD)
		return rxe_image_broken_datagrams(in);
	if (connected && !in->attr.av.present)
		return "a path is set from RTR on";
	if (in->attr.av.present && !in->attr.port_num)
		return "a path has a port";
	if (!rxe_image_is_depth(in->attr.max_rd_atomic) ||
	    !rxe_image_is_depth(depth))
		return "depths are powers of two";

	if (in->num_res && in->num_res != depth)
		return "the replay cache is as deep as agreed";
	if (connected && in->num_res != depth)
		return "the replay cache comes with RTR";
	if (in->resp.res_head >= (in->num_res ? in->num_res : 1))
		return "the replay cache's head is in it";

	if (in->req.rd_atomic > in->attr.max_rd_atomic)
		return "no more READs than agreed are allowed";
	if (!rxe_image_is_request(in->req.opcode) ||
	    !rxe_image_is_request(in->resp.opcode))
		return "requests have requests' opcodes";
	if (in->comp.opcode != SEALIFT_RXE_NONE &&
	    in->comp.opcode != RXE_IMAGE_READ_FIRST &&
	    in->comp.opcode != RXE_IMAGE_READ_MIDDLE)
		return "a READ response goes on, or none does";
	if (in->comp.nak_syndrome ? in->comp.nak_syndrome <= 0x60 :
				    in->comp.nak_psn != 0)
		return "a NAK that is kept ends the connection";

	if (connected && (in->resp.wqe.present != 0) !=
			 rxe_image_in_send(in->resp.opcode))
		return "a message that comes in has taken a receive request";
	if (connected && rxe_image_in_write(in->resp.opcode) &&
	    (!in->resp.resid || in->resp.resid >= in->resp.length))
		return "a WRITE that comes in has a rest";

	return rxe_image_broken_share(in);
}

/*
 * The request that a queue pair has taken is one of a queue whose requests have
 * up to @max_sge elements: its own, or the one that it shares.
 */
static inline const char *
rxe_image_broken_taken(const struct sealift_rxe_qp *in, __u32 max_sge)
{
	if (in->resp.wqe.num_sge > max_sge)
		return "a request that was taken fits in its queue";

	return NULL;
}

#define RXE_IMAGE_SRQ_LIMIT(_field, _max)				\
	RXE_IMAGE_LIMIT_OF(struct sealift_rxe_srq, _field, _max)

/* `limit` and `async_reported` may have any value: the driver only compares one, and counts the other. */
static const struct rxe_image_limit rxe_image_srq_limits[] = {
	RXE_IMAGE_SRQ_LIMIT(ring.log2_elem_size, 9),
	RXE_IMAGE_SRQ_LIMIT(ring.index_mask, 2 * RXE_IMAGE_SRQ_WR_MAX - 1),
	RXE_IMAGE_SRQ_LIMIT(ring.index, 2 * RXE_IMAGE_SRQ_WR_MAX - 1),
	RXE_IMAGE_SRQ_LIMIT(ring.reserved, 0),
	RXE_IMAGE_SRQ_LIMIT(max_wr, RXE_IMAGE_SRQ_WR_MAX),
	RXE_IMAGE_SRQ_LIMIT(max_sge, RXE_IMAGE_SRQ_SGE_MAX),
	{ .field = NULL },
};

static inline const char *
rxe_image_srq_broken_limit(const struct sealift_rxe_srq *in)
{
	return in->reserved ? "reserved" :
	       rxe_image_beyond(rxe_image_srq_limits, in);
}

static inline const char *
rxe_image_srq_broken_rule(const struct sealift_rxe_srq *in)
{
	const __u32 mask = in->ring.index_mask;

	if (!rxe_image_is_offset(in->ring.mmap_offset))
		return "a queue is mapped from a page";
	if (!in->max_wr || !in->max_sge)
		return "a shared receive queue has requests and elements";
	if (!mask || mask & (mask + 1))
		return "a ring's size is a power of two";
	/* one place stays empty */
	if (in->max_wr > mask || in->max_wr < (mask + 1) / 2)
		return "a ring is as large as was asked for";
	if (in->ring.index > mask)
		return "a ring's index is in it";
	if (in->async_pending & ~RXE_IMAGE_SRQ_EVENTS)
		return "a shared receive queue has events of its own kinds";

	return NULL;
}

#endif /* RXE_SEALIFT_INVARIANTS_H */
