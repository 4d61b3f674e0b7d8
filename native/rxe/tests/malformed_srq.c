// SPDX-License-Identifier: GPL-2.0
/* Calls and images of a shared receive queue that make no sense. */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rdma/rdma_user_rxe.h>

#include "expect.h"
#include "malformed.h"
#include "random.h"
#include "../src/rxe_sealift_invariants.h"

struct queue {
	int fd;
	struct sealift_rxe_srq srq, orig;
	unsigned char *ring, *ring_orig;
	uint32_t ring_size;
};

static void reset(struct queue *q)
{
	q->srq = q->orig;
	q->ring_size = q->orig.ring.size;
	memcpy(q->ring, q->ring_orig, q->ring_size);
}

static uint32_t create(const struct queue *q)
{
	struct raw_map map;
	uint32_t handle;

	if (raw_create_srq(q->fd, &q->orig, &handle, &map))
		errx(1, "CREATE_SRQ");
	return handle;
}

/* Restore the image as it is now, and destroy what came of it. */
static int attempt(struct queue *q)
{
	uint32_t handle = create(q);
	int ret = sl_restore_srq(q->fd, handle, &q->srq, q->ring, q->ring_size);

	raw_destroy_srq(q->fd, handle);
	return ret;
}

static const char *broken(const struct sealift_rxe_srq *srq)
{
	const char *rule = rxe_image_srq_broken_limit(srq);

	return rule ? rule : rxe_image_srq_broken_rule(srq);
}

static void test_calls(struct traffic *t)
{
	uint32_t handle = t->end.srq->handle;
	int fd = t->end.ctx->cmd_fd, status;
	struct sealift_rxe_srq srq;
	unsigned char few[64];
	pid_t pid;

	expect(0, sl_dump_srq(fd, handle, NULL, 0, &srq), "dump of an SRQ");
	expect(-ENOSPC, sl_dump_srq(fd, handle, few, sizeof(few), &srq),
	       "dump of an SRQ into too small a buffer");
	expect(1, srq.max_wr >= TRAFFIC_RECVS && srq.ring.size > sizeof(few),
	       "the struct is filled all the same");
	expect(-EFAULT, sl_dump_srq(fd, handle, BAD_POINTER, 1 << 30, &srq),
	       "dump of an SRQ to a bad address");
	expect(-ENOENT, sl_dump_srq(fd, 1000, NULL, 0, &srq), "dump of no SRQ");
	expect(-EINVAL, sl_dump_srq(fd, t->end.cq->handle, NULL, 0, &srq),
	       "dump of a CQ as an SRQ");
	sl_resume(fd);
	expect(-EBUSY, sl_dump_srq(fd, handle, NULL, 0, &srq),
	       "dump of an SRQ not held");
	if (sl_hold(fd, TIMER, 5000))
		errx(1, "HOLD");

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (setresuid(65534, 65534, 65534))
			err(1, "setresuid");
		expect(-EPERM, sl_dump_srq(fd, handle, NULL, 0, &srq),
		       "dump of an SRQ by anyone");
		expect(-EPERM, sl_restore_srq(fd, handle, &srq, few, sizeof(few)),
		       "restore of an SRQ by anyone");
		fflush(stdout);
		_exit(expect_failed);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		expect_failed = 1;
}

static void test_limits(struct queue *q)
{
	const struct rxe_image_limit *limit;
	uint32_t value;

	for (limit = rxe_image_srq_limits; limit->field; limit++) {
		value = limit->max + 1;
		memcpy((char *)&q->srq + limit->offset, &value, limit->size);
		expect(-EINVAL, attempt(q), "srq.%s = %#x", limit->field, value);
		reset(q);
	}
}

#define BAD_SRQ(change) do {						\
	q->srq.change;							\
	expect(-EINVAL, attempt(q), "srq." #change);			\
	reset(q);							\
} while (0)

static void test_fields(struct queue *q)
{
	BAD_SRQ(ring.size -= 1);
	BAD_SRQ(ring.size = -1);
	BAD_SRQ(ring.log2_elem_size ^= 1);
	BAD_SRQ(ring.index_mask = 0);
	BAD_SRQ(ring.index_mask -= 1);
	BAD_SRQ(ring.index_mask = 2 * q->orig.ring.index_mask + 1);
	BAD_SRQ(ring.index ^= 1);
	BAD_SRQ(ring.index = q->orig.ring.index_mask + 1);
	BAD_SRQ(ring.index = -1);
	BAD_SRQ(max_wr = 0);
	BAD_SRQ(max_wr = q->orig.ring.index_mask + 1);
	BAD_SRQ(max_wr = 1);
	BAD_SRQ(max_sge = 0);
	BAD_SRQ(max_sge += 1);
	BAD_SRQ(async_pending = 1);
	BAD_SRQ(async_pending = 1 << 16);
	BAD_SRQ(async_pending = -1);
	BAD_SRQ(reserved = 1);
	BAD_SRQ(reserved = 1ULL << 32);
	q->srq.limit = -1;
	expect(0, attempt(q), "any limit, as CREATE_SRQ takes it");
	reset(q);
}

