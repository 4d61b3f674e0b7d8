// SPDX-License-Identifier: GPL-2.0
/*
 * Whatever the driver gives user space, each byte is set: neither what the kernel's
 * memory had before nor what the caller's had is left in it.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "datagram.h"
#include "dirty.h"
#include "expect.h"
#include "listed.h"
#include "protocol.h"
#include "shared.h"

#define MAX_OWN		64	/* objects of the context */
#define RING_BYTES	65536
/* more objects than there is room for in pages that are in use */
#define RINGS		100
#define QUERIES		100

/* What the methods say of one end. */
struct told {
	struct sealift_rxe_query query;
	struct sealift_rxe_context context;
	struct sealift_rxe_object objects[MAX_OWN];
	struct sealift_rxe_list list;
	struct sealift_rxe_device_object device_objects[LISTED_MAX];
	struct sealift_rxe_fd channel, async;
	struct sealift_rxe_cq cq;
	struct sealift_rxe_srq srq;
	struct sealift_rxe_mr mr;
	struct sealift_rxe_ah ah;
	struct sealift_rxe_qp qp;
	struct sealift_rxe_res res[16];
	unsigned char cq_ring[RING_BYTES], srq_ring[RING_BYTES];
	unsigned char sq_ring[RING_BYTES], rq_ring[RING_BYTES];
};

static void take(const struct scripted *s, uint32_t ah, struct told *t)
{
	struct sealift_rxe_qp_buffers bufs = {
		.sq = sl_buffer(t->sq_ring, RING_BYTES),
		.rq = sl_buffer(t->rq_ring, RING_BYTES),
		.res = sl_buffer(t->res, sizeof(t->res)),
	};
	const struct endpoint *e = &s->end;

	if (sl_query(s->fd, &t->query) ||
	    sl_context(s->fd, t->objects, MAX_OWN, &t->context) ||
	    sl_list(s->fd, t->device_objects, LISTED_MAX, &t->list) ||
	    sl_find_fd(s->fd, e->channel->fd, -1, &t->channel) ||
	    sl_find_fd(s->fd, -1, e->ctx->async_fd, &t->async) ||
	    sl_dump_cq(s->fd, e->cq->handle, t->cq_ring, RING_BYTES, &t->cq) ||
	    sl_dump_mr(s->fd, e->mr->handle, &t->mr) ||
	    sl_dump_ah(s->fd, ah, &t->ah) ||
	    sl_dump_qp(s->fd, e->qp->handle, &bufs, &t->qp) ||
	    (e->srq && sl_dump_srq(s->fd, e->srq->handle, t->srq_ring,
				   RING_BYTES, &t->srq)))
		errx(1, "a dump fails");
}

static void same(const void *a, const void *b, size_t size, const char *what)
{
	const unsigned char *x = a, *y = b;
	size_t i = 0;

	while (i < size && x[i] == y[i])
		i++;
	expect(size, i, "each byte of %s is set", what);
}

#define SAME(part) same(&t[0].part, &t[1].part, sizeof(t[0].part), #part)
#define SAME_OF(part, size) same(t[0].part, t[1].part, size, #part)

static void compare(const struct told *t, int has_srq)
{
	SAME(query);
	SAME(context);
	SAME_OF(objects, t->context.count * sizeof(*t->objects));
	SAME(list);
	SAME_OF(device_objects, t->list.count * sizeof(*t->device_objects));
	SAME(channel);
	SAME(async);
	SAME(cq);
	SAME_OF(cq_ring, t->cq.ring.size);
	SAME(mr);
	SAME(ah);
	SAME(qp);
	SAME_OF(sq_ring, t->qp.sq.size);
	SAME_OF(rq_ring, t->qp.rq.size);
	SAME_OF(res, t->qp.num_res * sizeof(*t->res));
	if (!has_srq)
		return;
	SAME(srq);
	SAME_OF(srq_ring, t->srq.ring.size);
}

/* Twice, over memory that is different in the kernel and in the caller. */
static void tell_twice(struct scripted *s)
{
	struct told *t = calloc(2, sizeof(*t));
	union ibv_gid peer;
	struct ibv_ah *ah;
	int i;

	if (!t)
		err(1, "calloc");
	scripted_peer_gid(s, &peer);
	ah = datagram_handle(&s->end, &peer);
	scripted_hold(s);
	for (i = 0; i < 2; i++) {
		memset(&t[i], i ? 0x5a : 0xa5, sizeof(*t));
		dirty_kernel_memory(i ? 0x3c : 0xc3);
		take(s, ah->handle, &t[i]);
	}
	scripted_resume(s);
	compare(t, !!s->end.srq);
	free(t);
}

