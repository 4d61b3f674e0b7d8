// SPDX-License-Identifier: GPL-2.0
/*
 * UD queue pairs and address handles: what a hold does to datagrams, and what is
 * after a restore as it was before.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datagram.h"
#include "expect.h"
#include "image.h"
#include "protocol.h"
#include "ring_map.h"
#include "send_ring.h"
#include "shared.h"
#include "ud.h"

static void moves(void)
{
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	ud_lives(&u);
	shared_move(&u.s);
	ud_lives(&u);
	shared_move(&u.s);
	ud_lives(&u);
}

/* Silence both ways; what was posted is sent after it, once and in order. */
static void silent(void)
{
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	ud_receive(&u, 1);
	ud_receive(&u, 2);
	scripted_hold(&u.s);
	wire_drain(&u.s.wire);
	ud_post(&u, 4, 0, 0);
	ud_post(&u, 5, IBV_SEND_INLINE, 0);
	ud_post(&u, 6, 0, 77);
	ud_nothing_is_sent(&u, "nothing is sent in a hold");
	ud_arrive(&u, 'x', DATAGRAM_QKEY);
	expect(-1, scripted_completion(&u.s, 300, NULL),
	       "nothing completes in a hold");
	shared_move_held(&u.s);
	ud_arrive(&u, 'y', DATAGRAM_QKEY);
	ud_nothing_is_sent(&u, "nothing is sent before the resume");
	scripted_resume(&u.s);
	ud_goes_out(&u, 4, 0);
	ud_goes_out(&u, 5, 0);
	ud_goes_out(&u, 6, 77);
	ud_nothing_is_sent(&u, "each is sent once");
	ud_completes(&u, IBV_WC_SUCCESS, 4, "they complete in order");
	ud_completes(&u, IBV_WC_SUCCESS, 5, "they complete in order");
	ud_completes(&u, IBV_WC_SUCCESS, 6, "they complete in order");
	expect(-1, scripted_completion(&u.s, 100, NULL),
	       "what arrived in the hold is lost");
	ud_arrive(&u, 'z', DATAGRAM_QKEY);
	ud_received(&u, 1, 'z', "the next one gets the first request");
}

/* A process may have written the path into the request, and no number. */
static void carries_its_path(void)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_qp qp;
	struct sealift_rxe_ah ah;
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	scripted_hold(&u.s);
	if (sl_dump_ah(u.s.fd, u.ah->handle, &ah) ||
	    sl_dump_qp(u.s.fd, u.s.end.qp->handle, &none, &qp))
		errx(1, "DUMP");
	ud_post(&u, 4, 0, 0);
	send_ring_path(ring_map(u.s.fd, qp.sq.mmap_offset), qp.sq.index, &ah.av);
	if (ibv_destroy_ah(u.ah))
		err(1, "ibv_destroy_ah");
	shared_move_held(&u.s);
	scripted_resume(&u.s);
	ud_goes_out(&u, 4, 0);
	ud_completes(&u, IBV_WC_SUCCESS, 4, "without a handle");
}

/* A handle made by a provider without numbers, and one to a multicast address. */
static void other_handles(void)
{
	struct sealift_rxe_ah old, group, first;
	uint32_t handle, number;
	struct ibv_ah *mcast;
	union ibv_gid gid;
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	memset(&gid, 0, sizeof(gid));
	gid.raw[10] = 0xff;
	gid.raw[11] = 0xff;
	gid.raw[12] = 239;
	gid.raw[15] = 7;
	mcast = datagram_handle(&u.s.end, &gid);
	scripted_hold(&u.s);
	if (sl_dump_ah(u.s.fd, u.ah->handle, &first) ||
	    sl_dump_ah(u.s.fd, mcast->handle, &group))
		errx(1, "DUMP_AH");
	expect(1, first.number && group.number && first.number != group.number &&
	       first.pd_handle == u.s.end.pd->handle && first.av.present &&
	       !memcmp(first.av.sgid, &u.s.end.gid, 16) &&
	       first.av.traffic_class == 8 && first.av.network_type == 1,
	       "a handle's number and path");
	expect(1, group.av.dmac[0] == 1 && group.av.dgid[12] == 239,
	       "a group's path");
	old = first;
	old.number = 0;
	if (raw_create_ah(u.s.fd, &old, &handle, &number))
		errx(1, "CREATE_AH");
	expect(0, sl_restore_ah(u.s.fd, handle, &old),
	       "a handle without number gets a path");
	expect(-EINVAL, sl_restore_ah(u.s.fd, handle, &first),
	       "but no number");
	memset(&first, 0, sizeof(first));
	expect(0, sl_dump_ah(u.s.fd, handle, &first), "it is dumped");
	expect(0, first.number, "without a number");
	shared_move_held(&u.s);
	scripted_resume(&u.s);
	ud_lives(&u);
}

