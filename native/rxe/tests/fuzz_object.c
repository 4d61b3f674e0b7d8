// SPDX-License-Identifier: GPL-2.0
/* Completion queues, regions and address handles, and a thread that calls meanwhile. */
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz.h"
#include "mutate_ring.h"
#include "random.h"
#include "../src/rxe_sealift_invariants.h"

#define RING_BYTES (1 << 20)

/* @size: of the ring as it was dumped */
static void alter_cq(struct sealift_rxe_cq *cq, unsigned char *ring,
		     uint32_t size)
{
	switch (any(6)) {
	case 0:
		cq->ring.index = any(cq->ring.index_mask + 2);
		mutate_indices(ring, cq->ring.index,
			       any(cq->ring.index_mask + 2));
		break;
	case 1:
		cq->notify = any(5);
		cq->comp_pending = any(2) ? any(5) : interesting();
		cq->comp_reported = interesting();
		break;
	case 2:
		cq->async_pending = any(3) ? 0 : interesting();
		break;
	case 3:
		((unsigned char *)cq)[any(sizeof(*cq))] = any(256);
		break;
	case 4:
		ring[any(size)] = any(256);
		break;
	}
}

static void a_cq(struct fuzz *f)
{
	static unsigned char ring[RING_BYTES];
	struct sealift_rxe_cq cq, now;
	struct raw_map map;
	uint32_t handle, size;

	if (sl_dump_cq(f->s.fd, f->cq_handle, ring, sizeof(ring), &cq) ||
	    raw_create_cq(f->s.fd, cq.cqe, 1,
			  any(2) ? f->s.end.channel->fd : -1, &handle, &map))
		return;
	size = cq.ring.size;
	/* the original's mapping is there */
	if (any(8))
		cq.ring.mmap_offset = any(2) ? 0 : any(1 << 20) << 12;
	do {
		alter_cq(&cq, ring, size);
		sl_restore_cq(f->s.fd, handle, &cq, ring, size);
	} while (any(3));
	sl_dump_cq(f->s.fd, handle, ring, sizeof(ring), &now);
	raw_destroy(f->s.fd, UVERBS_OBJECT_CQ, handle);
}

static void alter_srq(struct sealift_rxe_srq *srq, unsigned char *ring,
		      uint32_t size)
{
	switch (any(6)) {
	case 0:
		srq->ring.index = any(srq->ring.index_mask + 2);
		mutate_indices(ring, any(srq->ring.index_mask + 2),
			       srq->ring.index);
		break;
	case 1:
		srq->limit = interesting();
		srq->async_reported = interesting();
		break;
	case 2:
		srq->async_pending = any(2) ? RXE_IMAGE_SRQ_EVENTS :
					      interesting();
		break;
	case 3:
		((unsigned char *)srq)[any(sizeof(*srq))] = any(256);
		break;
	case 4:
		ring[any(size)] = any(256);
		break;
	}
}

/* A new queue pair may share it, as it is or restored. */
static void share(struct fuzz *f, uint32_t srq)
{
	struct sealift_rxe_qp like = f->v.qp_orig;
	uint32_t handle, number;
	struct raw_map sq, rq;

	like.srq_handle = srq;
	if (raw_create_qp(f->s.fd, &like, &handle, &number, &sq, &rq))
		return;
	sl_dump_srq(f->s.fd, srq, NULL, 0, &(struct sealift_rxe_srq){ 0 });
	raw_destroy(f->s.fd, UVERBS_OBJECT_QP, handle);
}

static void an_srq(struct fuzz *f)
{
	static unsigned char ring[RING_BYTES];
	struct sealift_rxe_srq srq, now;
	struct raw_map map;
	uint32_t handle, size;
	const char *rule;

	if (sl_dump_srq(f->s.fd, f->srq_handle, ring, sizeof(ring), &srq) ||
	    raw_create_srq(f->s.fd, &srq, &handle, &map))
		return;
	size = srq.ring.size;
	if (any(8))
		srq.ring.mmap_offset = any(2) ? 0 : any(1 << 20) << 12;
	do {
		alter_srq(&srq, ring, size);
		rule = rxe_image_srq_broken_limit(&srq);
		if (!rule)
			rule = rxe_image_srq_broken_rule(&srq);
		if (!sl_restore_srq(f->s.fd, handle, &srq, ring, size) && rule) {
			printf("# accepted an SRQ: %s\n", rule);
			f->counts->broken++;
		}
	} while (any(3));
	share(f, handle);
	sl_dump_srq(f->s.fd, handle, ring, sizeof(ring), &now);
	raw_destroy_srq(f->s.fd, handle);
}

