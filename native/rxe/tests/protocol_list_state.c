// SPDX-License-Identifier: GPL-2.0
/* LIST: what it says before a hold of what DUMP says in it. */
#include <err.h>
#include <unistd.h>

#include "expect.h"
#include "listed.h"
#include "protocol.h"
#include "shared.h"

static const struct sealift_rxe_device_object *
find_in(const struct sealift_rxe_context *ctx, const struct listed *l,
	uint32_t kind, uint32_t handle)
{
	const struct sealift_rxe_device_object *o =
		listed_find_handle(l, kind, ctx->number, handle);

	if (!o)
		errx(1, "no object of kind %u", kind);
	return o;
}

static void expect_ring(const struct sealift_rxe_device_object *o,
			unsigned int nth, const struct sealift_rxe_ring *ring,
			const char *what)
{
	expect(1, o->ring_size[nth] == ring->mmap_size &&
	       o->ring_offset[nth] == ring->mmap_offset,
	       "%s is where its dump says", what);
}

static void rings_and_events(void)
{
	struct ibv_qp_attr error = { .qp_state = IBV_QPS_ERR };
	struct sealift_rxe_qp_buffers none = { 0 };
	const struct sealift_rxe_device_object *o;
	struct sealift_rxe_context ctx;
	struct sealift_rxe_cq cq;
	struct sealift_rxe_qp qp;
	struct scripted s;
	struct ibv_cq *quiet;
	struct listed l;

	scripted_open(&s);
	if (sl_context(s.fd, NULL, 0, &ctx))
		errx(1, "DUMP_CONTEXT");
	if (ibv_resize_cq(s.end.cq, 1000) || ibv_req_notify_cq(s.end.cq, 0))
		err(1, "completion queue");
	/* one without a channel, which no event can come from */
	quiet = ibv_create_cq(s.end.ctx, 16, NULL, NULL, 0);
	if (!quiet)
		err(1, "ibv_create_cq");
	listed_take(&l, s.fd);
	o = find_in(&ctx, &l, SEALIFT_RXE_KIND_CQ, s.end.cq->handle);
	expect(0, o->comp_pending, "completion events of an idle queue");

	scripted_post_recv(&s, 64);
	if (ibv_modify_qp(s.end.qp, &error, IBV_QP_STATE))
		err(1, "ERR");
	usleep(100000);
	listed_take(&l, s.fd);
	scripted_hold(&s);
	o = find_in(&ctx, &l, SEALIFT_RXE_KIND_CQ, s.end.cq->handle);
	expect(1, o->comp_pending, "completion events of a flushed request");
	expect(0, o->async_pending, "it is no asynchronous one");
	expect(0, sl_dump_cq(s.fd, s.end.cq->handle, NULL, 0, &cq), "DUMP_CQ");
	expect(cq.comp_pending, o->comp_pending, "as its dump says");
	expect_ring(o, SEALIFT_RXE_LIST_RING, &cq.ring, "a resized queue");
	expect(0, o->ring_size[SEALIFT_RXE_LIST_RECEIVE_RING], "it has one ring");
	o = find_in(&ctx, &l, SEALIFT_RXE_KIND_CQ, quiet->handle);
	expect(0, o->comp_pending, "completion events without a channel");
	o = find_in(&ctx, &l, SEALIFT_RXE_KIND_QP, s.end.qp->handle);
	expect(0, sl_dump_qp(s.fd, s.end.qp->handle, &none, &qp), "DUMP_QP");
	expect_ring(o, SEALIFT_RXE_LIST_RING, &qp.sq, "a send queue");
	expect(qp.async_pending, o->async_pending, "events as its dump says");
	expect(1, o->flags & SEALIFT_RXE_OBJECT_HAS_SOURCE &&
	       o->sgid_index == qp.attr.av.sgid_index, "and its source");
	if (qp.rq.size)
		expect_ring(o, SEALIFT_RXE_LIST_RECEIVE_RING, &qp.rq,
			    "a receive queue");
	scripted_resume(&s);
}

static void unread_limit(void)
{
	struct ibv_srq_attr limit = { .srq_limit = 2 };
	const struct sealift_rxe_device_object *o;
	struct sealift_rxe_context ctx;
	struct sealift_rxe_srq srq;
	struct scripted s;
	struct listed l;

	shared_open(&s);
	if (sl_context(s.fd, NULL, 0, &ctx))
		errx(1, "DUMP_CONTEXT");
	shared_post_some(&s, 0, 2);
	if (ibv_modify_srq(s.end.srq, &limit, IBV_SRQ_LIMIT))
		err(1, "ibv_modify_srq");
	listed_take(&l, s.fd);
	o = find_in(&ctx, &l, SEALIFT_RXE_KIND_SRQ, s.end.srq->handle);
	expect(0, o->async_pending, "a limit that is not reached is no event");
	shared_send(&s, s.end.qp, WIRE_SEND_ONLY, 0, 10);
	shared_completes(&s, s.end.qp, 0, IBV_WC_SUCCESS, "the limit is reached");
	listed_take(&l, s.fd);
	o = find_in(&ctx, &l, SEALIFT_RXE_KIND_SRQ, s.end.srq->handle);
	expect(1 << IBV_EVENT_SRQ_LIMIT_REACHED, o->async_pending, "an unread limit event");
	scripted_hold(&s);
	expect(0, sl_dump_srq(s.fd, s.end.srq->handle, NULL, 0, &srq), "DUMP_SRQ");
	expect(srq.async_pending, o->async_pending, "as its dump says");
	expect_ring(o, SEALIFT_RXE_LIST_RING, &srq.ring, "a shared receive queue");
	scripted_resume(&s);
	expect(IBV_EVENT_SRQ_LIMIT_REACHED, scripted_event(&s, 500), "it is still unread");
	listed_take(&l, s.fd);
	o = find_in(&ctx, &l, SEALIFT_RXE_KIND_SRQ, s.end.srq->handle);
	expect(0, o->async_pending, "and is not any more once it was read");
	endpoint_close(&s.end);
}

const struct protocol_case protocol_list_state_cases[] = {
	{ "list of rings and events", rings_and_events },
	{ "list of an unread event", unread_limit },
	{ 0 },
};
