// SPDX-License-Identifier: GPL-2.0
/* Shared receive queues: what a move keeps of them and of who shares them. */
#include <err.h>
#include <unistd.h>

#include "expect.h"
#include "protocol.h"
#include "shared.h"

static const struct ibv_qp_cap cap = {
	.max_send_wr = 4, .max_send_sge = 1, .max_recv_sge = 2,
};

static void half_a_message(void)
{
	struct scripted s;

	shared_open(&s);
	shared_post_some(&s, 0, 3);
	shared_send(&s, s.end.qp, WIRE_SEND_FIRST, 0, WIRE_MTU);
	expect(1, scripted_count(&s, WIRE_ACK, 300), "a message's start is acknowledged");
	shared_move(&s);
	shared_send(&s, s.end.qp, WIRE_SEND_MIDDLE, 1, WIRE_MTU);
	expect(1, scripted_count(&s, WIRE_ACK, 500), "half a message: it goes on");
	shared_move(&s);
	shared_send(&s, s.end.qp, WIRE_SEND_LAST, 2, 100);
	shared_completes(&s, s.end.qp, 0, IBV_WC_SUCCESS, "half a message: it ends in the request that it took");
	expect(1, s.mem[0] == 'a' && s.mem[WIRE_MTU] == 'b' &&
	       s.mem[2 * WIRE_MTU] == 'c' && s.mem[2 * WIRE_MTU + 99] == 'c' &&
	       !s.mem[2 * WIRE_MTU + 100], "half a message: all its bytes are there");
	shared_send(&s, s.end.qp, WIRE_SEND_ONLY, 3, 10);
	shared_completes(&s, s.end.qp, 1, IBV_WC_SUCCESS, "half a message: the next takes the next request");
	endpoint_close(&s.end);
}

/* Requests are taken in order, over the ring's end, wherever a move comes. */
static void part_of_the_ring(void)
{
	struct scripted s;
	uint32_t n;

	shared_open(&s);
	shared_post_some(&s, 0, 5);
	for (n = 0; n < 45; n++) {
		if (n % 6 == 4)
			shared_move(&s);
		shared_send(&s, s.end.qp, WIRE_SEND_ONLY, n, 10);
		shared_completes(&s, s.end.qp, n, IBV_WC_SUCCESS, "part of the ring: in order");
		shared_post_some(&s, n + 5, n + 6);
	}
	endpoint_close(&s.end);
}

static void empty_ring(void)
{
	struct wire_packet p;
	struct scripted s;

	shared_open(&s);
	shared_post_some(&s, 0, 1);
	shared_send(&s, s.end.qp, WIRE_SEND_ONLY, 0, 10);
	shared_completes(&s, s.end.qp, 0, IBV_WC_SUCCESS, "an empty ring: the only request");
	shared_move(&s);
	wire_drain(&s.wire);
	shared_send(&s, s.end.qp, WIRE_SEND_ONLY, 1, 10);
	expect(1, wire_recv(&s.wire, &p, 500) && p.opcode == WIRE_ACK &&
	       (p.syndrome & 0x60) == WIRE_RNR, "an empty ring puts the peer off");
	shared_post_some(&s, 1, 2);
	shared_move(&s);
	shared_send(&s, s.end.qp, WIRE_SEND_ONLY, 1, 10);
	shared_completes(&s, s.end.qp, 1, IBV_WC_SUCCESS, "an empty ring: until one is posted");
	endpoint_close(&s.end);
}

