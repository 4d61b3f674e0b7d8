// SPDX-License-Identifier: GPL-2.0
/* Events of shared receive queues, and of the queue pairs that share them. */
#include <err.h>
#include <unistd.h>

#include "expect.h"
#include "protocol.h"
#include "shared.h"

static uint32_t limit_of(struct scripted *s)
{
	struct ibv_srq_attr attr;

	if (ibv_query_srq(s->end.srq, &attr))
		errx(1, "ibv_query_srq");
	return attr.srq_limit;
}

static void set_limit(struct scripted *s, uint32_t limit)
{
	struct ibv_srq_attr attr = { .srq_limit = limit };

	if (ibv_modify_srq(s->end.srq, &attr, IBV_SRQ_LIMIT))
		err(1, "ibv_modify_srq");
}

/* The event is the application's own queue's. */
static int event_of_srq(struct scripted *s, int ms)
{
	struct ibv_async_event ev;

	while (ms-- > 0) {
		if (ibv_get_async_event(s->end.ctx, &ev)) {
			usleep(1000);
			continue;
		}
		ibv_ack_async_event(&ev);
		return ev.event_type == IBV_EVENT_SRQ_LIMIT_REACHED &&
		       ev.element.srq == s->end.srq;
	}
	return -1;
}

static void limit_armed(void)
{
	struct scripted s;

	shared_open(&s);
	shared_post_some(&s, 0, 5);
	set_limit(&s, 3);
	shared_send(&s, s.end.qp, WIRE_SEND_ONLY, 0, 10);
	shared_completes(&s, s.end.qp, 0, IBV_WC_SUCCESS, "a limit: above it");
	shared_move(&s);
	expect(3, limit_of(&s), "a limit is kept");
	expect(-1, event_of_srq(&s, 100), "a move is no reason for a limit event");
	shared_send(&s, s.end.qp, WIRE_SEND_ONLY, 1, 10);
	shared_completes(&s, s.end.qp, 1, IBV_WC_SUCCESS, "a limit: at it");
	expect(-1, event_of_srq(&s, 100), "at the limit there is no event");
	shared_send(&s, s.end.qp, WIRE_SEND_ONLY, 2, 10);
	shared_completes(&s, s.end.qp, 2, IBV_WC_SUCCESS, "a limit: below it");
	expect(1, event_of_srq(&s, 1000), "below it there is one, of this queue");
	expect(0, limit_of(&s), "it is not asked for any more");
	shared_move(&s);
	expect(-1, event_of_srq(&s, 100), "an event that was read does not come again");
	shared_send(&s, s.end.qp, WIRE_SEND_ONLY, 3, 10);
	shared_completes(&s, s.end.qp, 3, IBV_WC_SUCCESS, "a limit: disarmed");
	expect(-1, event_of_srq(&s, 100), "nor does another");
	/* waits for as many acknowledged events as the kernel has counted */
	endpoint_close(&s.end);
}

static void limit_unread(void)
{
	struct scripted s;

	shared_open(&s);
	shared_post_some(&s, 0, 2);
	set_limit(&s, 2);
	shared_send(&s, s.end.qp, WIRE_SEND_ONLY, 0, 10);
	shared_completes(&s, s.end.qp, 0, IBV_WC_SUCCESS, "an unread limit event: it is raised");
	shared_move(&s);
	shared_move(&s);
	expect(0, limit_of(&s), "an unread limit event: nothing is armed");
	expect(1, event_of_srq(&s, 1000), "an unread limit event is read after the move");
	expect(-1, event_of_srq(&s, 100), "an unread limit event comes once");
	endpoint_close(&s.end);
}

static void to_error(struct scripted *s)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

	if (ibv_modify_qp(s->end.qp, &attr, IBV_QP_STATE))
		err(1, "ERR");
}

/* A packet, a hold and a move run the responder again. */
static void last_request(void)
{
	struct scripted s;

	shared_open(&s);
	shared_post_some(&s, 0, 2);
	shared_send(&s, s.end.qp, WIRE_SEND_FIRST, 0, WIRE_MTU);
	expect(1, scripted_count(&s, WIRE_ACK, 300), "the last request is taken");
	to_error(&s);
	shared_completes(&s, s.end.qp, 0, IBV_WC_WR_FLUSH_ERR, "the last request is flushed");
	expect(IBV_EVENT_QP_LAST_WQE_REACHED, scripted_event(&s, 500), "that it was the last is said");
	shared_send(&s, s.end.qp, WIRE_SEND_MIDDLE, 1, WIRE_MTU);
	expect(-1, scripted_event(&s, 200), "a packet does not say it again");
	scripted_hold(&s);
	scripted_resume(&s);
	expect(-1, scripted_event(&s, 200), "nor does a hold");
	shared_move(&s);
	expect(-1, scripted_event(&s, 200), "nor does a move");
	expect(-1, scripted_completion(&s, 50, NULL), "and nothing else is flushed");
	endpoint_close(&s.end);
}

static void last_request_unread(void)
{
	struct scripted s;

	shared_open(&s);
	shared_post_some(&s, 0, 2);
	to_error(&s);
	usleep(100000);
	shared_move(&s);
	expect(IBV_EVENT_QP_LAST_WQE_REACHED, scripted_event(&s, 500), "an unread last-request event is read after the move");
	expect(-1, scripted_event(&s, 200), "an unread last-request event comes once");
	endpoint_close(&s.end);
}

static void last_request_in_a_hold(void)
{
	struct scripted s;

	shared_open(&s);
	shared_post_some(&s, 0, 2);
	shared_send(&s, s.end.qp, WIRE_SEND_FIRST, 0, WIRE_MTU);
	usleep(100000);
	scripted_hold(&s);
	to_error(&s);
	expect(-1, scripted_event(&s, 200), "an error in a hold: nothing happens in it");
	shared_move_held(&s);
	expect(-1, scripted_event(&s, 200), "an error in a hold: nor at the restore");
	scripted_resume(&s);
	shared_completes(&s, s.end.qp, 0, IBV_WC_WR_FLUSH_ERR, "an error in a hold: flushed after it");
	expect(IBV_EVENT_QP_LAST_WQE_REACHED, scripted_event(&s, 500), "an error in a hold: the event comes after it");
	expect(-1, scripted_event(&s, 200), "an error in a hold: once");
	endpoint_close(&s.end);
}

const struct protocol_case protocol_srq_events_cases[] = {
	{ "shared: limit armed", limit_armed },
	{ "shared: limit event unread", limit_unread },
	{ "shared: last request", last_request },
	{ "shared: last request unread", last_request_unread },
	{ "shared: last request in a hold", last_request_in_a_hold },
	{ 0 },
};
