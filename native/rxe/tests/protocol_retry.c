// SPDX-License-Identifier: GPL-2.0
/*
 * A hold that chooses: each queue pair puts its peer off with RNR NAKs or with
 * silence, what the peer bears longer (docs/adr/0018).
 */
#include <err.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "expect.h"
#include "listed.h"
#include "protocol.h"
#include "retry_table.h"
#include "scripted.h"
#include "victim.h"

#define SILENCE_MS	60	/* a held device answers within 1 ms */

static void hold_choosing(const struct scripted *s, uint32_t more)
{
	int ret = sl_hold_with(s->fd, SCRIPTED_TIMER, 5000,
			       SEALIFT_RXE_HOLD_CHOOSE | more);

	if (ret)
		errx(1, "HOLD: %s", strerror(-ret));
}

static struct sealift_rxe_device_object listed(const struct scripted *s)
{
	return listed_now(s->fd, SEALIFT_RXE_KIND_QP, s->end.qp->qp_num);
}

static void open_with(struct scripted *s, uint8_t rnr_retry, uint8_t retry_cnt,
		      uint8_t timeout)
{
	scripted_open_path(s, (struct endpoint_path){
		.timeout = timeout,
		.retry_cnt = retry_cnt,
		.rnr_retry = rnr_retry,
		.min_rnr_timer = 1,
	});
}

/* These attributes can be set in SQD only. Its responder works as in RTS. */
static void drain(struct scripted *s)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_SQD };

	if (ibv_modify_qp(s->end.qp, &attr, IBV_QP_STATE))
		err(1, "SQD");
}

static void set_up(struct scripted *s, uint8_t rnr_retry, uint8_t retry_cnt,
		   uint8_t timeout)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_SQD,
		.rnr_retry = rnr_retry,
		.retry_cnt = retry_cnt,
		.timeout = timeout,
	};
	int tries = 100, ret;

	/* it is drained once its task has run */
	while ((ret = ibv_modify_qp(s->end.qp, &attr, IBV_QP_STATE |
				    IBV_QP_RNR_RETRY | IBV_QP_RETRY_CNT |
				    IBV_QP_TIMEOUT)) && --tries)
		usleep(10000);
	if (ret)
		errx(1, "SQD to SQD: %s", strerror(ret));
}

/* As retry_table.h writes it. */
static int choice_of(const struct sealift_rxe_device_object *o)
{
	if (o->budget_ms == SEALIFT_RXE_NONE)
		return o->silent ? SILENT : FOREVER;
	return o->silent ? -(int)o->budget_ms : (int)o->budget_ms;
}

/* What each combination lasts, and what it looks like on the wire. */
static void table(void)
{
	struct sealift_rxe_device_object o;
	unsigned int t, retry, rnr;
	struct scripted s;

	scripted_open(&s);
	drain(&s);
	for (t = 0; t < ARRAY_SIZE(retry_tables); t++)
		for (retry = 0; retry < 8; retry++)
			for (rnr = 0; rnr < 8; rnr++) {
				set_up(&s, rnr, retry, retry_tables[t].timeout);
				o = listed(&s);
				expect(retry_tables[t].budget[retry][rnr],
				       choice_of(&o),
				       "rnr_retry %u, retry_cnt %u, timeout %u last",
				       rnr, retry, retry_tables[t].timeout);
				expect(1, o.has_peer && o.rnr_retry == rnr &&
				       o.retry_cnt == retry &&
				       o.timeout == retry_tables[t].timeout,
				       "LIST tells them");
			}
}

/* Return: syndrome of the answer to the @nth request, or -1: silence */
static int answer_to(struct scripted *s, uint32_t nth, int ms)
{
	struct wire_packet p = scripted_request(s, WIRE_WRITE_ONLY, nth);

	p.length = 8;
	p.size = 8;
	wire_send(&s->wire, &p);
	while (wire_recv(&s->wire, &p, ms))
		if (p.opcode == WIRE_ACK && p.psn ==
		    scripted_request(s, WIRE_WRITE_ONLY, nth).psn)
			return p.syndrome;
	return -1;
}

static void answers(void)
{
	struct sealift_rxe_device_object o;
	unsigned int retry, rnr;
	struct scripted s;
	uint32_t nth = 0;
	int want;

	scripted_open(&s);
	drain(&s);
	for (retry = 0; retry < 8; retry++)
		for (rnr = 0; rnr < 8; rnr++) {
			set_up(&s, rnr, retry, 14);
			o = listed(&s);
			want = o.silent ? -1 : WIRE_RNR | o.rnr_timer;
			hold_choosing(&s, 0);
			expect(want, answer_to(&s, nth, o.silent ? SILENCE_MS :
					       1000),
			       "rnr_retry %u, retry_cnt %u: the answer in a hold",
			       rnr, retry);
			scripted_resume(&s);
			expect(WIRE_OK, answer_to(&s, nth++, 1000),
			       "rnr_retry %u, retry_cnt %u: the answer after it",
			       rnr, retry);
		}
}

