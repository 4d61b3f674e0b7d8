// SPDX-License-Identifier: GPL-2.0
/*
 * Every call that makes no sense, and every image that was altered, gets its
 * error and leaves the kernel unharmed.
 *
 * usage: malformed DEVICE [FUZZ_ROUNDS [SEED]]
 * Prints "ok <what>" or "not ok <what>" per case.
 */
#include <err.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rdma/rdma_user_rxe.h>

#include "image.h"
#include "traffic.h"

#define TIMER	14
#define RTS	3
#define BAD_POINTER ((void *)8)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static int failed;

static void expect(int want, int got, const char *fmt, ...)
{
	va_list ap;

	printf("%s ", want == got ? "ok" : "not ok");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	if (want == got) {
		printf("\n");
		return;
	}
	printf(": %d, not %d\n", got, want);
	failed = 1;
}

/* A connection within the device, stopped with requests under way. */
static void half_way(struct traffic *a, struct traffic *b, const char *device)
{
	traffic_open(a, device, 1, 400);
	traffic_open(b, device, 2, 400);
	traffic_connect(a, &b->local, 2);
	traffic_connect(b, &a->local, 1);
	while (a->completed < 200) {
		traffic_step(a);
		traffic_step(b);
		usleep(100);
	}
	traffic_step(a);
}

static void test_device(struct traffic *t)
{
	int fd = t->ctx->cmd_fd;
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_resume resume = { .flags = 1 };
	struct sealift_rxe_query query;
	struct sealift_rxe_context ctx;
	struct sealift_rxe_object objs[2];
	struct sealift_rxe_fd found;
	struct sealift_rxe_qp qp;
	struct sealift_rxe_cq cq;
	uint64_t inline_in;

	expect(0, sl_query(fd, &query), "query");
	expect(1, query.abi_version == SEALIFT_RXE_ABI_VERSION && !query.held,
	       "query says version and not held");
	expect(-EINVAL, sl_hold(fd, 32, 100), "hold with timer 32");
	expect(-EINVAL, sl_hold(fd, 0xffffffff, 100), "hold with timer -1");
	expect(-EINVAL, sl_hold(fd, TIMER, 0), "hold without timeout");
	expect(-EINVAL, sl_hold(fd, TIMER, SEALIFT_RXE_MAX_TIMEOUT_MS + 1),
	       "hold with too long a timeout");
	memcpy(&inline_in, &resume, sizeof(inline_in));
	expect(-EINVAL, sl_call(fd, SEALIFT_RXE_OBJECT,
				SEALIFT_RXE_METHOD_RESUME,
				&(struct sl_attr){ SEALIFT_RXE_ATTR_RESUME_IN,
						   8, inline_in }, 1),
	       "resume with a flag");
	expect(-EINVAL, sl_call(fd, SEALIFT_RXE_OBJECT,
				SEALIFT_RXE_METHOD_HOLD,
				&(struct sl_attr){ SEALIFT_RXE_ATTR_HOLD_IN,
						   4, TIMER }, 1),
	       "hold with a short struct");
	expect(-EINVAL, sl_call(fd, SEALIFT_RXE_OBJECT,
				SEALIFT_RXE_METHOD_HOLD, NULL, 0),
	       "hold without its struct");
	expect(-EPROTONOSUPPORT, sl_call(fd, SEALIFT_RXE_OBJECT,
					  SEALIFT_RXE_METHOD_ADOPT + 1, NULL,
					  0),
	       "unknown method");
	expect(0, sl_resume(fd), "resume of a device that is not held");

	expect(-EBUSY, sl_dump_qp(fd, t->qp->handle, &none, &qp),
	       "dump of a QP not held");
	expect(-EBUSY, sl_dump_cq(fd, t->cq->handle, NULL, 0, &cq),
	       "dump of a CQ not held");
	expect(0, sl_hold(fd, TIMER, 5000), "hold");
	expect(0, sl_hold(fd, TIMER + 1, 5000), "hold again");
	expect(0, sl_query(fd, &query), "query of a held device");
	expect(1, query.held && query.rnr_timer == TIMER + 1,
	       "query says held, and the timer");
	expect(-ENOENT, sl_dump_qp(fd, 1000, &none, &qp), "dump of no QP");
	expect(-EINVAL, sl_dump_qp(fd, t->cq->handle, &none, &qp),
	       "dump of a CQ as a QP");
	none.sq.reserved = 1;
	expect(-EINVAL, sl_dump_qp(fd, t->qp->handle, &none, &qp),
	       "dump with a reserved field");
	none.sq.reserved = 0;
	none.rq.size = 1;
	expect(-EINVAL, sl_dump_qp(fd, t->qp->handle, &none, &qp),
	       "dump with a size without an address");
	none.rq = sl_buffer(&qp, 64);
	expect(-ENOSPC, sl_dump_qp(fd, t->qp->handle, &none, &qp),
	       "dump into too small a buffer");
	expect(1, qp.rq.size > 64 && qp.qpn == t->qp->qp_num,
	       "the struct is filled all the same");
	none.rq = sl_buffer(BAD_POINTER, 1 << 30);
	expect(-EFAULT, sl_dump_qp(fd, t->qp->handle, &none, &qp),
	       "dump to a bad address");
	expect(-ENOSPC, sl_context(fd, objs, 2, &ctx), "list of 2 objects");
	expect(1, ctx.count > 2, "the list says how many");
	expect(0, sl_find_fd(fd, t->channel->fd, -1, &found), "find channel");
	expect(0, sl_find_fd(fd, -1, t->ctx->async_fd, &found),
	       "find asynchronous events");
	expect(-EBADF, sl_find_fd(fd, t->ctx->async_fd, -1, &found),
	       "find channel by another kind of descriptor");
	expect(-EBADF, sl_find_fd(fd, 0, -1, &found), "find channel by stdin");
	expect(0, sl_resume(fd), "resume");
}

