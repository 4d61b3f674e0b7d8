// SPDX-License-Identifier: GPL-2.0
/* Images of a queue pair that were altered, field by field. */
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <rdma/rdma_user_rxe.h>

#include "expect.h"
#include "malformed.h"
#include "victim.h"
#include "../src/rxe_sealift_invariants.h"

/* Restore the image as it is now; if accepted, let it run for a moment. */
static int attempt(const struct victim *v, bool run)
{
	uint32_t handle;
	int ret = victim_restore(v, &handle);

	if (ret)
		return ret;
	if (run) {
		sl_resume(v->fd);
		usleep(2000);
		if (sl_hold(v->fd, TIMER, 5000))
			errx(1, "HOLD");
	}
	raw_destroy(v->fd, UVERBS_OBJECT_QP, handle);
	return 0;
}

static int restore_from(const struct victim *v,
			const struct sealift_rxe_qp_buffers *bufs)
{
	uint32_t handle = victim_create(v);
	int ret = sl_restore_qp(v->fd, handle, &v->qp, bufs);

	raw_destroy(v->fd, UVERBS_OBJECT_QP, handle);
	return ret;
}

static void test_buffers(struct victim *v)
{
	const struct sealift_rxe_qp_buffers good = victim_buffers(v);
	struct sealift_rxe_qp_buffers b;

	uint32_t handle;

	expect(0, victim_restore(v, &handle), "restore unaltered");
	b = good;
	expect(-EINVAL, sl_restore_qp(v->fd, handle, &v->qp, &b),
	       "restore twice");
	raw_destroy(v->fd, UVERBS_OBJECT_QP, handle);
	b = good;
	b.sq.size--;
	expect(-EINVAL, restore_from(v, &b), "restore a short ring");
	b = good;
	b.rq.size += 64;
	expect(-EINVAL, restore_from(v, &b), "restore a long ring");
	b = good;
	b.rq.address = 0;
	expect(-EINVAL, restore_from(v, &b), "restore from nowhere");
	b = good;
	b.sq.address = (uintptr_t)BAD_POINTER;
	expect(-EFAULT, restore_from(v, &b), "restore from a bad address");
	b = good;
	b.res.size -= sizeof(*v->res);
	expect(-EINVAL, restore_from(v, &b), "restore a short cache");
	b = good;
	b.res.reserved = 1;
	expect(-EINVAL, restore_from(v, &b), "restore with a reserved field");
}

/* Each field one beyond what it may be, by the driver's own list. */
static void test_limits(struct victim *v)
{
	const struct rxe_image_limit *limit;
	uint32_t value;

	for (limit = rxe_image_limits; limit->field; limit++) {
		if (limit->max == (limit->size == 1 ? 0xff : 0xffffffffU))
			continue;
		value = limit->max + 1;
		memcpy((char *)&v->qp + limit->offset, &value, limit->size);
		expect(-EINVAL, attempt(v, false), "%s = %#x", limit->field,
		       value);
		victim_reset(v);
	}
}

#define FIELD(f, v) { #f, offsetof(struct sealift_rxe_qp, f),		\
		      sizeof(((struct sealift_rxe_qp *)0)->f), v }

static const struct {
	const char *name;
	size_t offset, size;
	uint64_t value;
} qp_fields[] = {
	FIELD(qpn, 17), FIELD(qp_type, 3), FIELD(state, 5), FIELD(state, -1U),
	FIELD(sq_sig_all, 1),
	FIELD(max_send_wr, 1), FIELD(max_send_sge, 33), FIELD(max_inline, 0),
	FIELD(max_recv_wr, -1U), FIELD(max_recv_sge, 3), FIELD(src_port, 1),
	FIELD(src_port, 65536), FIELD(num_res, 0), FIELD(num_res, 8),
	FIELD(num_res, -1U), FIELD(async_pending, 1), FIELD(async_pending, -1U),
	FIELD(sq.size, 0), FIELD(sq.size, -1U), FIELD(sq.log2_elem_size, 31),
	FIELD(sq.index_mask, 0), FIELD(sq.index_mask, -1U),
	FIELD(sq.index, 1 << 20), FIELD(sq.index, -1U), FIELD(sq.reserved, 1),
	FIELD(rq.size, 1), FIELD(rq.index_mask, 1), FIELD(rq.index, -1U),
	FIELD(rq.reserved, 1),
	FIELD(attr.path_mtu, 0), FIELD(attr.active_mtu, 0),
	FIELD(attr.access_flags, 1 << 30),
	FIELD(attr.port_num, 0), FIELD(attr.max_rd_atomic, 3),
	FIELD(attr.max_rd_atomic, 256), FIELD(attr.max_dest_rd_atomic, 3),
	FIELD(attr.max_dest_rd_atomic, 8), FIELD(attr.max_dest_rd_atomic, 0),
	FIELD(attr.av.present, 0),
	FIELD(attr.av.network_type, 0), FIELD(attr.av.network_type, 2),
	FIELD(attr.av.network_type, 3),
	FIELD(attr.av.sgid[10], 0), FIELD(attr.av.dgid[0], 0xff),
	FIELD(req.wqe_index, -1U),
	FIELD(req.opcode, 0x1f), FIELD(req.opcode, 0x100),
	FIELD(req.rd_atomic, 5), FIELD(req.rd_atomic, -1U),
	FIELD(req.noack_pkts, -1U), FIELD(comp.opcode, 0),
	FIELD(comp.nak_syndrome, 0x60), FIELD(comp.nak_psn, 1),
	FIELD(resp.opcode, 0x80), FIELD(resp.opcode, 0x0d),
	FIELD(resp.res_head, 4), FIELD(resp.res_head, -1U),
	FIELD(resp.wqe.sge[31].length, 1),
};

