// SPDX-License-Identifier: GPL-2.0
/* A process that writes to its receive requests while packets arrive. */
#include <err.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "datagram.h"
#include "expect.h"
#include "method.h"
#include "protocol.h"
#include "recv_ring.h"
#include "ring_map.h"
#include "shared.h"
#include "ud.h"

#define FLIP_MS		4000	/* how long numbers change under the driver */

/* The ring that @s receives from, as its process has it mapped. */
static void *mapped(struct scripted *s)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_srq srq;
	struct sealift_rxe_qp qp;
	uint64_t offset;

	scripted_hold(s);
	if (s->end.srq ? sl_dump_srq(s->fd, s->end.srq->handle, NULL, 0, &srq) :
			 sl_dump_qp(s->fd, s->end.qp->handle, &none, &qp))
		errx(1, "DUMP");
	offset = s->end.srq ? srq.ring.mmap_offset : qp.rq.mmap_offset;
	scripted_resume(s);
	return ring_map(s->fd, offset);
}

/* Return: the syndrome of the answer to a SEND, or -1 */
static int answer(struct scripted *s)
{
	struct wire_packet p = scripted_request(s, WIRE_SEND_ONLY, 0);

	p.size = 100;
	wire_send(&s->wire, &p);
	while (wire_recv(&s->wire, &p, 1000))
		if (p.opcode == WIRE_ACK)
			return p.syndrome;
	return -1;
}

static void beyond(uint32_t num, uint32_t at, const char *what)
{
	struct scripted s;
	void *ring;

	scripted_open(&s);
	ring = mapped(&s);
	scripted_post_recv(&s, 4096);
	recv_ring_elements(ring, 0, num, at);
	expect(WIRE_NAK_OPERATION, answer(&s), "%s is refused", what);
}

static void elements_beyond(void)
{
	beyond(RECV_RING_FAR, 0, "a receive request of too many elements");
	beyond(1, RECV_RING_FAR, "a receive request at an element beyond the ring");
	beyond(1, 1, "a receive request at an element that it has not");
}

static void shared_elements_beyond(void)
{
	setenv("LIVE_SRQ", "1", 1);
	elements_beyond();
}

struct flipper {
	pthread_t thread;
	void *ring;
	uint32_t index;
	int stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;

	recv_ring_flip(f->ring, &f->index, 1, RECV_RING_FAR, &f->stop);
	return NULL;
}

/* Until the driver has taken the request, or has ended the queue pair over it. */
static void wait_taken(struct scripted *s, unsigned int *taken,
		       unsigned int *refused)
{
	int status = scripted_completion(s, 500, NULL);

	*taken += status == IBV_WC_SUCCESS;
	*refused += status == IBV_WC_WR_FLUSH_ERR;
}

/*
 * The number of elements changes between the check and the copy. The queue pair
 * takes the request or refuses it; the kernel reads nothing beyond.
 */
static void flipped_number(void)
{
	unsigned int taken = 0, refused = 0, rounds = 0;
	struct flipper f = { 0 };
	double end;
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	f.ring = mapped(&u.s);
	if (pthread_create(&f.thread, NULL, flip, &f))
		errx(1, "pthread_create");
	for (end = now_ms() + FLIP_MS; now_ms() < end; rounds++) {
		__atomic_store_n(&f.index, recv_ring_oldest(f.ring),
				 __ATOMIC_RELAXED);
		ud_receive(&u, 1);
		ud_arrive(&u, 'x', DATAGRAM_QKEY);
		wait_taken(&u.s, &taken, &refused);
		datagram_to(&u.s.end, IBV_QPS_RESET);
		datagram_ready(&u.s.end);
	}
	__atomic_store_n(&f.stop, 1, __ATOMIC_RELAXED);
	pthread_join(f.thread, NULL);
	expect(rounds, taken + refused,
	       "each datagram is received, or ends the queue pair (%u, %u)",
	       taken, refused);
	ud_lives(&u);
}

const struct protocol_case protocol_receive_cases[] = {
	{ "receive: elements beyond", elements_beyond },
	{ "receive: elements beyond, shared", shared_elements_beyond },
	{ "receive: number of elements flips", flipped_number },
	{ 0 },
};