static void test_hints(struct traffic *t)
{
	int fd = t->ctx->cmd_fd;
	struct sealift_rxe_qp_buffers none = { 0 };
	struct raw_map sq, rq;
	struct sealift_rxe_query q;
	struct sealift_rxe_qp qp;
	struct sealift_rxe_mr mr;
	uint32_t handle, number, rkey;

	if (sl_query(fd, &q) || sl_hold(fd, TIMER, 5000) ||
	    sl_dump_qp(fd, t->qp->handle, &none, &qp) ||
	    sl_dump_mr(fd, t->mr->handle, &mr))
		errx(1, "dump");

	expect(-EINVAL, sl_hint(fd, 3, 20), "hint of an unknown type");
	expect(-EINVAL, sl_hint(fd, SEALIFT_RXE_HINT_NONE, 1),
	       "no hint, but a value");
	expect(-EINVAL, sl_hint(fd, SEALIFT_RXE_HINT_QPN, q.min_qpn - 1),
	       "hint below the range");
	expect(-EINVAL, sl_hint(fd, SEALIFT_RXE_HINT_QPN, q.max_qpn + 1),
	       "hint above the range");
	expect(-EINVAL, sl_hint(fd, SEALIFT_RXE_HINT_MR,
				(q.max_mr_index + 1) << 8),
	       "key above the range");
	expect(-EEXIST, sl_hint(fd, SEALIFT_RXE_HINT_QPN, t->qp->qp_num),
	       "hint that is taken");
	expect(-EEXIST, sl_hint(fd, SEALIFT_RXE_HINT_MR, t->mr->lkey),
	       "key that is taken");

	expect(0, sl_hint(fd, SEALIFT_RXE_HINT_QPN, 54321), "hint");
	expect(0, raw_create_qp(fd, &qp, &handle, &number, &sq, &rq),
	       "create with a hint");
	expect(54321, number, "the number is the hint");
	raw_destroy(fd, UVERBS_OBJECT_QP, handle);
	expect(0, raw_create_qp(fd, &qp, &handle, &number, &sq, &rq),
	       "create again");
	expect(1, number != 54321, "a hint is used up");
	raw_destroy(fd, UVERBS_OBJECT_QP, handle);

	expect(0, sl_hint(fd, SEALIFT_RXE_HINT_MR, 4321 << 8 | 7), "key hint");
	expect(0, raw_create_qp(fd, &qp, &handle, &number, &sq, &rq),
	       "a key hint is no QP's");
	raw_destroy(fd, UVERBS_OBJECT_QP, handle);
	expect(0, raw_reg_mr(fd, &mr, &handle, &number, &rkey),
	       "register with a hint");
	expect(1, number == (4321 << 8 | 7) && rkey == number,
	       "the keys are the hint");
	raw_destroy(fd, UVERBS_OBJECT_MR, handle);
	expect(0, sl_resume(fd), "resume");
}