/* What was done is acknowledged again; out of sequence nothing is said. */
static void silence(void)
{
	struct sealift_rxe_query query;
	struct scripted s;

	open_with(&s, 0, 7, 14);
	expect(WIRE_OK, answer_to(&s, 0, 1000), "a request before the hold");
	hold_choosing(&s, SEALIFT_RXE_HOLD_RECEIVE_UD);
	if (sl_query(s.fd, &query))
		errx(1, "QUERY");
	expect(SEALIFT_RXE_HOLD_CHOOSE | SEALIFT_RXE_HOLD_RECEIVE_UD,
	       query.hold_flags, "QUERY tells that queue pairs choose");
	expect(-1, answer_to(&s, 1, SILENCE_MS), "a new request gets no answer");
	hold_choosing(&s, 0);
	expect(-1, answer_to(&s, 1, SILENCE_MS), "nor its repetition");
	expect(WIRE_OK, answer_to(&s, 0, 1000), "one that was done is acknowledged");
	expect(-1, answer_to(&s, 2, SILENCE_MS), "one out of sequence is not");
	scripted_resume(&s);
	/* the rest of the peer's burst: it will repeat all of it */
	expect(-1, answer_to(&s, 2, SILENCE_MS),
	       "the rest of a burst is dropped after the hold");
	expect(WIRE_OK, answer_to(&s, 1, 1000), "the request is done then");
	expect(WIRE_OK, answer_to(&s, 2, 1000), "and the next one");
	expect(WIRE_NAK_SEQUENCE, answer_to(&s, 9, 1000) < 0 ? WIRE_NAK_SEQUENCE :
	       -1, "a later one is out of sequence");
}

/* The device's own requests are repeated after a silent hold as after any. */
static void own_requests(void)
{
	struct scripted s;

	open_with(&s, 0, 7, 20);
	scripted_write(&s, 100, 1);
	hold_choosing(&s, 0);
	scripted_answer(&s, WIRE_OK, 0);
	expect(-1, scripted_completion(&s, 200, NULL),
	       "an ACK in a silent hold completes nothing");
	wire_drain(&s.wire);
	scripted_resume(&s);
	expect(1, scripted_count(&s, WIRE_WRITE_ONLY, 300),
	       "the request is repeated after it");
	scripted_answer(&s, WIRE_OK, 0);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 500, NULL),
	       "it completes");
}

/* The choice goes where the queue pair goes. */
static void moved(void)
{
	struct sealift_rxe_device_object before, after;
	struct scripted s;
	struct victim v;
	uint32_t handle;

	open_with(&s, 3, 6, 18);
	before = listed(&s);
	hold_choosing(&s, 0);
	victim_take(&v, s.fd, s.end.qp->handle);
	if (victim_restore(&v, &handle))
		errx(1, "RESTORE_QP");
	victim_free(&v);
	after = listed(&s);
	expect(-6420, choice_of(&after), "a restored queue pair chooses");
	expect(choice_of(&before), choice_of(&after),
	       "as the dumped one did");
	expect(-1, answer_to(&s, 0, SILENCE_MS), "it is silent");
	scripted_resume(&s);
	expect(WIRE_OK, answer_to(&s, 0, 1000), "it answers after the hold");
}

/* Before RTS nothing is known of the peer. */
static void before_rts(void)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = SCRIPTED_SQ_PSN,
		.timeout = 14,
		.retry_cnt = 7,
		.max_rd_atomic = 4,
	};
	struct endpoint_path path = {
		.qpn = SCRIPTED_QPN,
		.rq_psn = SCRIPTED_RQ_PSN,
		.min_rnr_timer = 1,
	};
	struct sealift_rxe_device_object o;
	struct scripted s;

	scripted_open_end(&s, IBV_QPT_RC);
	scripted_peer_gid(&s, &path.gid);
	endpoint_init(&s.end);
	if (endpoint_try_receive(&s.end, &path))
		err(1, "RTR");
	o = listed(&s);
	expect(0, o.has_peer || o.budget_ms, "LIST knows no peer in RTR");
	hold_choosing(&s, SEALIFT_RXE_HOLD_RECEIVE_UD);
	expect(WIRE_RNR | SCRIPTED_TIMER, answer_to(&s, 0, 1000),
	       "in RTR: RNR NAK with the hold's timer");
	if (ibv_modify_qp(s.end.qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN |
			  IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
			  IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC))
		err(1, "RTS");
	expect(-1, answer_to(&s, 0, SILENCE_MS),
	       "in RTS, reached in the hold: silence");
	o = listed(&s);
	expect(SILENT, choice_of(&o), "LIST tells so");
	scripted_resume(&s);
	expect(WIRE_OK, answer_to(&s, 0, 1000), "it answers after the hold");
}

/* A hold that does not choose is as it was. */
static void told(void)
{
	struct scripted s;

	open_with(&s, 0, 7, 14);
	scripted_hold(&s);
	expect(WIRE_RNR | SCRIPTED_TIMER, answer_to(&s, 0, 1000),
	       "a hold that does not choose: RNR NAK with its timer");
	hold_choosing(&s, 0);
	expect(-1, answer_to(&s, 0, SILENCE_MS), "one that does: silence");
	expect(-EINVAL, sl_hold_with(s.fd, SCRIPTED_TIMER, 5000, 4),
	       "HOLD with a flag that is none");
	scripted_resume(&s);
	expect(WIRE_OK, answer_to(&s, 0, 1000), "it answers after the hold");
}

const struct protocol_case protocol_retry_cases[] = {
	{ "retries: table", table },
	{ "retries: answers", answers },
	{ "retries: silence", silence },
	{ "retries: own requests", own_requests },
	{ "retries: moved", moved },
	{ "retries: before RTS", before_rts },
	{ "retries: told", told },
	{ 0 },
};
