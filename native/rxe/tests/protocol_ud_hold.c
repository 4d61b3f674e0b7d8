// SPDX-License-Identifier: GPL-2.0
/* A hold in which UD queue pairs still receive, and the one that follows it. */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "datagram.h"
#include "expect.h"
#include "protocol.h"
#include "shared.h"
#include "ud.h"

#define ROUNDS	40

static void hold_but_receive(const struct scripted *s)
{
	int ret = sl_hold_with(s->fd, SCRIPTED_TIMER, 5000,
			       SEALIFT_RXE_HOLD_RECEIVE_UD);

	if (ret)
		errx(1, "HOLD: %s", strerror(-ret));
}

static void nothing_completes(struct ud *u, const char *what)
{
	expect(-1, scripted_completion(&u->s, 300, NULL), "%s", what);
}

static void received(void)
{
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	ud_receive(&u, 1);
	ud_receive(&u, 2);
	ud_receive(&u, 3);
	hold_but_receive(&u.s);
	wire_drain(&u.s.wire);
	ud_post(&u, 4, 0, 0);
	ud_nothing_is_sent(&u, "a hold that receives sends nothing");
	ud_arrive(&u, 'x', DATAGRAM_QKEY);
	ud_received(&u, 1, 'x', "it receives");
	ud_arrive(&u, 'y', DATAGRAM_QKEY);
	ud_received(&u, 2, 'y', "it receives more");
	scripted_hold(&u.s);
	ud_arrive(&u, 'z', DATAGRAM_QKEY);
	nothing_completes(&u, "the hold that follows does not receive");
	hold_but_receive(&u.s);
	ud_arrive(&u, 'w', DATAGRAM_QKEY);
	ud_received(&u, 3, 'w', "it can be allowed to");
	scripted_resume(&u.s);
	ud_goes_out(&u, 4, 0);
	ud_completes(&u, IBV_WC_SUCCESS, 4, "RESUME ends both");
	ud_lives(&u);
}

/* What is read or written object by object must not change meanwhile. */
static void refuses(void)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_query query;
	struct sealift_rxe_srq srq;
	struct sealift_rxe_ah ah;
	struct sealift_rxe_qp qp;
	struct sealift_rxe_cq cq;
	uint32_t handle, number;
	struct ud u;
	int fd;

	setenv("LIVE_SRQ", "1", 1);
	ud_open(&u, IBV_QPS_RTS);
	fd = u.s.fd;
	scripted_hold(&u.s);
	if (sl_dump_ah(fd, u.ah->handle, &ah))
		errx(1, "DUMP_AH");
	ah.number = 0;
	if (raw_create_ah(fd, &ah, &handle, &number))
		errx(1, "CREATE_AH");
	hold_but_receive(&u.s);
	if (sl_query(fd, &query))
		errx(1, "QUERY");
	expect(1, query.held && query.rnr_timer == SCRIPTED_TIMER &&
	       query.hold_flags == SEALIFT_RXE_HOLD_RECEIVE_UD,
	       "QUERY tells that datagrams are received");
	expect(-EBUSY, sl_dump_qp(fd, u.s.end.qp->handle, &none, &qp),
	       "DUMP_QP while datagrams are received");
	expect(-EBUSY, sl_dump_cq(fd, u.s.end.cq->handle, NULL, 0, &cq),
	       "DUMP_CQ while datagrams are received");
	expect(-EBUSY, sl_dump_srq(fd, u.s.end.srq->handle, NULL, 0, &srq),
	       "DUMP_SRQ while datagrams are received");
	expect(-EBUSY, sl_dump_ah(fd, u.ah->handle, &ah),
	       "DUMP_AH while datagrams are received");
	expect(-EBUSY, sl_restore_ah(fd, handle, &ah),
	       "RESTORE_AH while datagrams are received");
	scripted_hold(&u.s);
	if (sl_query(fd, &query))
		errx(1, "QUERY");
	expect(1, query.held && !query.hold_flags,
	       "QUERY tells that they are not any more");
	expect(0, sl_dump_qp(fd, u.s.end.qp->handle, &none, &qp),
	       "DUMP_QP then");
	expect(0, sl_restore_ah(fd, handle, &ah), "RESTORE_AH then");
	scripted_resume(&u.s);
	if (sl_query(fd, &query))
		errx(1, "QUERY");
	expect(1, !query.held && !query.hold_flags, "QUERY after RESUME");
}

/* What the hold has received moves, with the event that nobody has read. */
static void moved(void)
{
	struct ibv_cq *cq = NULL;
	struct pollfd p;
	void *context;
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	p = (struct pollfd){ .fd = u.s.end.channel->fd, .events = POLLIN };
	ud_receive(&u, 1);
	ud_receive(&u, 2);
	hold_but_receive(&u.s);
	ud_arrive(&u, 'x', DATAGRAM_QKEY);
	expect(1, poll(&p, 1, 2000), "a datagram raises its event in the hold");
	scripted_hold(&u.s);
	shared_move_held(&u.s);
	expect(1, poll(&p, 1, 0), "the event is there after the restore");
	hold_but_receive(&u.s);
	ud_arrive(&u, 'y', DATAGRAM_QKEY);
	ud_received(&u, 1, 'x', "what was received before the restore");
	ud_received(&u, 2, 'y', "what arrives after it, before RESUME");
	scripted_resume(&u.s);
	if (ibv_get_cq_event(u.s.end.channel, &cq, &context))
		err(1, "ibv_get_cq_event");
	ibv_ack_cq_events(cq, 1);
	ud_lives(&u);
}