static void test_privilege(struct traffic *t)
{
	int fd = t->ctx->cmd_fd, status;
	struct sealift_rxe_query q;
	struct sealift_rxe_mr mr;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (setresuid(65534, 65534, 65534))
			err(1, "setresuid");
		expect(0, sl_query(fd, &q), "query by anyone");
		expect(-EPERM, sl_hold(fd, TIMER, 5000), "hold by anyone");
		expect(-EPERM, sl_resume(fd), "resume by anyone");
		expect(-EPERM, sl_hint(fd, SEALIFT_RXE_HINT_NONE, 0),
		       "hint by anyone");
		expect(-EPERM, sl_dump_mr(fd, t->mr->handle, &mr),
		       "dump by anyone");
		fflush(stdout);
		_exit(failed);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		failed = 1;
}

/* One queue pair's image, and a fresh queue pair for each attempt. */
struct victim {
	int fd;
	struct sealift_rxe_qp qp;
	unsigned char *sq, *rq;
	struct sealift_rxe_res *res;
	unsigned char *sq_orig, *rq_orig;
	struct sealift_rxe_res *res_orig;
};

static int attempt(struct victim *v, const struct sealift_rxe_qp *qp,
		   struct sealift_rxe_qp_buffers *bufs, int run)
{
	struct sealift_rxe_qp_buffers own = {
		.sq = sl_buffer(v->sq, v->qp.sq.size),
		.rq = sl_buffer(v->rq, v->qp.rq.size),
		.res = sl_buffer(v->res, v->qp.num_res * sizeof(*v->res)),
	};
	uint32_t handle, number;
	struct raw_map sq, rq;
	int ret;

	if (sl_hint(v->fd, SEALIFT_RXE_HINT_QPN, v->qp.qpn) ||
	    raw_create_qp(v->fd, &v->qp, &handle, &number, &sq, &rq))
		errx(1, "CREATE_QP");
	ret = sl_restore_qp(v->fd, handle, qp, bufs ? bufs : &own);
	if (!ret && run == 2)
		ret = sl_restore_qp(v->fd, handle, qp, &own);
	if (!ret && run == 1) {
		sl_resume(v->fd);
		usleep(2000);
		if (sl_hold(v->fd, TIMER, 5000))
			errx(1, "HOLD");
	}
	raw_destroy(v->fd, UVERBS_OBJECT_QP, handle);
	return ret;
}

static void put_back(struct victim *v)
{
	memcpy(v->sq, v->sq_orig, v->qp.sq.size);
	memcpy(v->rq, v->rq_orig, v->qp.rq.size);
	memcpy(v->res, v->res_orig, v->qp.num_res * sizeof(*v->res));
}

static void test_buffers(struct victim *v)
{
	const struct sealift_rxe_qp_buffers good = {
		.sq = sl_buffer(v->sq, v->qp.sq.size),
		.rq = sl_buffer(v->rq, v->qp.rq.size),
		.res = sl_buffer(v->res, v->qp.num_res * sizeof(*v->res)),
	};
	struct sealift_rxe_qp_buffers b;

	expect(-EINVAL, attempt(v, &v->qp, NULL, 2), "restore twice");
	b = good;
	b.sq.size--;
	expect(-EINVAL, attempt(v, &v->qp, &b, 0), "restore a short ring");
	b = good;
	b.rq.size += 64;
	expect(-EINVAL, attempt(v, &v->qp, &b, 0), "restore a long ring");
	b = good;
	b.rq.address = 0;
	expect(-EINVAL, attempt(v, &v->qp, &b, 0), "restore from nowhere");
	b = good;
	b.sq.address = (uintptr_t)BAD_POINTER;
	expect(-EFAULT, attempt(v, &v->qp, &b, 0), "restore from a bad address");
	b = good;
	b.res.size -= sizeof(*v->res);
	expect(-EINVAL, attempt(v, &v->qp, &b, 0), "restore a short cache");
	b = good;
	b.res.reserved = 1;
	expect(-EINVAL, attempt(v, &v->qp, &b, 0), "restore with a reserved field");
}

#define FIELD(f, v) { #f, offsetof(struct sealift_rxe_qp, f),		\
		      sizeof(((struct sealift_rxe_qp *)0)->f), v }

