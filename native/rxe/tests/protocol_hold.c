// SPDX-License-Identifier: GPL-2.0
/* What a held queue pair receives, and what it does after RESUME. */
#include <err.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "expect.h"
#include "protocol.h"
#include "scripted.h"

/* WIRE_RNR, timer code 0, asks for 655.36 ms: the least that the device waits. */
#define RNR_WAIT_MS 650

/* An acknowledgment in a hold changes nothing; the request is repeated. */
static void acknowledgment(void)
{
	struct sealift_rxe_qp before, after;
	struct sealift_rxe_qp_buffers none = { 0 };
	struct scripted s;

	scripted_open(&s);
	scripted_write(&s, 100, 1);
	scripted_hold(&s);
	if (sl_dump_qp(s.fd, s.end.qp->handle, &none, &before))
		errx(1, "DUMP_QP");
	scripted_answer(&s, WIRE_OK, 0);
	expect(-1, scripted_completion(&s, 200, NULL),
	       "an ACK in a hold completes nothing");
	if (sl_dump_qp(s.fd, s.end.qp->handle, &none, &after))
		errx(1, "DUMP_QP");
	expect(0, memcmp(&before, &after, sizeof(before)),
	       "an ACK in a hold changes nothing");
	wire_drain(&s.wire);
	scripted_resume(&s);
	expect(1, scripted_count(&s, WIRE_WRITE_ONLY, 300),
	       "the request is repeated");
	scripted_answer(&s, WIRE_OK, 0);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 500, NULL),
	       "it completes");
}

/*
 * An acknowledgment of a request's last packet arrives in the middle of the
 * request, as it does while a request is repeated that the peer has executed.
 * After the next hold the device repeats this request, and nothing behind its
 * end. The third WRITE stops in its middle: the driver leaves at most 129 PSNs
 * unacknowledged.
 */
static void acknowledged_in_the_middle(void)
{
	struct wire_packet p = { 0 };
	struct scripted s;
	uint64_t id;

	scripted_open(&s);
	for (id = 1; id <= 3; id++)
		scripted_post(&s, IBV_WR_RDMA_WRITE, 0, SCRIPTED_BYTES, id);
	expect(3, scripted_count(&s, WIRE_WRITE_FIRST, 500),
	       "an ACK in a request's middle: three WRITEs are begun");
	scripted_answer(&s, WIRE_OK, 3 * SCRIPTED_BYTES / WIRE_MTU - 1);
	expect(1, scripted_count(&s, WIRE_WRITE_LAST, 500),
	       "an ACK in a request's middle: it is sent to its end");
	scripted_hold(&s);
	wire_drain(&s.wire);
	scripted_resume(&s);
	expect(true, wire_recv(&s.wire, &p, 1000),
	       "an ACK in a request's middle: it is repeated");
	expect(WIRE_WRITE_FIRST, p.opcode,
	       "an ACK in a request's middle: from its beginning");
	scripted_answer(&s, WIRE_OK, 3 * SCRIPTED_BYTES / WIRE_MTU - 1);
	/* a slow device has repeated less than that: a peer answers each repeated end */
	scripted_count(&s, WIRE_WRITE_LAST, 500);
	scripted_answer(&s, WIRE_OK, 3 * SCRIPTED_BYTES / WIRE_MTU - 1);
	for (id = 1; id <= 3; id++)
		expect(IBV_WC_SUCCESS, scripted_completion(&s, 1000, NULL),
		       "an ACK in a request's middle: WRITE %d completes",
		       (int)id);
}

/*
 * An RNR wait continues after a hold, and uses up no budget. What counts is the
 * time since the RNR NAK: on a slow machine, the hold takes a part of the wait.
 */
static void rnr_wait(int move)
{
	struct scripted s;
	uint32_t handle;
	double start;

	scripted_open_path(&s, (struct endpoint_path){
		.timeout = 20,
		.retry_cnt = 7,
		.rnr_retry = 1,
		.min_rnr_timer = 1,
	});
	scripted_write(&s, 100, 1);
	start = now_ms();
	scripted_answer(&s, WIRE_RNR, 0);
	usleep(20000);
	scripted_hold(&s);
	if (move)
		scripted_move(&s, &handle);
	usleep(50000);
	wire_drain(&s.wire);
	scripted_resume(&s);
	expect(0, scripted_count(&s, WIRE_WRITE_ONLY, start + RNR_WAIT_MS - now_ms()),
	       "an RNR wait goes on after a hold");
	expect(1, scripted_count(&s, WIRE_WRITE_ONLY, 900),
	       "and ends");
	scripted_answer(&s, WIRE_OK, 0);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 500, NULL),
	       "the request completes");
}

