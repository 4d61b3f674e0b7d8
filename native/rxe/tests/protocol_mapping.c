// SPDX-License-Identifier: GPL-2.0
/*
 * A process may be dumped when it has made or resized a queue and not yet mapped
 * it: what it has been told to map, it maps afterwards.
 */
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "expect.h"
#include "protocol.h"
#include "scripted.h"
#include "victim.h"
#include "../src/rxe_sealift_invariants.h"

#define RING_BYTES (1 << 16)
#define PAGE 4096

/* Return: 0 or -errno. The mapping is given back. */
static int can_map(int fd, const struct raw_map *map)
{
	void *at = mmap(NULL, map->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			map->offset);

	if (at == MAP_FAILED)
		return -errno;
	munmap(at, map->size);
	return 0;
}

static void expect_there(int fd, const struct raw_map *told, uint64_t dumped,
			 const char *what)
{
	expect(1, dumped == told->offset, "%s: where it was", what);
	expect(0, can_map(fd, told), "%s: mapped after the move", what);
}

static void a_cq(struct scripted *s, uint32_t cqe, bool resize)
{
	static unsigned char ring[RING_BYTES];
	struct raw_map told, other;
	struct sealift_rxe_cq cq;
	uint32_t handle;
	int err;

	err = raw_create_cq(s->fd, cqe, 1, -1, &handle, &told);
	if (!err && resize)
		err = raw_resize_cq(s->fd, handle, 4 * cqe, &told);
	if (err)
		errx(1, "CREATE_CQ: %s", strerror(-err));
	scripted_hold(s);
	if (sl_dump_cq(s->fd, handle, ring, sizeof(ring), &cq))
		errx(1, "DUMP_CQ");
	raw_destroy(s->fd, UVERBS_OBJECT_CQ, handle);
	if (raw_create_cq(s->fd, cq.cqe, 1, -1, &handle, &other))
		errx(1, "CREATE_CQ");
	expect(0, sl_restore_cq(s->fd, handle, &cq, ring, cq.ring.size),
	       "RESTORE_CQ");
	if (sl_dump_cq(s->fd, handle, NULL, 0, &cq))
		errx(1, "DUMP_CQ");
	expect_there(s->fd, &told, cq.ring.mmap_offset,
		     resize ? "a resized CQ" : "a CQ");
	expect(1, other.offset == told.offset || can_map(s->fd, &other) == -EINVAL,
	       "and nowhere else");
	scripted_resume(s);
}

static void queue_of_completions(void)
{
	struct scripted s;

	scripted_open(&s);
	a_cq(&s, 10, false);
	a_cq(&s, 10, true);
}

static void shared_queue(void)
{
	struct sealift_rxe_srq srq = { .max_wr = 8, .max_sge = 1 };
	static unsigned char ring[RING_BYTES];
	struct raw_map told, other;
	struct scripted s;
	uint32_t handle;

	scripted_open(&s);
	srq.pd_handle = s.end.pd->handle;
	if (raw_create_srq(s.fd, &srq, &handle, &told))
		errx(1, "CREATE_SRQ");
	scripted_hold(&s);
	if (sl_dump_srq(s.fd, handle, ring, sizeof(ring), &srq))
		errx(1, "DUMP_SRQ");
	raw_destroy_srq(s.fd, handle);
	if (raw_create_srq(s.fd, &srq, &handle, &other))
		errx(1, "CREATE_SRQ");
	expect(0, sl_restore_srq(s.fd, handle, &srq, ring, srq.ring.size),
	       "RESTORE_SRQ");
	if (sl_dump_srq(s.fd, handle, NULL, 0, &srq))
		errx(1, "DUMP_SRQ");
	expect_there(s.fd, &told, srq.ring.mmap_offset, "an SRQ");
	scripted_resume(&s);
}

