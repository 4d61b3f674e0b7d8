// SPDX-License-Identifier: GPL-2.0
/*
 * Each situation is what the ends do up to the move, the move, and what they do
 * after it. Operations are the requester's, end 0.
 */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "clock.h"
#include "expect.h"
#include "matrix.h"

static void in_reset(struct match *m, struct match_op op)
{
	match_move(m);
	match_connect(m, IBV_QPS_RESET, IBV_QPS_RTS);
	match_posts(m, 2, op);
}

static void in_init(struct match *m, struct match_op op)
{
	match_move(m);
	match_connect(m, IBV_QPS_INIT, IBV_QPS_RTS);
	match_posts(m, 2, op);
}

static void in_rtr(struct match *m, struct match_op op)
{
	match_move(m);
	match_connect(m, IBV_QPS_RTR, IBV_QPS_RTS);
	match_posts(m, 2, op);
}

static void idle(struct match *m, struct match_op op)
{
	match_posts(m, 2, op);
	match_wait(m);
	match_move(m);
	match_posts(m, 2, op);
}

static void completions_unread(struct match *m, struct match_op op)
{
	match_posts(m, 3, op);
	usleep(EXECUTED_MS * 1000);
	match_move(m);
	match_posts(m, 2, op);
}

static void under_way(struct match *m, struct match_op op)
{
	match_posts(m, 5, op);
	match_move(m);
	match_posts(m, 2, op);
}

/* What is posted in a hold is in the queue, and not sent. */
static void queued(struct match *m, unsigned int n, struct match_op op)
{
	match_hold(m, 0);
	match_posts(m, n, op);
	match_move(m);
	match_resume(m, 0);
	match_wait(m);
	match_posts(m, 1, op);
}

static void queued_some(struct match *m, struct match_op op)
{
	queued(m, 2, op);
}

static void queued_full(struct match *m, struct match_op op)
{
	queued(m, MATCH_DEPTH, op);
}

static void queued_wrapped(struct match *m, struct match_op op)
{
	match_posts(m, 5, op);
	match_wait(m);
	queued(m, MATCH_DEPTH, op);
}

static void queued_inline(struct match *m, struct match_op op)
{
	op.flags |= IBV_SEND_INLINE;
	queued(m, 3, op);
}

static void queued_unsignalled(struct match *m, struct match_op op)
{
	match_hold(m, 0);
	op.silent = true;
	match_posts(m, 3, op);
	op.silent = false;
	match_posts(m, 1, op);
	match_move(m);
	match_resume(m, 0);
	match_wait(m);
	match_posts(m, 1, op);
}

/* It waits for the READ before it. */
static void queued_fenced(struct match *m, struct match_op op)
{
	match_hold(m, 0);
	match_posts(m, 1, (struct match_op){ .kind = MATCH_READ });
	op.flags |= IBV_SEND_FENCE;
	match_posts(m, 2, op);
	match_move(m);
	match_resume(m, 0);
}

static bool completion_event(const struct match *m, int end, int ms)
{
	const struct endpoint *e = &m->end[end].e;
	struct pollfd p = { .fd = e->channel->fd, .events = POLLIN };
	struct ibv_cq *cq;
	void *context;

	if (poll(&p, 1, ms) <= 0)
		return false;
	if (ibv_get_cq_event(e->channel, &cq, &context))
		err(1, "ibv_get_cq_event");
	ibv_ack_cq_events(cq, 1);
	return true;
}

/* The responder has asked for events of solicited messages only. */
static void queued_solicited(struct match *m, struct match_op op)
{
	match_posts(m, 1, op);
	match_wait(m);
	if (!completion_event(m, 1, EVENT_MS))
		errx(1, "no completion event");
	if (ibv_req_notify_cq(m->end[1].e.cq, 1))
		errx(1, "ibv_req_notify_cq");
	match_posts(m, 1, op);
	match_wait(m);
	match_hold(m, 0);
	match_posts(m, 1, op);
	op.flags |= IBV_SEND_SOLICITED;
	match_posts(m, 1, op);
	match_move(m);
	if (completion_event(m, 1, 0))
		errx(1, "a completion event before the solicited message");
	match_resume(m, 0);
	match_wait(m);
	if (!completion_event(m, 1, EVENT_MS))
		errx(1, "no event of the solicited message");
}

