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

#define SLOT	4096	/* of the memory; receive requests have the first ones */
#define OUT	(8 * SLOT)
#define BYTES	700	/* of a datagram */

static void post(struct ud *u, uint64_t wr_id, int flags, uint32_t immediate)
{
	unsigned char *at = u->s.mem + OUT + wr_id % 4 * SLOT;
	struct datagram d = {
		.ah = u->ah,
		.qpn = SCRIPTED_QPN,
		.data = at,
		.size = flags & IBV_SEND_INLINE ? 50 : BYTES,
		.wr_id = wr_id,
		.flags = flags,
		.immediate = immediate,
	};

	memset(at, 'a' + wr_id, d.size);
	datagram_send(&u->s.end, &d);
}

static void receive(struct ud *u, uint64_t wr_id)
{
	datagram_receive(&u->s.end, u->s.mem + wr_id * SLOT, SLOT, wr_id);
}

/* The peer sends a datagram with @mark in it. */
static void arrive(struct ud *u, char mark, uint32_t qkey)
{
	struct wire_packet p = {
		.opcode = WIRE_UD_SEND,
		.qpn = u->s.end.qp->qp_num,
		.qkey = qkey,
		.src_qpn = SCRIPTED_QPN,
		.size = BYTES,
	};

	memset(p.payload, mark, p.size);
	wire_send(&u->s.wire, &p);
}

/* The next completion is of @wr_id. */
static void completes(struct ud *u, int status, uint64_t wr_id,
		      const char *what)
{
	uint64_t got = ~0ULL;
	int is = scripted_completion(&u->s, 2000, &got);

	expect(1, is == status && got == wr_id, "%s (request %d, status %d)",
	       what, (int)got, is);
}

static void received(struct ud *u, uint64_t wr_id, char mark, const char *what)
{
	const unsigned char *at = u->s.mem + wr_id * SLOT + DATAGRAM_GRH;
	unsigned int i, wrong = 0;

	completes(u, IBV_WC_SUCCESS, wr_id, what);
	for (i = 0; i < BYTES; i++)
		wrong += at[i] != (unsigned char)mark;
	expect(0, wrong, "%s: all of it", what);
}

/* The next packet is the datagram of request @wr_id. */
static void goes_out(struct ud *u, uint64_t wr_id, uint32_t immediate)
{
	struct wire_packet p = { 0 };
	bool got = wire_recv(&u->s.wire, &p, 2000);

	expect(1, got && p.opcode == (immediate ? WIRE_UD_SEND_IMM : WIRE_UD_SEND) &&
	       p.qpn == SCRIPTED_QPN && p.qkey == DATAGRAM_QKEY &&
	       p.src_qpn == u->s.end.qp->qp_num && p.immediate == immediate &&
	       p.payload[0] == 'a' + wr_id && p.payload[p.size - 1] == 'a' + wr_id,
	       "datagram %d is sent (opcode %#x of %u bytes)", (int)wr_id,
	       p.opcode, p.size);
}

static void nothing_is_sent(struct ud *u, const char *what)
{
	struct wire_packet p;

	expect(0, wire_recv(&u->s.wire, &p, 300), "%s", what);
}

/* Both ways work. */
static void lives(struct ud *u)
{
	receive(u, 3);
	post(u, 9, 0, 0);
	goes_out(u, 9, 0);
	completes(u, IBV_WC_SUCCESS, 9, "a datagram is sent afterwards");
	arrive(u, 'z', DATAGRAM_QKEY);
	received(u, 3, 'z', "a datagram is received afterwards");
}

static void moves(void)
{
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	lives(&u);
	shared_move(&u.s);
	lives(&u);
	shared_move(&u.s);
	lives(&u);
}

/* Silence both ways; what was posted is sent after it, once and in order. */
static void silent(void)
{
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	receive(&u, 1);
	receive(&u, 2);
	scripted_hold(&u.s);
	wire_drain(&u.s.wire);
	post(&u, 4, 0, 0);
	post(&u, 5, IBV_SEND_INLINE, 0);
	post(&u, 6, 0, 77);
	nothing_is_sent(&u, "nothing is sent in a hold");
	arrive(&u, 'x', DATAGRAM_QKEY);
	expect(-1, scripted_completion(&u.s, 300, NULL),
	       "nothing completes in a hold");
	shared_move_held(&u.s);
	arrive(&u, 'y', DATAGRAM_QKEY);
	nothing_is_sent(&u, "nothing is sent before the resume");
	scripted_resume(&u.s);
	goes_out(&u, 4, 0);
	goes_out(&u, 5, 0);
	goes_out(&u, 6, 77);
	nothing_is_sent(&u, "each is sent once");
	completes(&u, IBV_WC_SUCCESS, 4, "they complete in order");
	completes(&u, IBV_WC_SUCCESS, 5, "they complete in order");
	completes(&u, IBV_WC_SUCCESS, 6, "they complete in order");
	expect(-1, scripted_completion(&u.s, 100, NULL),
	       "what arrived in the hold is lost");
	arrive(&u, 'z', DATAGRAM_QKEY);
	received(&u, 1, 'z', "the next one gets the first request");
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
	post(&u, 4, 0, 0);
	send_ring_path(ring_map(qp.sq.mmap_offset), qp.sq.index, &ah.av);
	if (ibv_destroy_ah(u.ah))
		err(1, "ibv_destroy_ah");
	shared_move_held(&u.s);
	scripted_resume(&u.s);
	goes_out(&u, 4, 0);
	completes(&u, IBV_WC_SUCCESS, 4, "without a handle");
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
	lives(&u);
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
			lives(&u);
	}
}

/* As the agent restores one whose time has run out. */
static void restored_as_failed(void)
{
	struct image img;
	struct ud u;

	ud_open(&u, IBV_QPS_RTS);
	receive(&u, 1);
	scripted_hold(&u.s);
	post(&u, 4, 0, 0);
	image_dump(&img, u.s.fd, u.s.end.channel->fd);
	image_destroy(&img, u.s.fd);
	image_restore(&img, u.s.fd, SEALIFT_RXE_QP_ERROR);
	scripted_resume(&u.s);
	nothing_is_sent(&u, "a failed one sends nothing");
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
	receive(&u, 1);
	shared_move(&u.s);
	arrive(&u, 'x', DATAGRAM_QKEY);
	expect(-1, scripted_completion(&u.s, 300, NULL),
	       "a datagram with the former Q_Key is dropped");
	arrive(&u, 'y', attr.qkey);
	received(&u, 1, 'y', "one with the Q_Key is received");
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
	arrive(&u, 'x', DATAGRAM_QKEY);
	expect(u.s.end.srq ? IBV_WC_REM_INV_REQ_ERR : -1,
	       scripted_completion(&u.s, 300, NULL),
	       "a datagram that is too long");
	shared_move(&u.s);
	if (!u.s.end.srq) {
		shared_move(&u.s);
		return;
	}
	lives(&u);
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
