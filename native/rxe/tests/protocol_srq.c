// SPDX-License-Identifier: GPL-2.0
/* Shared receive queues: what a move keeps of them and of who shares them. */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "expect.h"
#include "image.h"
#include "protocol.h"
#include "scripted.h"

#define SLOT 4096

static const struct ibv_qp_cap cap = {
	.max_send_wr = 4, .max_send_sge = 1, .max_recv_sge = 2,
};

static void open_shared(struct scripted *s)
{
	setenv("LIVE_SRQ", "1", 1);
	scripted_open(s);
}

/* Post request @id, of one slot of the memory. Return: 0 or errno */
static int post(struct scripted *s, struct ibv_srq *srq, uint64_t id)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)s->mem + id % 16 * SLOT,
		.length = SLOT,
		.lkey = s->end.mr->lkey,
	};
	struct ibv_recv_wr *bad, wr = {
		.wr_id = id, .sg_list = &sge, .num_sge = 1,
	};

	return ibv_post_srq_recv(srq, &wr, &bad);
}

static void post_some(struct scripted *s, uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		if (post(s, s->end.srq, from))
			errx(1, "ibv_post_srq_recv");
}

static void send_to(struct scripted *s, const struct ibv_qp *qp, uint8_t opcode,
		    uint32_t nth, uint32_t size)
{
	struct wire_packet p = scripted_request(s, opcode, nth);

	p.qpn = qp->qp_num;
	p.size = size;
	memset(p.payload, 'a' + nth % 26, size);
	wire_send(&s->wire, &p);
}

/* Expect a completion of request @id at @qp. */
static void completes(struct scripted *s, const struct ibv_qp *qp, uint64_t id,
		      int status, const char *what)
{
	struct ibv_wc wc = { .status = -1 };
	int tries = 1000, n;

	while (!(n = ibv_poll_cq(s->end.cq, 1, &wc)) && tries--)
		usleep(1000);
	expect(1, n == 1 && wc.wr_id == id && wc.qp_num == qp->qp_num &&
	       (int)wc.status == status,
	       "%s (request %d, status %d)", what, n == 1 ? (int)wc.wr_id : -1,
	       n == 1 ? (int)wc.status : -1);
}

static void move_held(struct scripted *s)
{
	struct image img;

	image_dump(&img, s->fd, s->end.channel->fd);
	image_destroy(&img, s->fd);
	image_restore(&img, s->fd, 0);
	image_compare(&img, s->fd);
	image_free(&img);
}

static void move(struct scripted *s)
{
	scripted_hold(s);
	move_held(s);
	scripted_resume(s);
}

static uint32_t limit_of(struct scripted *s)
{
	struct ibv_srq_attr attr;

	if (ibv_query_srq(s->end.srq, &attr))
		errx(1, "ibv_query_srq");
	return attr.srq_limit;
}

static void set_limit(struct scripted *s, uint32_t limit)
{
	struct ibv_srq_attr attr = { .srq_limit = limit };

	if (ibv_modify_srq(s->end.srq, &attr, IBV_SRQ_LIMIT))
		err(1, "ibv_modify_srq");
}

/* The event is the application's own queue's. */
static int event_of_srq(struct scripted *s, int ms)
{
	struct ibv_async_event ev;

	while (ms-- > 0) {
		if (ibv_get_async_event(s->end.ctx, &ev)) {
			usleep(1000);
			continue;
		}
		ibv_ack_async_event(&ev);
		return ev.event_type == IBV_EVENT_SRQ_LIMIT_REACHED &&
		       ev.element.srq == s->end.srq;
	}
	return -1;
}

static void half_a_message(void)
{
	struct scripted s;

	open_shared(&s);
	post_some(&s, 0, 3);
	send_to(&s, s.end.qp, WIRE_SEND_FIRST, 0, WIRE_MTU);
	expect(1, scripted_count(&s, WIRE_ACK, 300), "a message's start is acknowledged");
	move(&s);
	send_to(&s, s.end.qp, WIRE_SEND_MIDDLE, 1, WIRE_MTU);
	expect(1, scripted_count(&s, WIRE_ACK, 500), "half a message: it goes on");
	move(&s);
	send_to(&s, s.end.qp, WIRE_SEND_LAST, 2, 100);
	completes(&s, s.end.qp, 0, IBV_WC_SUCCESS, "half a message: it ends in the request that it took");
	expect(1, s.mem[0] == 'a' && s.mem[WIRE_MTU] == 'b' &&
	       s.mem[2 * WIRE_MTU] == 'c' && s.mem[2 * WIRE_MTU + 99] == 'c' &&
	       !s.mem[2 * WIRE_MTU + 100], "half a message: all its bytes are there");
	send_to(&s, s.end.qp, WIRE_SEND_ONLY, 3, 10);
	completes(&s, s.end.qp, 1, IBV_WC_SUCCESS, "half a message: the next takes the next request");
	endpoint_close(&s.end);
}