static void test_fields(struct victim *v)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(qp_fields); i++) {
		memcpy((char *)&v->qp + qp_fields[i].offset,
		       &qp_fields[i].value, qp_fields[i].size);
		if (memcmp(&v->qp, &v->qp_orig, sizeof(v->qp)))
			expect(-EINVAL, attempt(v, false), "%s = %#llx",
			       qp_fields[i].name,
			       (unsigned long long)qp_fields[i].value);
		victim_reset(v);
	}

	v->qp.attr.av.sgid[15] ^= 0x55;
	expect(-EADDRNOTAVAIL, attempt(v, false),
	       "an address that the device lacks");
	v->qp.flags = SEALIFT_RXE_QP_ERROR;
	expect(0, attempt(v, true), "the same, in the error state");
	victim_reset(v);
}

#define WQE(want, q, type, at, field, v) do {				\
	type *w = (type *)(v->q + sizeof(struct rxe_queue_buf) +	\
			   ((uint64_t)(at) << v->qp.q.log2_elem_size));	\
	w->field;							\
	expect(want, attempt(v, false), #q " " #field);			\
	victim_reset(v);							\
} while (0)
#define BAD_SEND(field) WQE(-EINVAL, sq, struct rxe_send_wqe, v->qp.sq.index, field, v)
#define BAD_RECV(field) WQE(-EINVAL, rq, struct rxe_recv_wqe, v->qp.rq.index, field, v)
/* librxe looks at no length: a request may have any */
#define GOOD_RECV(field) WQE(0, rq, struct rxe_recv_wqe, v->qp.rq.index, field, v)

static void test_rings(struct victim *v)
{
	struct rxe_queue_buf *sq = (void *)v->sq, *rq = (void *)v->rq;
	int i;

	if (sq->producer_index == v->qp.sq.index)
		errx(1, "no request under way");

	BAD_SEND(wr.opcode = 16);
	BAD_SEND(wr.opcode = 0x20);	/* REG_MR: the kernel's only */
	BAD_SEND(wr.opcode = -1);
	BAD_SEND(state = 5);
	BAD_SEND(state = -1);
	BAD_SEND(state = 4);	/* an error, but its status is success */
	BAD_SEND(has_rd_atomic = 2);
	/* the oldest request was sent: it has PSNs and a mask */
	BAD_SEND(first_psn = 1 << 24);
	BAD_SEND(last_psn = -1);
	BAD_SEND(mask ^= 1 << 20);
	BAD_RECV(dma.num_sge = 3);
	BAD_RECV(dma.num_sge = -1);
	BAD_RECV(dma.cur_sge = 2);
	BAD_RECV(dma.resid = -1);
	BAD_RECV(dma.length = 1);
	GOOD_RECV(dma.length = -1);
	GOOD_RECV(dma.length = w->dma.resid = -1);
	BAD_RECV(dma.sge_offset = 1 << 30);

	sq->producer_index = -1;
	expect(-EINVAL, attempt(v, false), "sq producer");
	victim_reset(v);
	sq->consumer_index ^= 1;
	expect(-EINVAL, attempt(v, false), "sq consumer");
	victim_reset(v);
	rq->producer_index = v->qp.rq.index_mask + 1;
	expect(-EINVAL, attempt(v, false), "rq producer");
	victim_reset(v);
	rq->consumer_index ^= 1;
	expect(-EINVAL, attempt(v, false), "rq consumer");
	victim_reset(v);
	/* the header's geometry is not believed */
	sq->index_mask = -1;
	sq->log2_elem_size = 30;
	expect(0, attempt(v, true), "sq header");
	victim_reset(v);

	for (i = 0; i < (int)v->qp.num_res; i++)
		if (v->res[i].type)
			break;
	v->res[i].type = 5;
	expect(-EINVAL, attempt(v, false), "cache type");
	victim_reset(v);
	v->res[i].first_psn = 1 << 24;
	expect(-EINVAL, attempt(v, false), "cache PSN");
	victim_reset(v);
	v->res[i].length = -1;
	expect(-EINVAL, attempt(v, false), "cache length");
	victim_reset(v);
	v->res[i].reserved[1] = 1;
	expect(-EINVAL, attempt(v, false), "cache reserved");
	victim_reset(v);
	v->res[i].type = 0;
	expect(-EINVAL, attempt(v, false), "cache entry not empty");
	victim_reset(v);
	v->res[i].last_psn = (v->res[i].first_psn - 1) & 0xffffff;
	expect(-EINVAL, attempt(v, false), "cache PSNs the wrong way round");
	victim_reset(v);
	v->res[i].type = SEALIFT_RXE_RES_READ;
	v->res[i].va = -8;
	v->res[i].length = 64;
	expect(-EINVAL, attempt(v, false), "cache READ beyond the end");
	victim_reset(v);
}

void malformed_image(struct victim *v)
{
	test_buffers(v);
	test_limits(v);
	test_fields(v);
	test_rings(v);
}