/* The responder has no receive request, and says so. */
static void no_receive(struct match *m, struct match_op op)
{
	match_posts(m, 2, op);
	usleep(EXECUTED_MS * 1000);
	match_move(m);
	m->no_receives = false;
	match_receives(m, 1);
	match_wait(m);
	match_posts(m, 1, op);
}

/* The responder's device is held already, as by the move of another pod of its. */
static void responder_held(struct match *m, struct match_op op)
{
	match_hold(m, 1);
	match_posts(m, 2, op);
	usleep(EXECUTED_MS * 1000);
	match_move(m);
	match_resume(m, 1);
	match_wait(m);
	match_posts(m, 1, op);
}

static void requests_lost(struct match *m, struct match_op op)
{
	match_silence(m, 1);
	match_posts(m, 3, op);
	usleep(MATCH_TIMEOUT_MS * 1200);
	match_move(m);
	match_hear(m);
	match_wait(m);
	match_posts(m, 1, op);
}

/* What is repeated waits for nothing that comes after it. */
static void fence_lost(struct match *m, struct match_op op)
{
	match_silence(m, 1);
	op.flags |= IBV_SEND_FENCE;
	match_posts(m, 1, op);
	op.flags = 0;
	match_posts(m, 1, (struct match_op){ .kind = MATCH_READ });
	match_posts(m, 1, op);
	usleep(MATCH_TIMEOUT_MS * 1200);
	match_move(m);
	match_hear(m);
	match_wait(m);
	match_posts(m, 1, op);
}

/* The responder has done what it was asked to, and is asked again. */
static void answers_lost(struct match *m, struct match_op op)
{
	match_silence(m, 0);
	match_posts(m, 3, op);
	usleep(EXECUTED_MS * 1000);
	match_move(m);
	match_hear(m);
	match_wait(m);
	match_posts(m, 1, op);
}

static void drained(struct match *m, struct match_op op)
{
	match_posts(m, 2, op);
	match_wait(m);
	match_state(m, 0, IBV_QPS_SQD);
	match_drained(m, 0);
	match_posts(m, 2, op);
	match_move(m);
	match_state(m, 0, IBV_QPS_RTS);
	match_wait(m);
	match_posts(m, 1, op);
}

/* The place after the last request has an old one in it. */
static void drained_wrapped(struct match *m, struct match_op op)
{
	match_posts(m, 5, op);
	match_wait(m);
	match_posts(m, 4, op);
	match_wait(m);
	drained(m, op);
}

static void draining(struct match *m, struct match_op op)
{
	match_silence(m, 1);
	match_posts(m, 3, op);
	usleep(EXECUTED_MS * 1000);
	match_state(m, 0, IBV_QPS_SQD);
	match_move(m);
	match_hear(m);
	match_drained(m, 0);
	match_state(m, 0, IBV_QPS_RTS);
	match_wait(m);
	match_posts(m, 1, op);
}

static void in_error(struct match *m, struct match_op op)
{
	match_state(m, 0, IBV_QPS_ERR);
	match_state(m, 1, IBV_QPS_ERR);
	match_posts(m, 3, op);
	usleep(EXECUTED_MS * 1000);
	match_move(m);
}

/* The process was stopped before it handed the request over. */
static void request_begun(struct match *m, struct match_op op)
{
	match_posts(m, 5, op);
	match_wait(m);
	match_begin(m, 0, op);
	match_move(m);
	match_extended_complete(m, 0);
	match_wait(m);
	match_posts(m, 1, op);
}

