// SPDX-License-Identifier: GPL-2.0
/* Situations of a shared receive queue: the responder's. */
#include <err.h>
#include <poll.h>
#include <unistd.h>

#include "matrix.h"

static void set_limit(const struct match *m, uint32_t limit)
{
	struct ibv_srq_attr attr = { .srq_limit = limit };

	if (ibv_modify_srq(m->end[1].e.srq, &attr, IBV_SRQ_LIMIT))
		err(1, "ibv_modify_srq");
}

/* @ms: that it may take. Exits if another event comes. */
static bool limit_event(const struct match *m, int ms)
{
	struct ibv_context *ctx = m->end[1].e.ctx;
	struct pollfd p = { .fd = ctx->async_fd, .events = POLLIN };
	struct ibv_async_event event;

	if (poll(&p, 1, ms) <= 0)
		return false;
	if (ibv_get_async_event(ctx, &event))
		err(1, "ibv_get_async_event");
	ibv_ack_async_event(&event);
	if (event.event_type != IBV_EVENT_SRQ_LIMIT_REACHED ||
	    event.element.srq != m->end[1].e.srq)
		errx(1, "event %s", ibv_event_type_str(event.event_type));
	return true;
}

/* The queue has all of its requests but two then. */
void matrix_limit_armed(struct match *m, struct match_op op)
{
	match_posts(m, 2, op);
	match_wait(m);
	set_limit(m, MATCH_OPS - 3);
	match_move(m);
	match_posts(m, 1, op);
	match_wait(m);
	if (limit_event(m, 0))
		errx(1, "an event above the limit");
	match_posts(m, 1, op);
	match_wait(m);
	if (!limit_event(m, EVENT_MS) || limit_event(m, EXECUTED_MS))
		errx(1, "the limit's event does not come, or not once");
}

void matrix_limit_reached(struct match *m, struct match_op op)
{
	set_limit(m, MATCH_OPS - 1);
	match_posts(m, 2, op);
	match_wait(m);
	usleep(EXECUTED_MS * 1000);
	match_move(m);
	if (!limit_event(m, 0) || limit_event(m, EXECUTED_MS))
		errx(1, "the unread event of the limit is lost, or not alone");
	match_posts(m, 1, op);
}

/* Resized while some of its requests are taken. */
void matrix_srq_resized(struct match *m, struct match_op op)
{
	struct ibv_srq_attr attr = { .max_wr = 4 * MATCH_OPS };

	match_posts(m, 3, op);
	match_wait(m);
	if (ibv_modify_srq(m->end[1].e.srq, &attr, IBV_SRQ_MAX_WR))
		err(1, "ibv_modify_srq");
	match_hold(m, 0);
	match_posts(m, 2, op);
	match_move(m);
	match_resume(m, 0);
	match_wait(m);
	match_posts(m, 3, op);
	match_wait(m);
	if (ibv_query_srq(m->end[1].e.srq, &attr) || attr.max_wr < 4 * MATCH_OPS)
		errx(1, "the queue has room for %u requests", attr.max_wr);
}
