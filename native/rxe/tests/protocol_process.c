// SPDX-License-Identifier: GPL-2.0
/* A process that writes to what the driver shares with it. */
#include <err.h>
#include <unistd.h>

#include "clock.h"
#include "expect.h"
#include "protocol.h"
#include "ring_map.h"
#include "scripted.h"
#include "send_ring.h"

/* Hold the device and dump the queue pair, without its rings. */
static struct sealift_rxe_qp held_qp(struct scripted *s)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_qp qp;

	scripted_hold(s);
	if (sl_dump_qp(s->fd, s->end.qp->handle, &none, &qp))
		errx(1, "DUMP_QP");
	return qp;
}

/* Hold the device. Return: the send ring as the process has it mapped */
static void *mapped_ring(struct scripted *s)
{
	return ring_map(s->fd, held_qp(s).sq.mmap_offset);
}

/* A WRITE is sent, changed in the ring, and acknowledged. */
static void change_sent(struct scripted *s, enum send_ring_change change)
{
	scripted_open(s);
	scripted_write(s, 100, 1);
	send_ring_change(mapped_ring(s), 0, change);
	scripted_resume(s);
	scripted_answer(s, WIRE_OK, 0);
}

/* A request that says error and success is no warning of the kernel, and no success. */
static void error_without_status(void)
{
	struct scripted s;

	change_sent(&s, SEND_RING_ERROR);
	expect(IBV_WC_GENERAL_ERR, scripted_completion(&s, 1000, NULL),
	       "it completes with an error");
}

/* A request that claims to be a READ gives back no more than was taken. */
static void reads_above_depth(void)
{
	struct sealift_rxe_qp qp;
	struct scripted s;

	change_sent(&s, SEND_RING_COUNTED);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 1000, NULL),
	       "it completes");
	qp = held_qp(&s);
	expect(qp.attr.max_rd_atomic, qp.req.rd_atomic,
	       "READs that may be sent");
}

/* A request that is changed before it is sent is refused. */
static void changed_before(enum send_ring_change change, const char *what)
{
	struct scripted s;
	void *ring;

	scripted_open(&s);
	ring = mapped_ring(&s);
	scripted_post(&s, IBV_WR_RDMA_WRITE, 0, WIRE_MTU, 1);
	send_ring_change(ring, 0, change);
	scripted_resume(&s);
	/* the queue pair is in error: all its requests are flushed */
	expect(IBV_WC_WR_FLUSH_ERR, scripted_completion(&s, 1000, NULL),
	       "%s completes with an error", what);
}

static void unknown_opcode(void)
{
	changed_before(SEND_RING_OPCODE, "an opcode beyond all tables");
}

static void kernel_opcode(void)
{
	changed_before(SEND_RING_REG_MR, "an opcode of the kernel's");
}

static void inline_beyond(void)
{
	changed_before(SEND_RING_INLINE, "inline data beyond the ring");
}

static void long_atomic_write(void)
{
	changed_before(SEND_RING_ATOMIC_WRITE, "an ATOMIC_WRITE of a packet");
}

static void element_before(void)
{
	changed_before(SEND_RING_ELEMENT, "an element beyond the ring");
}

/* The answer to a READ is written to no element beyond the ring. */
static void element_after(void)
{
	struct wire_packet p = {
		.opcode = WIRE_READ_ONLY,
		.psn = SCRIPTED_SQ_PSN,
		.syndrome = WIRE_OK,
		.size = 100,
	};
	struct scripted s;

	scripted_open(&s);
	scripted_post(&s, IBV_WR_RDMA_READ, 0, 100, 1);
	expect(1, scripted_count(&s, WIRE_READ, 300), "a READ is sent");
	send_ring_change(mapped_ring(&s), 0, SEND_RING_ELEMENT);
	scripted_resume(&s);
	scripted_count(&s, WIRE_READ, 100);
	p.qpn = s.end.qp->qp_num;
	wire_send(&s.wire, &p);
	expect(1, scripted_completion(&s, 1000, NULL) > 0,
	       "it completes with an error");
}

/* A hold settles, and the queue pair goes, whatever its process has written. */
static void expect_end(struct scripted *s, const char *name)
{
	double start;

	expect(0, sl_hold(s->fd, SCRIPTED_TIMER, 2000), "%s: a hold settles",
	       name);
	scripted_resume(s);
	start = now_ms();
	expect(0, ibv_destroy_qp(s->end.qp), "%s: it is destroyed", name);
	expect(1, now_ms() - start < 5000, "%s: at once", name);
}

static void producer_in_error(void)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
	struct scripted s;
	void *ring;

	scripted_open(&s);
	ring = mapped_ring(&s);
	scripted_resume(&s);
	send_ring_producer(ring, ~0U, ~0U);
	if (ibv_modify_qp(s.end.qp, &attr, IBV_QP_STATE))
		err(1, "ERR");
	usleep(100000);
	expect_end(&s, "in error");
}

/* The peer is silent, so that the queue is drained never, and repeated. */
static void producer_in_drain(void)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_SQD };
	struct scripted s;
	void *ring;

	scripted_open_path(&s, (struct endpoint_path){
		.timeout = 14,
		.retry_cnt = 7,
	});
	ring = mapped_ring(&s);
	scripted_resume(&s);
	scripted_post(&s, IBV_WR_RDMA_WRITE, 0, 100, 1);
	expect(1, scripted_count(&s, WIRE_WRITE_ONLY, 30) > 0, "a WRITE is sent");
	if (ibv_modify_qp(s.end.qp, &attr, IBV_QP_STATE))
		err(1, "SQD");
	send_ring_producer(ring, ~0U, 0);
	/* some timeouts */
	usleep(300000);
	expect_end(&s, "in a drain");
}

const struct protocol_case protocol_process_cases[] = {
	{ "error without status", error_without_status },
	{ "READs above the depth", reads_above_depth },
	{ "unknown opcode in the ring", unknown_opcode },
	{ "kernel's opcode in the ring", kernel_opcode },
	{ "inline data beyond the ring", inline_beyond },
	{ "ATOMIC_WRITE of a packet", long_atomic_write },
	{ "element beyond the ring", element_before },
	{ "answer beyond the ring", element_after },
	{ "producer beyond the ring, in error", producer_in_error },
	{ "producer beyond the ring, in a drain", producer_in_drain },
	{ 0 },
};