/* Requests are taken in order, over the ring's end, wherever a move comes. */
static void part_of_the_ring(void)
{
	struct scripted s;
	uint32_t n;

	open_shared(&s);
	post_some(&s, 0, 5);
	for (n = 0; n < 45; n++) {
		if (n % 6 == 4)
			move(&s);
		send_to(&s, s.end.qp, WIRE_SEND_ONLY, n, 10);
		completes(&s, s.end.qp, n, IBV_WC_SUCCESS, "part of the ring: in order");
		post_some(&s, n + 5, n + 6);
	}
	endpoint_close(&s.end);
}

static void empty_ring(void)
{
	struct wire_packet p;
	struct scripted s;

	open_shared(&s);
	post_some(&s, 0, 1);
	send_to(&s, s.end.qp, WIRE_SEND_ONLY, 0, 10);
	completes(&s, s.end.qp, 0, IBV_WC_SUCCESS, "an empty ring: the only request");
	move(&s);
	wire_drain(&s.wire);
	send_to(&s, s.end.qp, WIRE_SEND_ONLY, 1, 10);
	expect(1, wire_recv(&s.wire, &p, 500) && p.opcode == WIRE_ACK &&
	       (p.syndrome & 0x60) == WIRE_RNR, "an empty ring puts the peer off");
	post_some(&s, 1, 2);
	move(&s);
	send_to(&s, s.end.qp, WIRE_SEND_ONLY, 1, 10);
	completes(&s, s.end.qp, 1, IBV_WC_SUCCESS, "an empty ring: until one is posted");
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

	open_shared(&s);
	other = s.end;
	other.qp = endpoint_create_qp(&s.end, &cap);
	scripted_peer_gid(&s, &path.gid);
	endpoint_init(&other);
	endpoint_connect(&other, &path);
	post_some(&s, 0, 4);
	send_to(&s, s.end.qp, WIRE_SEND_FIRST, 0, WIRE_MTU);
	usleep(100000);
	send_to(&s, other.qp, WIRE_SEND_FIRST, 0, WIRE_MTU);
	usleep(100000);
	move(&s);
	send_to(&s, other.qp, WIRE_SEND_LAST, 1, 10);
	completes(&s, other.qp, 1, IBV_WC_SUCCESS, "two queue pairs: the second's message");
	move(&s);
	send_to(&s, s.end.qp, WIRE_SEND_LAST, 1, 10);
	completes(&s, s.end.qp, 0, IBV_WC_SUCCESS, "two queue pairs: the first's message");
	send_to(&s, other.qp, WIRE_SEND_ONLY, 2, 10);
	completes(&s, other.qp, 2, IBV_WC_SUCCESS, "two queue pairs: what is left is for both");
	send_to(&s, s.end.qp, WIRE_SEND_ONLY, 2, 10);
	completes(&s, s.end.qp, 3, IBV_WC_SUCCESS, "two queue pairs: whoever comes first");
	ibv_destroy_qp(other.qp);
	endpoint_close(&s.end);
}

static void limit_armed(void)
{
	struct scripted s;

	open_shared(&s);
	post_some(&s, 0, 5);
	set_limit(&s, 3);
	send_to(&s, s.end.qp, WIRE_SEND_ONLY, 0, 10);
	completes(&s, s.end.qp, 0, IBV_WC_SUCCESS, "a limit: above it");
	move(&s);
	expect(3, limit_of(&s), "a limit is kept");
	expect(-1, event_of_srq(&s, 100), "a move is no reason for a limit event");
	send_to(&s, s.end.qp, WIRE_SEND_ONLY, 1, 10);
	completes(&s, s.end.qp, 1, IBV_WC_SUCCESS, "a limit: at it");
	expect(-1, event_of_srq(&s, 100), "at the limit there is no event");
	send_to(&s, s.end.qp, WIRE_SEND_ONLY, 2, 10);
	completes(&s, s.end.qp, 2, IBV_WC_SUCCESS, "a limit: below it");
	expect(1, event_of_srq(&s, 1000), "below it there is one, of this queue");
	expect(0, limit_of(&s), "it is not asked for any more");
	move(&s);
	expect(-1, event_of_srq(&s, 100), "an event that was read does not come again");
	send_to(&s, s.end.qp, WIRE_SEND_ONLY, 3, 10);
	completes(&s, s.end.qp, 3, IBV_WC_SUCCESS, "a limit: disarmed");
	expect(-1, event_of_srq(&s, 100), "nor does another");
	/* waits for as many acknowledged events as the kernel has counted */
	endpoint_close(&s.end);
}

static void limit_unread(void)
{
	struct scripted s;

	open_shared(&s);
	post_some(&s, 0, 2);
	set_limit(&s, 2);
	send_to(&s, s.end.qp, WIRE_SEND_ONLY, 0, 10);
	completes(&s, s.end.qp, 0, IBV_WC_SUCCESS, "an unread limit event: it is raised");
	move(&s);
	move(&s);
	expect(0, limit_of(&s), "an unread limit event: nothing is armed");
	expect(1, event_of_srq(&s, 1000), "an unread limit event is read after the move");
	expect(-1, event_of_srq(&s, 100), "an unread limit event comes once");
	endpoint_close(&s.end);
}

static unsigned int fill(struct scripted *s)
{
	unsigned int n = 0;

	while (!post(s, s->end.srq, n))
		n++;
	return n;
}

