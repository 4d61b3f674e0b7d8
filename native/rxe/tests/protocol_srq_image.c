// SPDX-License-Identifier: GPL-2.0
/*
 * Images of shared receive queues and of who shares them that an attacker has
 * altered: what must agree between the two, and what a peer can make of it.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "expect.h"
#include "protocol.h"
#include "scripted.h"
#include "victim.h"

#define MAX_SGE		2	/* of the scripted end's receive requests */
#define RANDOM_ROUNDS	60

/* A message has taken a request of the shared receive queue. */
static void take_half_a_message(struct scripted *s, struct victim *v)
{
	struct wire_packet p;

	setenv("LIVE_SRQ", "1", 1);
	scripted_open(s);
	scripted_post_recv(s, 4096);
	scripted_post_recv(s, 4096);
	p = scripted_request(s, WIRE_SEND_FIRST, 0);
	p.size = WIRE_MTU;
	wire_send(&s->wire, &p);
	expect(1, scripted_count(s, WIRE_ACK, 300),
	       "the message's start is acknowledged");
	scripted_hold(s);
	victim_take(v, s->fd, s->end.qp->handle);
	expect(1, v->qp.resp.wqe.present &&
	       v->qp.srq_handle == s->end.srq->handle && !v->qp.rq.size,
	       "the image has the request, the queue's handle and no ring");
}

static void pairs(void)
{
	struct sealift_rxe_srq srq;
	struct scripted s;
	struct victim v;
	uint32_t handle;
	struct wire_packet p;

	take_half_a_message(&s, &v);
	if (sl_dump_srq(s.fd, s.end.srq->handle, NULL, 0, &srq))
		errx(1, "DUMP_SRQ");
	expect(1, srq.ring.index, "one request is taken from the ring");

#define REFUSED(what, change) do {					\
	change;								\
	expect(-EINVAL, victim_restore(&v, &handle), "sharing: " what);	\
	victim_reset(&v);						\
} while (0)
	REFUSED("a message without request",
		memset(&v.qp.resp.wqe, 0, sizeof(v.qp.resp.wqe)));
	REFUSED("a request without message",
		v.qp.resp.opcode = SEALIFT_RXE_NONE);
	REFUSED("a request of more elements than the queue's",
		v.qp.resp.wqe.num_sge = MAX_SGE + 1);
	REFUSED("a request at an element beyond its last",
		v.qp.resp.wqe.cur_sge = v.qp.resp.wqe.num_sge + 1);
	REFUSED("a request with a larger rest than its length",
		v.qp.resp.wqe.resid = v.qp.resp.wqe.length + 1);
	REFUSED("no queue in the image, one in the queue pair",
		v.qp.srq_handle = SEALIFT_RXE_NONE);
	REFUSED("a ring of its own", v.qp.rq.size = 64);
	REFUSED("requests of its own", v.qp.max_recv_wr = 16);
	REFUSED("elements of its own", v.qp.max_recv_sge = 1);
	REFUSED("the last request reached in RTS", v.qp.last_wqe_reached = 1);
	REFUSED("the last request reached, and one taken",
		v.qp.last_wqe_reached = 1; v.qp.state = 6);
	v.qp_orig.srq_handle = SEALIFT_RXE_NONE;
	REFUSED("a queue in the image, none in the queue pair", (void)0);
	v.qp_orig.srq_handle = s.end.srq->handle;
	victim_reset(&v);

	expect(0, victim_restore(&v, &handle), "sharing: the image as it was");
	scripted_resume(&s);
	p = scripted_request(&s, WIRE_SEND_LAST, 1);
	p.size = 100;
	wire_send(&s.wire, &p);
	expect(0, scripted_completion(&s, 1000, NULL), "sharing: the message ends");
}

/* A queue pair takes requests whose every byte may be wrong. */
static void random_rings(void)
{
	static unsigned char ring[1 << 16], good[1 << 16];
	unsigned int i, n, accepted = 0;
	struct sealift_rxe_srq srq;
	struct raw_map map;
	struct scripted s;
	struct victim v;
	uint32_t handle, shared;
	struct wire_packet p;

	take_half_a_message(&s, &v);
	if (sl_dump_srq(s.fd, s.end.srq->handle, good, sizeof(good), &srq))
		errx(1, "DUMP_SRQ");
	/* the original stays, and so does its mapping */
	srq.ring.mmap_offset = 0;
	srand(1);
	for (i = 0; i < RANDOM_ROUNDS; i++) {
		memcpy(ring, good, srq.ring.size);
		/* in the entry that is taken next */
		for (n = 1 + rand() % 4; n; n--)
			sl_ring_entry(ring, &srq.ring, srq.ring.index)
				[rand() % 64] = rand();
		if (raw_create_srq(s.fd, &srq, &shared, &map))
			errx(1, "CREATE_SRQ");
		if (!sl_restore_srq(s.fd, shared, &srq, ring, srq.ring.size)) {
			accepted++;
			v.qp_orig.srq_handle = shared;
			victim_reset(&v);
			if (victim_restore(&v, &handle))
				errx(1, "RESTORE_QP");
			scripted_resume(&s);
			p = scripted_request(&s, WIRE_SEND_LAST, 1);
			p.size = 100;
			wire_send(&s.wire, &p);
			p = scripted_request(&s, WIRE_SEND_ONLY, 2);
			p.size = 100;
			wire_send(&s.wire, &p);
			usleep(20000);
			while (scripted_completion(&s, 0, NULL) >= 0)
				;
			scripted_hold(&s);
			raw_destroy(s.fd, UVERBS_OBJECT_QP, handle);
		}
		raw_destroy_srq(s.fd, shared);
	}
	expect(1, accepted > 0 && accepted < RANDOM_ROUNDS,
	       "random rings: %u of %u accepted", accepted, RANDOM_ROUNDS);
}

/* A queue of the largest size has more places than one may ask for. */
static void as_large_as_can_be(void)
{
	struct sealift_rxe_srq srq, like = { .max_wr = 1 << 20, .max_sge = 1 };
	struct raw_map map, again;
	uint32_t handle;
	struct scripted s;

	scripted_open(&s);
	like.pd_handle = s.end.pd->handle;
	expect(0, raw_create_srq(s.fd, &like, &handle, &map),
	       "the largest queue");
	scripted_hold(&s);
	expect(0, sl_dump_srq(s.fd, handle, NULL, 0, &srq), "it is dumped");
	raw_destroy_srq(s.fd, handle);
	expect(0, raw_create_srq(s.fd, &srq, &handle, &again),
	       "it is created again");
	expect(1, again.size == map.size, "and is as large");
	raw_destroy_srq(s.fd, handle);
	scripted_resume(&s);
}

const struct protocol_case protocol_srq_image_cases[] = {
	{ "shared: what must agree", pairs },
	{ "shared: random rings", random_rings },
	{ "shared: the largest", as_large_as_can_be },
	{ 0 },
};
