// SPDX-License-Identifier: GPL-2.0
/* Changes of a queue pair's state, around a hold and a restore. */
#include <err.h>
#include <errno.h>

#include "expect.h"
#include "protocol.h"
#include "scripted.h"
#include "victim.h"

/* enum ibv_event_type, all that concern a queue pair */
#define EVENTS	(1 << IBV_EVENT_QP_FATAL | 1 << IBV_EVENT_QP_REQ_ERR |	\
		 1 << IBV_EVENT_QP_ACCESS_ERR | 1 << IBV_EVENT_COMM_EST | \
		 1 << IBV_EVENT_SQ_DRAINED | 1 << IBV_EVENT_PATH_MIG |	\
		 1 << IBV_EVENT_PATH_MIG_ERR |				\
		 1 << IBV_EVENT_QP_LAST_WQE_REACHED)

/* In the middle of a long READ response the queue pair fails, or is reset. */
static void ends_in_read(enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };
	struct wire_packet p;
	struct scripted s;

	scripted_open(&s);
	p = scripted_request(&s, WIRE_READ, 0);
	p.length = SCRIPTED_BYTES;
	wire_send(&s.wire, &p);
	/* the region goes while the response is under way, or just after */
	if (ibv_modify_qp(s.end.qp, &attr, IBV_QP_STATE))
		err(1, "modify");
	expect(0, sl_hold(s.fd, SCRIPTED_TIMER, 1000),
	       "a hold settles, state %d", state);
	scripted_resume(&s);
}

static void error_in_read(void)
{
	int i;

	for (i = 0; i < 10; i++)
		ends_in_read(i % 2 ? IBV_QPS_ERR : IBV_QPS_RESET);
}

/* Take the image of a queue pair that was connected once, and is in RESET. */
static void take_in_reset(struct scripted *s, struct victim *v)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	scripted_open(s);
	if (ibv_modify_qp(s->end.qp, &attr, IBV_QP_STATE))
		err(1, "RESET");
	scripted_hold(s);
	victim_take(v, s->fd, s->end.qp->handle);
}

/* It moves twice. */
static void restored_twice_in_reset(void)
{
	struct scripted s;
	struct victim v;
	uint32_t handle;

	take_in_reset(&s, &v);
	expect(0, victim_restore(&v, &handle), "restored");
	victim_take(&v, s.fd, handle);
	expect(0, victim_restore(&v, &handle), "restored again");
}

/* The application would see the image's events twice. */
static void events_restored_once(void)
{
	struct sealift_rxe_qp_buffers b;
	struct scripted s;
	struct victim v;
	uint32_t handle;
	int events = 0;

	scripted_open_end(&s, IBV_QPT_RC);
	scripted_hold(&s);
	victim_take(&v, s.fd, s.end.qp->handle);
	v.qp.async_pending = EVENTS;
	b = victim_buffers(&v);
	/* as many have been read as make the count wrap to that of a new one */
	v.qp.async_reported = -__builtin_popcount(EVENTS);
	expect(0, victim_restore(&v, &handle), "an image with events");
	expect(-EINVAL, sl_restore_qp(s.fd, handle, &v.qp, &b),
	       "the same again, before they are read");
	while (scripted_event(&s, 300) >= 0)
		events++;
	expect(__builtin_popcount(EVENTS), events, "events");
	expect(-EINVAL, sl_restore_qp(s.fd, handle, &v.qp, &b),
	       "and after they were read");
}

/* An image in which the queue pair never left RESET can be restored as failed. */
static void reset_in_error(void)
{
	struct scripted s;
	struct victim v;
	uint32_t handle;

	take_in_reset(&s, &v);
	v.qp.flags = SEALIFT_RXE_QP_ERROR;
	expect(0, victim_restore(&v, &handle),
	       "a queue pair in RESET is restored with the error flag");
}

/* The verbs core has no alternate paths over Ethernet: none can be lost. */
static void alternate_path(void)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.alt_port_num = 1,
		.alt_ah_attr = { .is_global = 1, .port_num = 1 },
	};
	struct scripted s;

	scripted_open(&s);
	attr.alt_ah_attr.grh.dgid = s.end.gid;
	expect(1, ibv_modify_qp(s.end.qp, &attr, IBV_QP_STATE |
				IBV_QP_ALT_PATH) != 0,
	       "an alternate path is refused");
}

const struct protocol_case protocol_state_cases[] = {
	{ "error in a READ", error_in_read },
	{ "restored twice in RESET", restored_twice_in_reset },
	{ "events restored once", events_restored_once },
	{ "RESET in error", reset_in_error },
	{ "alternate path", alternate_path },
	{ 0 },
};
