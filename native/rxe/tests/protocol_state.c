// SPDX-License-Identifier: GPL-2.0
/* Changes of a queue pair's state, around a hold and a restore. */
#include <err.h>

#include "expect.h"
#include "protocol.h"
#include "scripted.h"
#include "victim.h"

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
	{ "RESET in error", reset_in_error },
	{ "alternate path", alternate_path },
	{ 0 },
};
