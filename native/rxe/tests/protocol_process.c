// SPDX-License-Identifier: GPL-2.0
/* A process that writes to what the driver shares with it. */
#include <err.h>

#include "expect.h"
#include "protocol.h"
#include "ring_map.h"
#include "scripted.h"
#include "send_ring.h"

/* The send ring as the process has it mapped. */
static void *mapped_ring(struct scripted *s)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_qp qp;

	scripted_hold(s);
	if (sl_dump_qp(s->fd, s->end.qp->handle, &none, &qp))
		errx(1, "DUMP_QP");
	scripted_resume(s);
	return ring_map(qp.sq.mmap_offset);
}

/* A request that says error and success is no warning of the kernel, and no success. */
static void error_without_status(void)
{
	struct scripted s;

	scripted_open(&s);
	scripted_post(&s, IBV_WR_RDMA_WRITE, 0, 100, 1);
	expect(1, scripted_count(&s, WIRE_WRITE_ONLY, 300), "a WRITE is sent");
	send_ring_set_error(mapped_ring(&s), 0);
	scripted_answer(&s, WIRE_OK, 0);
	expect(IBV_WC_GENERAL_ERR, scripted_completion(&s, 1000, NULL),
	       "it completes with an error");
}

/* A request that claims to be a READ gives back no more than was taken. */
static void reads_above_depth(void)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_qp qp;
	struct scripted s;

	scripted_open(&s);
	scripted_post(&s, IBV_WR_RDMA_WRITE, 0, 100, 1);
	expect(1, scripted_count(&s, WIRE_WRITE_ONLY, 300), "a WRITE is sent");
	send_ring_set_read(mapped_ring(&s), 0);
	scripted_answer(&s, WIRE_OK, 0);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 1000, NULL),
	       "it completes");
	scripted_hold(&s);
	if (sl_dump_qp(s.fd, s.end.qp->handle, &none, &qp))
		errx(1, "DUMP_QP");
	expect(qp.attr.max_rd_atomic, qp.req.rd_atomic,
	       "READs that may be sent");
}

const struct protocol_case protocol_process_cases[] = {
	{ "error without status", error_without_status },
	{ "READs above the depth", reads_above_depth },
	{ 0 },
};