/* One entry of each kind in the replay cache. */
static void cache_some(struct scripted *s)
{
	static const uint8_t opcodes[] = {
		WIRE_READ, WIRE_FETCH_ADD, WIRE_ATOMIC_WRITE, WIRE_FLUSH,
	};
	struct wire_packet p;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(opcodes); i++) {
		p = scripted_request(s, opcodes[i], i);
		p.va = (uintptr_t)s->mem;
		p.rkey = s->end.mr->rkey;
		p.length = 8;
		p.size = opcodes[i] == WIRE_ATOMIC_WRITE ? 8 : 0;
		p.flush = 1;
		wire_send(&s->wire, &p);
		expect(1, wire_recv(&s->wire, &p, 500), "an answer to request %u", i);
	}
}

static void dumps(void)
{
	struct scripted s;

	scripted_open(&s);
	scripted_post_recv(&s, 64);
	cache_some(&s);
	tell_twice(&s);
}

static void shared_dumps(void)
{
	struct scripted s;

	shared_open(&s);
	shared_post_some(&s, 0, 3);
	/* half a message, whose request is in the image */
	shared_send(&s, s.end.qp, WIRE_SEND_FIRST, 0, WIRE_MTU);
	expect(1, scripted_count(&s, WIRE_ACK, 300), "a message's start is acknowledged");
	tell_twice(&s);
}

/* ib_uverbs has the driver fill memory that it has allocated, and gives user space parts of it. */
static void queries(void)
{
	struct ibv_qp_init_attr init;
	struct ibv_srq_attr srq;
	unsigned int i, set = 0;
	struct ibv_qp_attr attr;
	struct scripted s;

	shared_open(&s);
	dirty_kernel_memory(0xa5);
	for (i = 0; i < QUERIES; i++) {
		if (ibv_query_qp(s.end.qp, &attr, IBV_QP_CAP, &init) ||
		    ibv_query_srq(s.end.srq, &srq))
			err(1, "query");
		set |= init.cap.max_recv_wr | init.cap.max_recv_sge |
		       attr.cap.max_recv_wr | attr.cap.max_recv_sge |
		       attr.alt_pkey_index | attr.alt_port_num |
		       attr.alt_timeout | attr.alt_ah_attr.dlid;
		if (srq.max_sge != 2 || srq.srq_limit)
			errx(1, "query of a shared receive queue");
	}
	expect(0, set, "what a queue pair lacks is 0 in its query");
}

static void mappings(void)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	uint32_t cq, srq, qp, qpn, pads = 0;
	struct sealift_rxe_srq like_srq;
	struct sealift_rxe_qp like_qp;
	struct raw_map map, rq;
	struct scripted s;
	unsigned int i;

	shared_open(&s);
	scripted_hold(&s);
	if (sl_dump_srq(s.fd, s.end.srq->handle, NULL, 0, &like_srq) ||
	    sl_dump_qp(s.fd, s.end.qp->handle, &none, &like_qp))
		errx(1, "DUMP");
	scripted_resume(&s);
	like_qp.srq_handle = SEALIFT_RXE_NONE;
	like_qp.max_recv_wr = 1;
	like_qp.max_recv_sge = 1;
	dirty_kernel_memory(0xa5);
	for (i = 0; i < RINGS; i++) {
		if (raw_create_cq(s.fd, 1, 0, -1, &cq, &map))
			errx(1, "CREATE_CQ");
		pads |= map.pad;
		if (raw_create_srq(s.fd, &like_srq, &srq, &map))
			errx(1, "CREATE_SRQ");
		pads |= map.pad;
		if (raw_create_qp(s.fd, &like_qp, &qp, &qpn, &map, &rq))
			errx(1, "CREATE_QP");
		pads |= map.pad | rq.pad;
	}
	expect(0, pads, "nothing is beside a ring's offset and size");
}

const struct protocol_case protocol_bytes_cases[] = {
	{ "bytes of dumps", dumps },
	{ "bytes of dumps with a shared receive queue", shared_dumps },
	{ "bytes of queries", queries },
	{ "bytes beside a mapping", mappings },
	{ 0 },
};