static void without_request(void)
{
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	hold_but_receive(&u.s);
	ud_arrive(&u, 'x', DATAGRAM_QKEY);
	nothing_completes(&u, "a datagram without a receive request is lost");
	ud_receive(&u, 1);
	ud_arrive(&u, 'y', DATAGRAM_QKEY);
	ud_received(&u, 1, 'y', "one with a request that is posted in the hold");
	scripted_resume(&u.s);
	ud_lives(&u);
}

/* A queue pair that fails in the hold flushes after it, as in any hold. */
static void fails(void)
{
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	ud_receive(&u, 1);
	hold_but_receive(&u.s);
	datagram_to(&u.s.end, IBV_QPS_ERR);
	ud_arrive(&u, 'x', DATAGRAM_QKEY);
	nothing_completes(&u, "a queue pair in the error state receives nothing");
	scripted_hold(&u.s);
	shared_move_held(&u.s);
	scripted_resume(&u.s);
	ud_completes(&u, IBV_WC_WR_FLUSH_ERR, 1, "its request is flushed");
}

/* A hold that is given up has cost no datagram, whenever that arrives. */
static void given_up(void)
{
	unsigned int round, i, got = 0;
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < 6; i++)
			ud_receive(&u, i);
		for (i = 0; i < 3; i++)
			ud_arrive(&u, 'x', DATAGRAM_QKEY);
		hold_but_receive(&u.s);
		for (i = 0; i < 3; i++)
			ud_arrive(&u, 'y', DATAGRAM_QKEY);
		scripted_resume(&u.s);
		for (i = 0; i < 6; i++)
			got += !scripted_completion(&u.s, 2000, NULL);
	}
	expect(6 * ROUNDS, got, "datagrams around holds that are given up");
}

/* RC and UD share a receive queue: the hold puts off the one, not the other. */
static void shared_with_rc(void)
{
	static const struct ibv_qp_cap cap = {
		.max_send_wr = 4, .max_send_sge = 1, .max_recv_sge = 2,
	};
	struct endpoint_path path = {
		.qpn = SCRIPTED_QPN,
		.sq_psn = SCRIPTED_SQ_PSN,
		.rq_psn = SCRIPTED_RQ_PSN,
		.timeout = 20,
		.min_rnr_timer = 1,
	};
	struct wire_packet p = { 0 };
	struct endpoint rc;
	struct ud u;

	setenv("LIVE_SRQ", "1", 1);
	ud_open(&u, IBV_QPS_RTS);
	rc = u.s.end;
	rc.type = IBV_QPT_RC;
	rc.qp = endpoint_create_qp(&rc, &cap);
	scripted_peer_gid(&u.s, &path.gid);
	endpoint_init(&rc);
	endpoint_connect(&rc, &path);
	ud_receive(&u, 1);
	ud_receive(&u, 2);
	hold_but_receive(&u.s);
	wire_drain(&u.s.wire);
	shared_send(&u.s, rc.qp, WIRE_SEND_ONLY, 0, 10);
	expect(1, wire_recv(&u.s.wire, &p, 2000) && p.opcode == WIRE_ACK &&
	       (p.syndrome & 0x60) == WIRE_RNR, "a connection is put off");
	ud_arrive(&u, 'x', DATAGRAM_QKEY);
	ud_received(&u, 1, 'x', "a datagram takes the first shared request");
	datagram_receive(&u.s.end, u.s.mem, 100, 7);
	scripted_hold(&u.s);
	shared_move_held(&u.s);
	scripted_resume(&u.s);
	shared_send(&u.s, rc.qp, WIRE_SEND_ONLY, 0, 10);
	shared_completes(&u.s, rc.qp, 2, IBV_WC_SUCCESS,
			 "the connection takes the next one");
	hold_but_receive(&u.s);
	ud_arrive(&u, 'y', DATAGRAM_QKEY);
	ud_completes(&u, IBV_WC_REM_INV_REQ_ERR, 7,
		     "a datagram that is too long fails its request");
	scripted_hold(&u.s);
	shared_move_held(&u.s);
	scripted_resume(&u.s);
	wire_drain(&u.s.wire);
	ud_lives(&u);
}

const struct protocol_case protocol_ud_hold_cases[] = {
	{ "datagrams: received in a hold", received },
	{ "datagrams: a hold that receives refuses dumps", refuses },
	{ "datagrams: received in a hold and moved", moved },
	{ "datagrams: no request in a hold", without_request },
	{ "datagrams: failure in a hold", fails },
	{ "datagrams: a hold that is given up", given_up },
	{ "datagrams: a hold of RC and UD", shared_with_rc },
	{ 0 },
};