/* It was stopped while it read a completion. */
static void poll_begun(struct match *m, struct match_op op)
{
	double deadline = now_ms() + MATCH_WAIT_MS;
	struct ibv_wc wc;

	match_posts(m, 2, op);
	usleep(EXECUTED_MS * 1000);
	while (!match_extended_read(&m->end[0], &wc))
		if (now_ms() > deadline)
			errx(1, "no completion");
	match_take(m, 0, &wc);
	match_move(m);
	match_extended_end(&m->end[0]);
	match_wait(m);
	match_posts(m, 1, op);
}

const struct matrix_situation matrix_situations[] = {
	{ "RESET", IBV_QPS_RESET, MATRIX_ANY, in_reset },
	{ "INIT, receive requests posted", IBV_QPS_INIT, 0, in_init },
	{ "RTR", IBV_QPS_RTR, 0, in_rtr },
	{ "RTS, idle, queues empty", IBV_QPS_RTS, MATRIX_ANY, idle },
	{ "RTS, completions unread", IBV_QPS_RTS, MATRIX_ANY, completions_unread },
	{ "RTS, requests under way", IBV_QPS_RTS, MATRIX_RC | MATRIX_ANY, under_way },
	{ "RTS, send queue part full", IBV_QPS_RTS, 0, queued_some },
	{ "RTS, send queue full", IBV_QPS_RTS, MATRIX_ANY, queued_full },
	{ "RTS, send queue full and wrapped", IBV_QPS_RTS, MATRIX_ANY, queued_wrapped },
	{ "RTS, queued inline", IBV_QPS_RTS, MATRIX_INLINE | MATRIX_ANY, queued_inline },
	{ "RTS, queued unsignalled", IBV_QPS_RTS, MATRIX_ANY, queued_unsignalled },
	{ "RTS, queued behind a fence", IBV_QPS_RTS, MATRIX_RC | MATRIX_ANY, queued_fenced },
	{ "RTS, queued solicited", IBV_QPS_RTS, MATRIX_MESSAGE | MATRIX_ANY, queued_solicited },
	{ "RTS, RNR wait: no receive request", IBV_QPS_RTS,
	  MATRIX_RC | MATRIX_MESSAGE | MATRIX_NO_RECEIVES, no_receive },
	{ "RTS, RNR wait: responder held", IBV_QPS_RTS, MATRIX_RC, responder_held },
	{ "RTS, retry: requests lost", IBV_QPS_RTS, MATRIX_RC, requests_lost },
	{ "RTS, retry: a fence and a READ behind it lost", IBV_QPS_RTS, MATRIX_RC,
	  fence_lost },
	{ "RTS, duplicates after the move: answers lost", IBV_QPS_RTS, MATRIX_RC,
	  answers_lost },
	{ "RTS, the next request written, not posted", IBV_QPS_RTS,
	  MATRIX_EXTENDED, request_begun },
	{ "RTS, a completion half read", IBV_QPS_RTS, MATRIX_EXTENDED, poll_begun },
	{ "RTS, limit armed", IBV_QPS_RTS, MATRIX_SRQ, matrix_limit_armed },
	{ "RTS, event of the limit unread", IBV_QPS_RTS, MATRIX_SRQ,
	  matrix_limit_reached },
	{ "RTS, shared receive queue resized", IBV_QPS_RTS, MATRIX_SRQ,
	  matrix_srq_resized },
	{ "SQD, drained, requests queued", IBV_QPS_RTS, MATRIX_ANY, drained },
	{ "SQD, drained, send queue wrapped", IBV_QPS_RTS, MATRIX_ANY, drained_wrapped },
	{ "SQD, requests under way", IBV_QPS_RTS, MATRIX_RC, draining },
	{ "ERR, flushed requests unread", IBV_QPS_RTS, MATRIX_ANY, in_error },
};

const unsigned int matrix_num_situations = ARRAY_SIZE(matrix_situations);