static void in_each_state(void)
{
	static const enum ibv_qp_state states[] = {
		IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_SQD,
		IBV_QPS_ERR,
	};
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	unsigned int i;
	struct ud u;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		ud_open(&u, states[i]);
		shared_move(&u.s);
		if (ibv_query_qp(u.s.end.qp, &attr, IBV_QP_STATE, &init))
			err(1, "ibv_query_qp");
		expect(states[i], attr.qp_state, "the state is the same");
		if (states[i] == IBV_QPS_RESET)
			datagram_init(&u.s.end);
		if (states[i] <= IBV_QPS_INIT)
			datagram_to(&u.s.end, IBV_QPS_RTR);
		if (states[i] <= IBV_QPS_RTR) {
			datagram_to(&u.s.end, IBV_QPS_RTS);
		} else if (states[i] == IBV_QPS_SQD) {
			expect(IBV_EVENT_SQ_DRAINED, scripted_event(&u.s, 2000),
			       "the send queue is drained");
			attr.qp_state = IBV_QPS_RTS;
			if (ibv_modify_qp(u.s.end.qp, &attr, IBV_QP_STATE))
				err(1, "RTS");
		}
		if (states[i] != IBV_QPS_ERR)
			ud_lives(&u);
	}
}

/* As the agent restores one whose time has run out. */
static void restored_as_failed(void)
{
	struct image img;
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	ud_receive(&u, 1);
	scripted_hold(&u.s);
	ud_post(&u, 4, 0, 0);
	image_dump(&img, u.s.fd, u.s.end.channel->fd);
	image_destroy(&img, u.s.fd);
	image_restore(&img, u.s.fd, SEALIFT_RXE_QP_ERROR);
	scripted_resume(&u.s);
	ud_nothing_is_sent(&u, "a failed one sends nothing");
	expect(IBV_WC_WR_FLUSH_ERR, scripted_completion(&u.s, 2000, NULL),
	       "its requests are flushed");
	expect(IBV_WC_WR_FLUSH_ERR, scripted_completion(&u.s, 2000, NULL),
	       "both of them");
	image_free(&img);
}

static void keys(void)
{
	struct ibv_qp_attr attr = { .qkey = 0x22222222 };
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	attr.qp_state = IBV_QPS_RTS;
	if (ibv_modify_qp(u.s.end.qp, &attr, IBV_QP_STATE | IBV_QP_QKEY))
		err(1, "Q_Key");
	ud_receive(&u, 1);
	shared_move(&u.s);
	ud_arrive(&u, 'x', DATAGRAM_QKEY);
	expect(-1, scripted_completion(&u.s, 300, NULL),
	       "a datagram with the former Q_Key is dropped");
	ud_arrive(&u, 'y', attr.qkey);
	ud_received(&u, 1, 'y', "one with the Q_Key is received");
}

/*
 * A datagram longer than its receive request: the specification's class D or E
 * error. The queue pair goes on.
 */
static void too_long(void)
{
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	datagram_receive(&u.s.end, u.s.mem, 100, 1);
	ud_arrive(&u, 'x', DATAGRAM_QKEY);
	expect(u.s.end.srq ? IBV_WC_REM_INV_REQ_ERR : -1,
	       scripted_completion(&u.s, 300, NULL),
	       "a datagram that is too long");
	shared_move(&u.s);
	if (!u.s.end.srq) {
		shared_move(&u.s);
		return;
	}
	ud_lives(&u);
}

static void shared_queue(void)
{
	setenv("LIVE_SRQ", "1", 1);
	moves();
	silent();
	too_long();
}

const struct protocol_case protocol_ud_cases[] = {
	{ "datagrams: moved", moves },
	{ "datagrams: silent in a hold", silent },
	{ "datagrams: with their path", carries_its_path },
	{ "datagrams: other handles", other_handles },
	{ "datagrams: each state", in_each_state },
	{ "datagrams: restored as failed", restored_as_failed },
	{ "datagrams: Q_Key", keys },
	{ "datagrams: too long", too_long },
	{ "datagrams: shared receive queue", shared_queue },
	{ 0 },
};