/* librxe looks at no length: a request may have any */
#define BAD_ENTRY(at, field)	ENTRY(-EINVAL, at, field)
#define GOOD_ENTRY(at, field)	ENTRY(0, at, field)
#define ENTRY(want, at, field) do {					\
	struct rxe_recv_wqe *w = (void *)(q->ring +			\
		sizeof(struct rxe_queue_buf) +				\
		((uint64_t)(at) << q->orig.ring.log2_elem_size));	\
	w->field;							\
	expect(want, attempt(q), "srq entry " #field);			\
	reset(q);							\
} while (0)

static void test_ring(struct queue *q)
{
	struct rxe_queue_buf *buf = (void *)q->ring;
	const uint32_t first = q->orig.ring.index;

	if (buf->producer_index == first)
		errx(1, "the SRQ is empty");
	BAD_ENTRY(first, dma.num_sge = q->orig.max_sge + 1);
	BAD_ENTRY(first, dma.num_sge = -1);
	BAD_ENTRY(first, dma.cur_sge = 2);
	BAD_ENTRY(first, dma.resid = -1);
	BAD_ENTRY(first, dma.length = 1);
	GOOD_ENTRY(first, dma.length = -1);
	GOOD_ENTRY(first, dma.length = w->dma.resid = -1);
	BAD_ENTRY(first, dma.sge_offset = 1 << 30);
	buf->producer_index = q->orig.ring.index_mask + 1;
	expect(-EINVAL, attempt(q), "srq producer");
	reset(q);
	buf->consumer_index ^= 1;
	expect(-EINVAL, attempt(q), "srq consumer");
	reset(q);
	/* the header's geometry is not believed */
	buf->index_mask = -1;
	buf->log2_elem_size = 30;
	expect(0, attempt(q), "srq header");
	reset(q);
	q->ring_size--;
	expect(-EINVAL, attempt(q), "srq short ring");
	reset(q);
}

static void test_whom(struct queue *q, const struct victim *sharer)
{
	uint32_t handle = create(q), qp, number;
	struct sealift_rxe_qp like = sharer->qp_orig;
	struct raw_map sq, rq;

	expect(-EFAULT, sl_restore_srq(q->fd, handle, &q->srq, BAD_POINTER,
				       q->ring_size), "srq bad address");
	expect(-EINVAL, sl_restore_srq(q->fd, handle, &q->srq, NULL, 0),
	       "srq from nowhere");
	like.srq_handle = handle;
	if (raw_create_qp(q->fd, &like, &qp, &number, &sq, &rq))
		errx(1, "CREATE_QP");
	expect(-EINVAL, sl_restore_srq(q->fd, handle, &q->srq, q->ring,
				       q->ring_size), "srq that is shared already");
	raw_destroy(q->fd, UVERBS_OBJECT_QP, qp);
	q->srq.async_pending = 1 << 15;
	q->srq.async_reported = 5;
	expect(0, sl_restore_srq(q->fd, handle, &q->srq, q->ring, q->ring_size),
	       "srq that is not shared any more");
	expect(-EINVAL, sl_restore_srq(q->fd, handle, &q->srq, q->ring,
				       q->ring_size), "srq restored twice");
	if (sl_dump_srq(q->fd, handle, NULL, 0, &q->srq))
		errx(1, "DUMP_SRQ");
	expect(1, !q->srq.async_pending && q->srq.async_reported == 5,
	       "it has no event, but its counter");
	raw_destroy_srq(q->fd, handle);
	reset(q);
}

static void fuzz(struct queue *q, unsigned int rounds)
{
	unsigned int i, n, accepted = 0, wrong = 0;
	unsigned char *at;

	for (i = 0; i < rounds; i++) {
		for (n = 1 + any(3); n; n--) {
			at = any(2) ? (unsigned char *)&q->srq +
					  any(sizeof(q->srq)) :
					  q->ring + any(q->orig.ring.size);
			*at = any(3) ? any(256) : *at ^ 1U << any(8);
		}
		if (!attempt(q)) {
			accepted++;
			if (broken(&q->srq)) {
				wrong++;
				printf("# accepted: %s\n", broken(&q->srq));
			}
		}
		reset(q);
	}
	expect(0, wrong, "random SRQ images: %u of %u accepted", accepted, rounds);
}

void malformed_srq(struct traffic *t, const struct victim *sharer,
		   unsigned int rounds)
{
	struct queue q = { .fd = t->end.ctx->cmd_fd };

	test_calls(t);
	if (sl_dump_srq(q.fd, t->end.srq->handle, NULL, 0, &q.orig))
		errx(1, "DUMP_SRQ");
	q.ring = malloc(q.orig.ring.size);
	q.ring_orig = malloc(q.orig.ring.size);
	if (!q.ring || !q.ring_orig ||
	    sl_dump_srq(q.fd, t->end.srq->handle, q.ring_orig,
			q.orig.ring.size, &q.orig))
		errx(1, "DUMP_SRQ");
	/* the original stays, and so does its mapping */
	q.orig.ring.mmap_offset = 0;
	reset(&q);
	expect(0, attempt(&q), "restore an unaltered SRQ");
	test_limits(&q);
	test_fields(&q);
	test_ring(&q);
	test_whom(&q, sharer);
	fuzz(&q, rounds);
	free(q.ring);
	free(q.ring_orig);
}