static void resize(struct scripted *s, uint32_t max_wr)
{
	struct ibv_srq_attr attr = { .max_wr = max_wr };

	if (ibv_modify_srq(s->end.srq, &attr, IBV_SRQ_MAX_WR))
		err(1, "ibv_modify_srq");
}

static void resized(void)
{
	struct scripted s;
	uint32_t n;

	open_shared(&s);
	post_some(&s, 0, 8);
	for (n = 0; n < 3; n++) {
		send_to(&s, s.end.qp, WIRE_SEND_ONLY, n, 10);
		completes(&s, s.end.qp, n, IBV_WC_SUCCESS, "resized: before");
	}
	resize(&s, 100);
	move(&s);
	for (; n < 5; n++) {
		send_to(&s, s.end.qp, WIRE_SEND_ONLY, n, 10);
		completes(&s, s.end.qp, n, IBV_WC_SUCCESS, "resized: larger");
	}
	resize(&s, 5);
	move(&s);
	for (; n < 8; n++) {
		send_to(&s, s.end.qp, WIRE_SEND_ONLY, n, 10);
		completes(&s, s.end.qp, n, IBV_WC_SUCCESS, "resized: smaller");
	}
	expect(7, fill(&s), "resized: as many fit as before the move");
	move(&s);
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

	open_shared(&s);
	alone = ibv_create_srq(s.end.pd, &init);
	if (!alone || ibv_modify_srq(alone, &attr, IBV_SRQ_LIMIT))
		err(1, "ibv_create_srq");
	if (post(&s, alone, 1) || post(&s, alone, 2))
		errx(1, "ibv_post_srq_recv");
	move(&s);
	expect(0, post(&s, alone, 3), "alone: one more is posted");
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

static void to_error(struct scripted *s)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

	if (ibv_modify_qp(s->end.qp, &attr, IBV_QP_STATE))
		err(1, "ERR");
}

/* A packet, a hold and a move run the responder again. */
static void last_request(void)
{
	struct scripted s;

	open_shared(&s);
	post_some(&s, 0, 2);
	send_to(&s, s.end.qp, WIRE_SEND_FIRST, 0, WIRE_MTU);
	expect(1, scripted_count(&s, WIRE_ACK, 300), "the last request is taken");
	to_error(&s);
	completes(&s, s.end.qp, 0, IBV_WC_WR_FLUSH_ERR, "the last request is flushed");
	expect(IBV_EVENT_QP_LAST_WQE_REACHED, scripted_event(&s, 500), "that it was the last is said");
	send_to(&s, s.end.qp, WIRE_SEND_MIDDLE, 1, WIRE_MTU);
	expect(-1, scripted_event(&s, 200), "a packet does not say it again");
	scripted_hold(&s);
	scripted_resume(&s);
	expect(-1, scripted_event(&s, 200), "nor does a hold");
	move(&s);
	expect(-1, scripted_event(&s, 200), "nor does a move");
	expect(-1, scripted_completion(&s, 50, NULL), "and nothing else is flushed");
	endpoint_close(&s.end);
}

static void last_request_unread(void)
{
	struct scripted s;

	open_shared(&s);
	post_some(&s, 0, 2);
	to_error(&s);
	usleep(100000);
	move(&s);
	expect(IBV_EVENT_QP_LAST_WQE_REACHED, scripted_event(&s, 500), "an unread last-request event is read after the move");
	expect(-1, scripted_event(&s, 200), "an unread last-request event comes once");
	endpoint_close(&s.end);
}

static void last_request_in_a_hold(void)
{
	struct scripted s;

	open_shared(&s);
	post_some(&s, 0, 2);
	send_to(&s, s.end.qp, WIRE_SEND_FIRST, 0, WIRE_MTU);
	usleep(100000);
	scripted_hold(&s);
	to_error(&s);
	expect(-1, scripted_event(&s, 200), "an error in a hold: nothing happens in it");
	move_held(&s);
	expect(-1, scripted_event(&s, 200), "an error in a hold: nor at the restore");
	scripted_resume(&s);
	completes(&s, s.end.qp, 0, IBV_WC_WR_FLUSH_ERR, "an error in a hold: flushed after it");
	expect(IBV_EVENT_QP_LAST_WQE_REACHED, scripted_event(&s, 500), "an error in a hold: the event comes after it");
	expect(-1, scripted_event(&s, 200), "an error in a hold: once");
	endpoint_close(&s.end);
}

const struct protocol_case protocol_srq_cases[] = {
	{ "shared: half a message", half_a_message },
	{ "shared: part of the ring", part_of_the_ring },
	{ "shared: an empty ring", empty_ring },
	{ "shared: several queue pairs", several_queue_pairs },
	{ "shared: limit armed", limit_armed },
	{ "shared: limit event unread", limit_unread },
	{ "shared: resized", resized },
	{ "shared: without queue pair", without_queue_pair },
	{ "shared: last request", last_request },
	{ "shared: last request unread", last_request_unread },
	{ "shared: last request in a hold", last_request_in_a_hold },
	{ 0 },
};