static const struct {
	const char *name;
	size_t offset, size;
	uint64_t value;
} qp_fields[] = {
	FIELD(flags, 2), FIELD(qpn, 17), FIELD(qpn, 1 << 24), FIELD(qp_type, 3),
	FIELD(state, 5), FIELD(state, 7), FIELD(state, -1U),
	FIELD(sq_sig_all, 1), FIELD(sq_sig_all, 2), FIELD(num_mcast, 1),
	FIELD(max_send_wr, 1), FIELD(max_send_sge, 33), FIELD(max_inline, 0),
	FIELD(max_recv_wr, -1U), FIELD(max_recv_sge, 3), FIELD(src_port, 1),
	FIELD(src_port, 65536), FIELD(num_res, 0), FIELD(num_res, 8),
	FIELD(num_res, -1U), FIELD(async_pending, 1), FIELD(async_pending, -1U),
	FIELD(reserved, 1),
	FIELD(sq.size, 0), FIELD(sq.size, -1U), FIELD(sq.log2_elem_size, 31),
	FIELD(sq.index_mask, 0), FIELD(sq.index_mask, -1U),
	FIELD(sq.index, 1 << 20), FIELD(sq.index, -1U), FIELD(sq.reserved, 1),
	FIELD(rq.size, 1), FIELD(rq.index_mask, 1), FIELD(rq.index, -1U),
	FIELD(rq.reserved, 1),
	FIELD(attr.path_mtu, 0), FIELD(attr.path_mtu, 6),
	FIELD(attr.dest_qpn, 1 << 24), FIELD(attr.rq_psn, 1 << 24),
	FIELD(attr.sq_psn, -1U), FIELD(attr.access_flags, 1 << 30),
	FIELD(attr.pkey_index, 1), FIELD(attr.port_num, 0),
	FIELD(attr.port_num, 2), FIELD(attr.timeout, 32),
	FIELD(attr.retry_cnt, 8), FIELD(attr.rnr_retry, 8),
	FIELD(attr.min_rnr_timer, 32), FIELD(attr.max_rd_atomic, 3),
	FIELD(attr.max_rd_atomic, 256), FIELD(attr.max_dest_rd_atomic, 3),
	FIELD(attr.max_dest_rd_atomic, 8), FIELD(attr.max_dest_rd_atomic, 0),
	FIELD(attr.sq_draining, 2), FIELD(attr.reserved, 1),
	FIELD(attr.av.present, 0), FIELD(attr.av.present, 2),
	FIELD(attr.av.network_type, 0), FIELD(attr.av.network_type, 2),
	FIELD(attr.av.network_type, 3),
	FIELD(attr.av.sl, 1), FIELD(attr.av.flow_label, 1 << 20),
	FIELD(attr.av.sgid[10], 0), FIELD(attr.av.dgid[0], 0xff),
	FIELD(req.wqe_index, -1U), FIELD(req.psn, 1 << 24),
	FIELD(req.opcode, 0x1f), FIELD(req.opcode, 0x100),
	FIELD(req.rd_atomic, 5), FIELD(req.rd_atomic, -1U),
	FIELD(req.noack_pkts, -1U), FIELD(comp.psn, 1 << 24),
	FIELD(comp.opcode, 0), FIELD(comp.retry_cnt, 8),
	FIELD(comp.rnr_retry, 8), FIELD(comp.started_retry, 2),
	FIELD(comp.reserved, 1), FIELD(resp.psn, 1 << 24),
	FIELD(resp.ack_psn, -1U), FIELD(resp.opcode, 0x80),
	FIELD(resp.drop_msg, 2), FIELD(resp.sent_psn_nak, 2),
	FIELD(resp.status, 99), FIELD(resp.aeth_syndrome, 256),
	FIELD(resp.resid, -1U), FIELD(resp.length, -1U),
	FIELD(resp.res_head, 4), FIELD(resp.res_head, -1U),
	FIELD(resp.wqe.present, 2), FIELD(resp.wqe.num_sge, 33),
	FIELD(resp.wqe.sge[31].length, 1),
};

static void test_fields(struct victim *v)
{
	struct sealift_rxe_qp qp;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(qp_fields); i++) {
		qp = v->qp;
		memcpy((char *)&qp + qp_fields[i].offset, &qp_fields[i].value,
		       qp_fields[i].size);
		if (!memcmp(&qp, &v->qp, sizeof(qp)))
			continue;
		expect(-EINVAL, attempt(v, &qp, NULL, 0), "%s = %#llx",
		       qp_fields[i].name,
		       (unsigned long long)qp_fields[i].value);
	}

	qp = v->qp;
	qp.attr.av.sgid[15] ^= 0x55;
	expect(-EADDRNOTAVAIL, attempt(v, &qp, NULL, 0),
	       "an address that the device lacks");
	qp.flags = SEALIFT_RXE_QP_ERROR;
	expect(0, attempt(v, &qp, NULL, 1), "the same, in the error state");
}