/* Both queues of a queue pair, and what no image may say. */
static void queue_pair(void)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	struct raw_map sq, rq, next, far;
	struct sealift_rxe_qp qp;
	uint32_t handle, number, cq;
	struct scripted s;
	struct victim v;

	scripted_open_end(&s, IBV_QPT_RC);
	scripted_hold(&s);
	if (sl_dump_qp(s.fd, s.end.qp->handle, &none, &qp) ||
	    raw_create_qp(s.fd, &qp, &handle, &number, &sq, &rq))
		errx(1, "CREATE_QP");
	victim_take(&v, s.fd, handle);
	expect(0, victim_restore(&v, &handle), "RESTORE_QP");
	if (sl_dump_qp(s.fd, handle, &none, &qp))
		errx(1, "DUMP_QP");
	expect_there(s.fd, &sq, qp.sq.mmap_offset, "a send queue");
	expect_there(s.fd, &rq, qp.rq.mmap_offset, "a receive queue");
	if (raw_create_cq(s.fd, 10, 1, -1, &cq, &next))
		errx(1, "CREATE_CQ");
	expect(1, next.offset >= rq.offset + rq.size &&
	       next.offset >= sq.offset + sq.size,
	       "what is made next is mapped from behind them");
	victim_destroy(&v, handle);

#define REFUSED(what, change) do {					\
	change;								\
	expect(-EINVAL, victim_restore(&v, &handle), "mapped " what);	\
	victim_reset(&v);						\
} while (0)
	REFUSED("from no page", v.qp.sq.mmap_offset += PAGE / 2);
	REFUSED("from beyond", v.qp.rq.mmap_offset = RXE_IMAGE_OFFSET_MAX);
	REFUSED("from the end", v.qp.rq.mmap_offset = -PAGE);
	REFUSED("both from one place",
		v.qp.rq.mmap_offset = v.qp.sq.mmap_offset);
	REFUSED("from another queue's place", v.qp.sq.mmap_offset = next.offset);
	REFUSED("from into another queue's place",
		v.qp.sq.mmap_offset = next.offset - v.qp.sq.mmap_size + PAGE);

	v.qp.sq.mmap_offset = 0;
	v.qp.rq.mmap_offset = 0;
	expect(0, victim_restore(&v, &handle), "from anywhere");
	victim_destroy(&v, handle);
	victim_reset(&v);

	/* as the two have it when they are made, but the other way round */
	v.qp.sq.mmap_offset = (1ULL << 61) + v.qp.rq.mmap_size;
	v.qp.rq.mmap_offset = 1ULL << 61;
	expect(0, victim_restore(&v, &handle), "from far away");
	if (sl_dump_qp(s.fd, handle, &none, &qp))
		errx(1, "DUMP_QP");
	expect(1, qp.sq.mmap_offset == v.qp.sq.mmap_offset &&
	       qp.rq.mmap_offset == v.qp.rq.mmap_offset, "both are there");
	far.offset = qp.sq.mmap_offset;
	far.size = qp.sq.mmap_size;
	expect(0, can_map(s.fd, &far), "and can be mapped there");
	scripted_resume(&s);
}

/* A queue that is mapped when it is restored has the offset of its mapping. */
static void mapped_already(void)
{
	static unsigned char ring[RING_BYTES];
	struct sealift_rxe_cq cq;
	struct raw_map map, now;
	struct scripted s;
	uint32_t handle;
	void *at;

	scripted_open(&s);
	if (raw_create_cq(s.fd, 10, 1, -1, &handle, &map))
		errx(1, "CREATE_CQ");
	scripted_hold(&s);
	if (sl_dump_cq(s.fd, handle, ring, sizeof(ring), &cq))
		errx(1, "DUMP_CQ");
	raw_destroy(s.fd, UVERBS_OBJECT_CQ, handle);
	if (raw_create_cq(s.fd, 10, 1, -1, &handle, &now))
		errx(1, "CREATE_CQ");
	at = mmap(NULL, now.size, PROT_READ, MAP_SHARED, s.fd, now.offset);
	if (at == MAP_FAILED)
		err(1, "mmap");
	expect(0, sl_restore_cq(s.fd, handle, &cq, ring, cq.ring.size),
	       "RESTORE_CQ");
	if (sl_dump_cq(s.fd, handle, NULL, 0, &cq))
		errx(1, "DUMP_CQ");
	expect(1, cq.ring.mmap_offset == now.offset, "a mapped CQ stays");
	expect(0, can_map(s.fd, &now), "and can be mapped again in the hold");
	scripted_resume(&s);
}

const struct protocol_case protocol_mapping_cases[] = {
	{ "not mapped yet: completions", queue_of_completions },
	{ "not mapped yet: shared", shared_queue },
	{ "not mapped yet: queue pair", queue_pair },
	{ "mapped already", mapped_already },
	{ 0 },
};