static void alter_ah(struct sealift_rxe_ah *ah)
{
	switch (any(5)) {
	case 0:
		ah->av.dgid[any(16)] = any(2) ? 0xff : any(256);
		break;
	case 1:
		ah->av.sgid[any(16)] = any(256);
		break;
	case 2:
		ah->av.network_type = any(4);
		ah->av.flow_label = interesting();
		break;
	case 3:
		((unsigned char *)ah)[any(sizeof(*ah))] = any(256);
		break;
	}
}

static void an_ah(struct fuzz *f)
{
	struct sealift_rxe_ah ah, now;
	uint32_t handle, number;
	const char *rule;

	if (sl_dump_ah(f->s.fd, f->ah_handle, &ah))
		return;
	ah.number = any(3) ? any(RXE_IMAGE_AH_MAX + 2) : 0;
	sl_hint(f->s.fd, SEALIFT_RXE_HINT_AH, ah.number);
	if (raw_create_ah(f->s.fd, &ah, &handle, &number))
		return;
	do {
		alter_ah(&ah);
		rule = rxe_image_ah_broken_limit(&ah);
		if (!rule)
			rule = rxe_image_ah_broken_rule(&ah);
		if (!sl_restore_ah(f->s.fd, handle, &ah) && rule) {
			printf("# accepted an AH: %s\n", rule);
			f->counts->broken++;
		}
	} while (any(3));
	sl_dump_ah(f->s.fd, handle, &now);
	raw_destroy_ah(f->s.fd, handle);
}

static void an_mr(struct fuzz *f)
{
	struct sealift_rxe_mr mr;
	uint32_t handle, lkey, rkey;

	if (sl_dump_mr(f->s.fd, f->mr_handle, &mr))
		return;
	mr.start += any(4) ? any(f->memory.size) : interesting();
	mr.length = any(4) ? any(f->memory.size) : any(1 << 20);
	mr.iova = any(2) ? mr.start : interesting();
	mr.access = any(2) ? mr.access : interesting();
	sl_hint(f->s.fd, SEALIFT_RXE_HINT_MR, any(2) ? any(1 << 20) << 8 | any(256) : interesting());
	if (raw_reg_mr(f->s.fd, &mr, &handle, &lkey, &rkey))
		return;
	sl_dump_mr(f->s.fd, handle, &mr);
	raw_destroy(f->s.fd, UVERBS_OBJECT_MR, handle);
}

void fuzz_object(struct fuzz *f)
{
	switch (any(4)) {
	case 0:
		a_cq(f);
		break;
	case 1:
		an_srq(f);
		break;
	case 2:
		an_ah(f);
		break;
	default:
		an_mr(f);
	}
}

/* It takes no random numbers: they are the main thread's. */
static void *race(void *arg)
{
	static struct sealift_rxe_device_object objs[256];
	static struct sealift_rxe_object own[256];
	static unsigned char sq[1 << 16], rq[1 << 16];
	static struct sealift_rxe_res res[128];
	struct sealift_rxe_qp_buffers bufs = {
		.sq = sl_buffer(sq, sizeof(sq)),
		.rq = sl_buffer(rq, sizeof(rq)),
		.res = sl_buffer(res, sizeof(res)),
	};
	struct sealift_rxe_context context;
	struct sealift_rxe_list list;
	struct sealift_rxe_qp qp;
	struct fuzz *f = arg;
	uint32_t handle;

	for (;;) {
		sl_list(f->s.fd, objs, 256, &list);
		handle = __atomic_load_n(&f->qp_handle, __ATOMIC_RELAXED);
		sl_dump_qp(f->s.fd, handle, &bufs, &qp);
		sl_context(f->s.fd, own, 256, &context);
		usleep(2000);
	}
	return NULL;
}

void fuzz_race(struct fuzz *f)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, race, f))
		errx(1, "pthread_create");
}