#define BAD_WQE(q, type, at, field, v) do {				\
	type *w = (type *)(v->q + sizeof(struct rxe_queue_buf) +	\
			   ((uint64_t)(at) << v->qp.q.log2_elem_size));	\
	w->field;							\
	expect(-EINVAL, attempt(v, &v->qp, NULL, 0), #q " " #field);	\
	put_back(v);							\
} while (0)
#define BAD_SEND(field) BAD_WQE(sq, struct rxe_send_wqe, v->qp.sq.index, field, v)
#define BAD_RECV(field) BAD_WQE(rq, struct rxe_recv_wqe, v->qp.rq.index, field, v)

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
	BAD_SEND(has_rd_atomic = 2);
	/* the oldest request was sent: it has PSNs and a mask */
	BAD_SEND(first_psn = 1 << 24);
	BAD_SEND(last_psn = -1);
	BAD_SEND(mask ^= 1 << 20);
	BAD_RECV(dma.num_sge = 3);
	BAD_RECV(dma.num_sge = -1);
	BAD_RECV(dma.cur_sge = 2);
	BAD_RECV(dma.resid = -1);
	BAD_RECV(dma.length = -1);
	BAD_RECV(dma.sge_offset = 1 << 30);

	sq->producer_index = -1;
	expect(-EINVAL, attempt(v, &v->qp, NULL, 0), "sq producer");
	put_back(v);
	sq->consumer_index ^= 1;
	expect(-EINVAL, attempt(v, &v->qp, NULL, 0), "sq consumer");
	put_back(v);
	rq->producer_index = v->qp.rq.index_mask + 1;
	expect(-EINVAL, attempt(v, &v->qp, NULL, 0), "rq producer");
	put_back(v);
	rq->consumer_index ^= 1;
	expect(-EINVAL, attempt(v, &v->qp, NULL, 0), "rq consumer");
	put_back(v);
	/* the header's geometry is not believed */
	sq->index_mask = -1;
	sq->log2_elem_size = 30;
	expect(0, attempt(v, &v->qp, NULL, 1), "sq header");
	put_back(v);

	for (i = 0; i < (int)v->qp.num_res; i++)
		if (v->res[i].type)
			break;
	v->res[i].type = 5;
	expect(-EINVAL, attempt(v, &v->qp, NULL, 0), "cache type");
	put_back(v);
	v->res[i].first_psn = 1 << 24;
	expect(-EINVAL, attempt(v, &v->qp, NULL, 0), "cache PSN");
	put_back(v);
	v->res[i].length = -1;
	expect(-EINVAL, attempt(v, &v->qp, NULL, 0), "cache length");
	put_back(v);
	v->res[i].reserved[1] = 1;
	expect(-EINVAL, attempt(v, &v->qp, NULL, 0), "cache reserved");
	put_back(v);
	v->res[i].type = 0;
	expect(-EINVAL, attempt(v, &v->qp, NULL, 0), "cache entry not empty");
	put_back(v);
}

/* Anything may be answered, if only nothing breaks. */
static void fuzz(struct victim *v, unsigned int rounds)
{
	unsigned int i, j, n, accepted = 0;
	struct sealift_rxe_qp qp;

	for (i = 0; i < rounds; i++) {
		qp = v->qp;
		n = 1 + rand() % 3;
		for (j = 0; j < n; j++) {
			unsigned char *at;

			switch (rand() % 4) {
			case 0:
				at = v->sq + rand() % v->qp.sq.size;
				break;
			case 1:
				at = v->rq + rand() % v->qp.rq.size;
				break;
			case 2:
				at = (unsigned char *)v->res + rand() %
				     (v->qp.num_res * sizeof(*v->res));
				break;
			default:
				at = (unsigned char *)&qp +
				     rand() % sizeof(qp);
			}
			*at = rand() % 3 ? rand() : *at ^ 1 << rand() % 8;
		}
		accepted += !attempt(v, &qp, NULL, 1);
		put_back(v);
	}
	expect(1, 1, "random images: %u of %u accepted", accepted, rounds);
}

