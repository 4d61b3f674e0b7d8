// SPDX-License-Identifier: GPL-2.0
/* Queue pairs before RTS: those that have never been there, and those that were reset. */
#include <err.h>
#include <errno.h>
#include <unistd.h>

#include "expect.h"
#include "protocol.h"
#include "ring_map.h"
#include "scripted.h"
#include "send_ring.h"
#include "victim.h"
#include "../src/rxe_sealift_invariants.h"

#define NEW_PSN		0x777
#define ROUNDS		20

static struct endpoint_path path_of(const struct scripted *s, uint32_t sq_psn)
{
	struct endpoint_path path = {
		.qpn = SCRIPTED_QPN,
		.sq_psn = sq_psn,
		.rq_psn = SCRIPTED_RQ_PSN,
		.timeout = 20,
		.retry_cnt = 7,
		.rnr_retry = 7,
	};

	scripted_peer_gid(s, &path.gid);
	return path;
}

static void reset(struct scripted *s)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	if (ibv_modify_qp(s->end.qp, &attr, IBV_QP_STATE))
		err(1, "RESET");
}

/* What the application and its peer do with what has been restored. */
static void go_on(struct scripted *s, const struct victim *v, uint32_t handle)
{
	struct endpoint_path path = path_of(s, SCRIPTED_SQ_PSN);
	struct wire_packet p;

	scripted_resume(s);
	/* it has the number that the first one had */
	s->end.qp->handle = handle;
	if (v->qp.state == RXE_IMAGE_RESET)
		endpoint_init(&s->end);
	if (endpoint_try_receive(&s->end, &path))
		err(1, "RTR");
	p = scripted_request(s, WIRE_SEND_MIDDLE, 0);
	p.size = WIRE_MTU;
	wire_send(&s->wire, &p);
	usleep(300000);
	scripted_hold(s);
	victim_destroy(v, handle);
}

static void message_before_rtr(enum ibv_qp_state state, const char *name)
{
	struct scripted s;
	struct victim v;
	uint32_t handle;
	int ret;

	scripted_open_end(&s, IBV_QPT_RC);
	if (state == IBV_QPS_INIT)
		endpoint_init(&s.end);
	scripted_hold(&s);
	victim_take(&v, s.fd, s.end.qp->handle);

	v.qp.resp.opcode = RXE_IMAGE_SEND_FIRST;
	ret = victim_restore(&v, &handle);
	expect(-EINVAL, ret, "%s: a message that comes in", name);
	if (!ret)
		go_on(&s, &v, handle);
	victim_reset(&v);
	v.qp.req.opcode = RXE_IMAGE_SEND_FIRST;
	expect(-EINVAL, victim_restore(&v, &handle),
	       "%s: a message that goes out", name);
	victim_reset(&v);
	v.qp.comp.opcode = RXE_IMAGE_READ_FIRST;
	expect(-EINVAL, victim_restore(&v, &handle),
	       "%s: a READ that is answered", name);
	victim_reset(&v);
	expect(0, victim_restore(&v, &handle), "%s: the image as it was", name);
	go_on(&s, &v, handle);
}

static void in_init(void)
{
	message_before_rtr(IBV_QPS_INIT, "INIT");
}

static void in_reset(void)
{
	message_before_rtr(IBV_QPS_RESET, "RESET");
}

static void in_rtr(void)
{
	struct endpoint_path path;
	struct scripted s;
	struct victim v;
	uint32_t handle;

	scripted_open_end(&s, IBV_QPT_RC);
	path = path_of(&s, SCRIPTED_SQ_PSN);
	endpoint_init(&s.end);
	if (endpoint_try_receive(&s.end, &path))
		err(1, "RTR");
	scripted_hold(&s);
	victim_take(&v, s.fd, s.end.qp->handle);
	v.qp.comp.opcode = RXE_IMAGE_READ_FIRST;
	expect(-EINVAL, victim_restore(&v, &handle),
	       "RTR: a READ that is answered");
	victim_reset(&v);
	v.qp.req.wqe_index++;
	expect(-EINVAL, victim_restore(&v, &handle),
	       "RTR: a request under way");
	victim_reset(&v);
	expect(0, victim_restore(&v, &handle), "RTR: the image as it was");
}

/* Post a WRITE; the driver refuses the doorbell, but the ring has it. */
static void write_to_ring(struct scripted *s)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)s->mem,
		.length = 100,
		.lkey = s->end.mr->lkey,
	};
	struct ibv_send_wr *bad, wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.sg_list = &sge,
		.num_sge = 1,
		.send_flags = IBV_SEND_SIGNALED,
	};

	ibv_post_send(s->end.qp, &wr, &bad);
}