static void several_queue_pairs(void)
{
	struct endpoint_path path = {
		.qpn = SCRIPTED_QPN + 1,
		.sq_psn = SCRIPTED_SQ_PSN,
		.rq_psn = SCRIPTED_RQ_PSN,
		.timeout = 20, .retry_cnt = 7, .rnr_retry = 7,
		.min_rnr_timer = 1,
	};
	struct endpoint other;
	struct scripted s;

	shared_open(&s);
	other = s.end;
	other.qp = endpoint_create_qp(&s.end, &cap);
	scripted_peer_gid(&s, &path.gid);
	endpoint_init(&other);
	endpoint_connect(&other, &path);
	shared_post_some(&s, 0, 4);
	shared_send(&s, s.end.qp, WIRE_SEND_FIRST, 0, WIRE_MTU);
	usleep(100000);
	shared_send(&s, other.qp, WIRE_SEND_FIRST, 0, WIRE_MTU);
	usleep(100000);
	shared_move(&s);
	shared_send(&s, other.qp, WIRE_SEND_LAST, 1, 10);
	shared_completes(&s, other.qp, 1, IBV_WC_SUCCESS, "two queue pairs: the second's message");
	shared_move(&s);
	shared_send(&s, s.end.qp, WIRE_SEND_LAST, 1, 10);
	shared_completes(&s, s.end.qp, 0, IBV_WC_SUCCESS, "two queue pairs: the first's message");
	shared_send(&s, other.qp, WIRE_SEND_ONLY, 2, 10);
	shared_completes(&s, other.qp, 2, IBV_WC_SUCCESS, "two queue pairs: what is left is for both");
	shared_send(&s, s.end.qp, WIRE_SEND_ONLY, 2, 10);
	shared_completes(&s, s.end.qp, 3, IBV_WC_SUCCESS, "two queue pairs: whoever comes first");
	ibv_destroy_qp(other.qp);
	endpoint_close(&s.end);
}

static unsigned int fill(struct scripted *s)
{
	unsigned int n = 0;

	while (!shared_post(s, s->end.srq, n))
		n++;
	return n;
}

static void resize(struct scripted *s, uint32_t max_wr)
{
	struct ibv_srq_attr attr = { .max_wr = max_wr };

	if (ibv_modify_srq(s->end.srq, &attr, IBV_SRQ_MAX_WR))
		err(1, "ibv_modify_srq");
}

static void after_a_resize(void)
{
	struct scripted s;
	uint32_t n;

	shared_open(&s);
	shared_post_some(&s, 0, 8);
	for (n = 0; n < 3; n++) {
		shared_send(&s, s.end.qp, WIRE_SEND_ONLY, n, 10);
		shared_completes(&s, s.end.qp, n, IBV_WC_SUCCESS, "resized: before");
	}
	resize(&s, 100);
	shared_move(&s);
	for (; n < 5; n++) {
		shared_send(&s, s.end.qp, WIRE_SEND_ONLY, n, 10);
		shared_completes(&s, s.end.qp, n, IBV_WC_SUCCESS, "resized: larger");
	}
	resize(&s, 5);
	shared_move(&s);
	for (; n < 8; n++) {
		shared_send(&s, s.end.qp, WIRE_SEND_ONLY, n, 10);
		shared_completes(&s, s.end.qp, n, IBV_WC_SUCCESS, "resized: smaller");
	}
	expect(7, fill(&s), "resized: as many fit as before the move");
	shared_move(&s);
	expect(0, fill(&s), "resized: a full ring stays full");
	endpoint_close(&s.end);
}

static void without_queue_pair(void)
{
	struct ibv_srq_init_attr init = { .attr = { 10, 3, 0 } };
	struct ibv_srq_attr attr = { .srq_limit = 4 };
	struct sealift_rxe_srq dumped;
	static unsigned char ring[1 << 16];
	struct ibv_srq *alone;
	struct scripted s;

	shared_open(&s);
	alone = ibv_create_srq(s.end.pd, &init);
	if (!alone || ibv_modify_srq(alone, &attr, IBV_SRQ_LIMIT))
		err(1, "ibv_create_srq");
	if (shared_post(&s, alone, 1) || shared_post(&s, alone, 2))
		errx(1, "ibv_post_srq_recv");
	shared_move(&s);
	expect(0, shared_post(&s, alone, 3), "alone: one more is posted");
	expect(0, ibv_query_srq(alone, &attr), "alone: query");
	expect(1, attr.srq_limit == 4 && attr.max_sge == 3 &&
	       attr.max_wr == 15, "alone: its attributes are kept");
	scripted_hold(&s);
	if (sl_dump_srq(s.fd, alone->handle, ring, sizeof(ring), &dumped))
		errx(1, "DUMP_SRQ");
	expect(3, sl_ring_producer(ring), "alone: requests in its ring");
	scripted_resume(&s);
	ibv_destroy_srq(alone);
	endpoint_close(&s.end);
}

const struct protocol_case protocol_srq_cases[] = {
	{ "shared: half a message", half_a_message },
	{ "shared: part of the ring", part_of_the_ring },
	{ "shared: an empty ring", empty_ring },
	{ "shared: several queue pairs", several_queue_pairs },
	{ "shared: resized", after_a_resize },
	{ "shared: without queue pair", without_queue_pair },
	{ 0 },
};