static void test_cq(struct traffic *t)
{
	int fd = t->ctx->cmd_fd;
	struct sealift_rxe_cq good, cq;
	struct rxe_queue_buf *ring;
	struct raw_map map;
	uint32_t handle;
	void *bytes;

	if (sl_dump_cq(fd, t->cq->handle, NULL, 0, &good))
		errx(1, "DUMP_CQ");
	bytes = malloc(good.ring.size);
	ring = bytes;
	if (sl_dump_cq(fd, t->cq->handle, bytes, good.ring.size, &good) ||
	    raw_create_cq(fd, good.cqe, 1, -1, &handle, &map))
		errx(1, "CREATE_CQ");
	good.comp_pending = 0;

#define BAD_CQ(change) do {						\
	cq = good;							\
	cq.change;							\
	expect(-EINVAL, sl_restore_cq(fd, handle, &cq, bytes,		\
				      good.ring.size), "cq." #change);	\
} while (0)
	BAD_CQ(ring.index = -1);
	BAD_CQ(ring.index ^= 1);
	BAD_CQ(ring.index_mask = 0);
	BAD_CQ(ring.size -= 1);
	BAD_CQ(ring.log2_elem_size = 0);
	BAD_CQ(ring.reserved = 1);
	BAD_CQ(cqe = 1);
	BAD_CQ(notify = 4);
	BAD_CQ(comp_pending = 1);	/* it has no channel */
	BAD_CQ(comp_pending = -1);
	BAD_CQ(async_pending = 2);
	BAD_CQ(reserved = 1);
	expect(-EINVAL, sl_restore_cq(fd, handle, &good, bytes,
				      good.ring.size - 1), "cq short ring");
	expect(-EFAULT, sl_restore_cq(fd, handle, &good, BAD_POINTER,
				      good.ring.size), "cq bad address");
	ring->consumer_index = good.ring.index_mask + 1;
	expect(-EINVAL, sl_restore_cq(fd, handle, &good, bytes,
				      good.ring.size), "cq consumer");
	ring->consumer_index = good.ring.index;
	expect(0, sl_restore_cq(fd, handle, &good, bytes, good.ring.size),
	       "cq restore");
	if (good.ring.index)
		expect(-EINVAL, sl_restore_cq(fd, handle, &good, bytes,
					      good.ring.size),
		       "cq restore twice");
	raw_destroy(fd, UVERBS_OBJECT_CQ, handle);
	free(bytes);
}

static void *copy_of(const void *p, size_t size)
{
	void *q = malloc(size);

	if (!q)
		err(1, "malloc");
	return memcpy(q, p, size);
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc > 2 ? atoi(argv[2]) : 500;
	struct victim v = { 0 };
	struct traffic a, b;
	struct image img;
	uint32_t i;

	if (argc < 2)
		errx(2, "usage: %s DEVICE [FUZZ_ROUNDS [SEED]]", argv[0]);
	srand(argc > 3 ? atoi(argv[3]) : 1);

	half_way(&a, &b, argv[1]);
	test_device(&a);
	test_hints(&a);
	test_privilege(&a);

	/* something must be on its way: a device that talks to itself is quick */
	do {
		traffic_step(&a);
		if (sl_hold(a.ctx->cmd_fd, TIMER, 5000))
			errx(1, "HOLD");
		image_dump(&img, a.ctx->cmd_fd, a.channel->fd);
		for (i = 0; i < img.num; i++)
			if (img.obj[i].type == UVERBS_OBJECT_QP)
				break;
		if (((struct rxe_queue_buf *)img.obj[i].ring)->producer_index !=
		    img.obj[i].qp.sq.index &&
		    img.obj[i].qp.sq.index != img.obj[i].qp.req.wqe_index)
			break;
		image_free(&img);
		sl_resume(a.ctx->cmd_fd);
		traffic_step(&b);
	} while (a.completed < a.total);

	v.fd = a.ctx->cmd_fd;
	v.qp = img.obj[i].qp;
	v.sq_orig = img.obj[i].ring;
	v.rq_orig = img.obj[i].rq;
	v.res_orig = img.obj[i].res;
	v.sq = copy_of(v.sq_orig, v.qp.sq.size);
	v.rq = copy_of(v.rq_orig, v.qp.rq.size);
	v.res = copy_of(v.res_orig, v.qp.num_res * sizeof(*v.res));
	if (raw_destroy(v.fd, UVERBS_OBJECT_QP, img.obj[i].handle))
		errx(1, "DESTROY_QP");

	test_cq(&a);
	expect(0, attempt(&v, &v.qp, NULL, 0), "restore unaltered");
	test_buffers(&v);
	test_fields(&v);
	test_rings(&v);
	fuzz(&v, rounds);
	sl_resume(v.fd);

	return failed;
}