static void rnr_wait_held(void)
{
	rnr_wait(0);
}

static void rnr_wait_moved(void)
{
	rnr_wait(1);
}

/*
 * Outside of a hold, too: who has no receive request asks for time, and does
 * not say of the rest of the burst that it is out of sequence.
 */
static void burst_without_request(void)
{
	struct wire_packet p;
	unsigned int i, rnr = 0, sequence = 0;
	struct scripted s;

	scripted_open(&s);
	for (i = 0; i < 3; i++) {
		p = scripted_request(&s, WIRE_SEND_ONLY, i);
		p.size = 100;
		wire_send(&s.wire, &p);
	}
	while (wire_recv(&s.wire, &p, 500)) {
		rnr += (p.syndrome & 0x60) == WIRE_RNR;
		sequence += p.syndrome == WIRE_NAK_SEQUENCE;
	}
	expect(1, rnr, "a burst without a receive request: RNR NAKs");
	expect(0, sequence, "a burst without a receive request: sequence NAKs");

	scripted_post_recv(&s, 4096);
	p = scripted_request(&s, WIRE_SEND_ONLY, 0);
	p.size = 100;
	wire_send(&s.wire, &p);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 1000, NULL),
	       "a burst without a receive request: it continues");
	p = scripted_request(&s, WIRE_SEND_ONLY, 5);
	wire_send(&s.wire, &p);
	while (wire_recv(&s.wire, &p, 500))
		sequence += p.syndrome == WIRE_NAK_SEQUENCE;
	expect(1, sequence, "a lost packet after it: sequence NAKs");
}

/* A hold in the SQD state: the queue is drained when all is acknowledged. */
static void draining(int move)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_SQD,
		.en_sqd_async_notify = 1,
	};
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_qp qp;
	struct scripted s;
	uint32_t handle = 0;

	scripted_open(&s);
	scripted_write(&s, 3000, 1);
	scripted_write(&s, 100, 2);
	if (ibv_modify_qp(s.end.qp, &attr,
			  IBV_QP_STATE | IBV_QP_EN_SQD_ASYNC_NOTIFY))
		err(1, "SQD");
	scripted_hold(&s);
	if (move) {
		scripted_move(&s, &handle);
		if (sl_dump_qp(s.fd, handle, &none, &qp))
			errx(1, "DUMP_QP");
		expect(1, qp.attr.en_sqd_async_notify,
		       "en_sqd_async_notify is kept");
	}
	scripted_resume(&s);
	expect(1, scripted_count(&s, WIRE_WRITE_ONLY, 300),
	       "what was sent is repeated while the queue drains");
	expect(-1, scripted_event(&s, 0), "it is not drained yet");
	scripted_answer(&s, WIRE_OK, 2);
	scripted_answer(&s, WIRE_OK, 3);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 500, NULL),
	       "the first request completes");
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 500, NULL),
	       "the second request completes");
	expect(IBV_EVENT_SQ_DRAINED, scripted_event(&s, 500), "it is drained");
}

static void draining_held(void)
{
	draining(0);
}

static void draining_moved(void)
{
	draining(1);
}

static void flush_repeated(void)
{
	struct wire_packet p;
	struct scripted s;

	scripted_open(&s);
	p = scripted_request(&s, WIRE_FLUSH, 0);
	p.length = 64;
	p.flush = 1;	/* to global visibility, a range */
	wire_send(&s.wire, &p);
	expect(1, scripted_count(&s, WIRE_READ_ONLY, 500),
	       "a FLUSH is answered");
	scripted_hold(&s);
	wire_send(&s.wire, &p);
	expect(1, scripted_count(&s, WIRE_READ_ONLY, 500),
	       "and again in a hold");
	scripted_resume(&s);
	wire_send(&s.wire, &p);
	expect(1, scripted_count(&s, WIRE_READ_ONLY, 500),
	       "and after it");
}

const struct protocol_case protocol_hold_cases[] = {
	{ "acknowledgment in a hold", acknowledgment },
	{ "acknowledgment in a request's middle", acknowledged_in_the_middle },
	{ "RNR wait", rnr_wait_held },
	{ "RNR wait, moved", rnr_wait_moved },
	{ "burst without request", burst_without_request },
	{ "draining", draining_held },
	{ "draining, moved", draining_moved },
	{ "FLUSH repeated", flush_repeated },
	{ 0 },
};