/* The first packet has the PSN that comes with RTS, and waits for RTS. */
static void posted_before_rts(void)
{
	struct wire_packet p = { .psn = 0 };
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = NEW_PSN,
		.timeout = 20,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.max_rd_atomic = 4,
	};
	unsigned int i, early = 0, right = 0;
	struct endpoint_path path;
	struct scripted s;

	scripted_open_end(&s, IBV_QPT_RC);
	path = path_of(&s, 0);
	for (i = 0; i < ROUNDS; i++) {
		endpoint_init(&s.end);
		if (endpoint_try_receive(&s.end, &path))
			err(1, "RTR");
		write_to_ring(&s);
		/* a resume lets all tasks run */
		scripted_hold(&s);
		scripted_resume(&s);
		early += scripted_count(&s, WIRE_WRITE_ONLY, 30);
		if (ibv_modify_qp(s.end.qp, &attr, IBV_QP_STATE |
				  IBV_QP_SQ_PSN | IBV_QP_TIMEOUT |
				  IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
				  IBV_QP_MAX_QP_RD_ATOMIC))
			err(1, "RTS");
		right += wire_recv(&s.wire, &p, 1000) && p.psn == NEW_PSN;
		reset(&s);
		wire_drain(&s.wire);
	}
	expect(0, early, "packets that are sent before RTS");
	expect(ROUNDS, right, "packets with the PSN that is set with RTS");
}

/* A process may write to its ring what it likes: nothing completes that was not sent. */
static void done_before_rts(void)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	struct endpoint_path path;
	struct sealift_rxe_qp qp;
	struct scripted s;
	struct victim v;
	uint32_t handle;
	void *ring;

	scripted_open_end(&s, IBV_QPT_RC);
	path = path_of(&s, 0);
	endpoint_init(&s.end);
	if (endpoint_try_receive(&s.end, &path))
		err(1, "RTR");
	scripted_hold(&s);
	if (sl_dump_qp(s.fd, s.end.qp->handle, &none, &qp))
		errx(1, "DUMP_QP");
	ring = ring_map(s.fd, qp.sq.mmap_offset);
	write_to_ring(&s);
	send_ring_producer(ring, 1, -1);
	/* a resume lets all tasks run */
	scripted_resume(&s);
	expect(-1, scripted_completion(&s, 300, NULL), "RTR: a completion");
	scripted_hold(&s);
	victim_take(&v, s.fd, s.end.qp->handle);
	expect(v.qp.sq.index, v.qp.req.wqe_index, "RTR: no request is under way");
	expect(-EINVAL, victim_restore(&v, &handle),
	       "RTR: a request that is done before it is sent");
	scripted_resume(&s);
}

/* Nothing of a connection is left: a READ half way. */
static void reset_in_a_read(void)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	struct wire_packet p = {
		.opcode = WIRE_READ_FIRST,
		.psn = SCRIPTED_SQ_PSN,
		.syndrome = WIRE_OK,
		.size = WIRE_MTU,
	};
	struct endpoint_path path;
	struct sealift_rxe_qp qp;
	struct scripted s;

	scripted_open(&s);
	scripted_post(&s, IBV_WR_RDMA_READ, 0, 3 * WIRE_MTU, 1);
	expect(1, scripted_count(&s, WIRE_READ, 300), "a READ is sent");
	p.qpn = s.end.qp->qp_num;
	wire_send(&s.wire, &p);
	usleep(100000);
	reset(&s);
	scripted_hold(&s);
	if (sl_dump_qp(s.fd, s.end.qp->handle, &none, &qp))
		errx(1, "DUMP_QP");
	expect((int)SEALIFT_RXE_NONE, (int)qp.comp.opcode,
	       "no READ is answered after RESET");
	scripted_resume(&s);

	path = path_of(&s, SCRIPTED_SQ_PSN);
	endpoint_init(&s.end);
	endpoint_connect(&s.end, &path);
	scripted_post(&s, IBV_WR_ATOMIC_FETCH_AND_ADD, 0, 8, 3);
	expect(1, scripted_count(&s, WIRE_FETCH_ADD, 300), "an atomic is sent");
	p.opcode = WIRE_ATOMIC_ACK;
	p.size = 0;
	wire_send(&s.wire, &p);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 1000, NULL),
	       "the new connection's atomic completes");
}

/* Nothing of a connection is left: requests without an answer. */
static void reset_under_way(void)
{
	struct endpoint_path path;
	struct scripted s;
	struct victim v;
	uint32_t handle;

	scripted_open(&s);
	scripted_write(&s, 100, 1);
	reset(&s);
	path = path_of(&s, SCRIPTED_SQ_PSN);
	endpoint_init(&s.end);
	endpoint_connect(&s.end, &path);
	expect(0, scripted_count(&s, WIRE_WRITE_ONLY, 300),
	       "the new connection sends nothing of the old one");
	scripted_write(&s, 100, 2);
	reset(&s);
	scripted_hold(&s);
	victim_take(&v, s.fd, s.end.qp->handle);
	expect(v.qp.sq.index, v.qp.req.wqe_index,
	       "no request is under way after RESET");
	expect(0, victim_restore(&v, &handle), "it is restored");
}

const struct protocol_case protocol_early_cases[] = {
	{ "message without request, in INIT", in_init },
	{ "message without request, in RESET", in_reset },
	{ "requests under way, in RTR", in_rtr },
	{ "posted before RTS", posted_before_rts },
	{ "done before RTS", done_before_rts },
	{ "reset in a READ", reset_in_a_read },
	{ "reset with a request under way", reset_under_way },
	{ 0 },
};
