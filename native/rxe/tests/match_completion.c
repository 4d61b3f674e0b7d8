// SPDX-License-Identifier: GPL-2.0
/* What completes in a match, in which order, and that nothing else does. */
#include <err.h>
#include <unistd.h>

#include "clock.h"
#include "match.h"

#define QUIET_MS	20	/* in which a second completion would come */

static void sent(struct match *m, int end, const struct ibv_wc *wc)
{
	struct match_end *own = &m->end[end];

	/* what has no completion is done before what follows it */
	while (own->completed < own->posted && own->op[own->completed].silent &&
	       !own->failed)
		own->completed++;
	if (wc->wr_id != own->completed || own->completed == own->posted)
		errx(1, "end %d: completion of operation %llu, not %u", end,
		     (unsigned long long)wc->wr_id, own->completed);
	own->completed++;
}

/* Messages come in the order of those operations of the peer that are some. */
static void came(struct match *m, int end, const struct ibv_wc *wc)
{
	struct match_end *own = &m->end[end], *peer = &m->end[!end];
	unsigned int nth, message = 0;

	for (nth = 0; nth < peer->posted; nth++)
		if (match_is_message(peer->op[nth].kind) &&
		    message++ == own->received)
			break;
	if (!own->failed && nth == peer->posted)
		errx(1, "end %d: message %u was never sent", end, own->received);
	if ((wc->wr_id & ~MATCH_RECV) != own->received)
		errx(1, "end %d: receive request %llu, not %u", end,
		     (unsigned long long)(wc->wr_id & ~MATCH_RECV),
		     own->received);
	if (!own->failed)
		match_op_received(m, !end, nth, wc);
	own->received++;
}

void match_take(struct match *m, int end, const struct ibv_wc *wc)
{
	struct match_end *own = &m->end[end];
	int want = own->failed ? IBV_WC_WR_FLUSH_ERR : IBV_WC_SUCCESS;

	if ((int)wc->status != want)
		errx(1, "end %d: a completion with status %s", end,
		     ibv_wc_status_str(wc->status));
	if (wc->qp_num != own->e.qp->qp_num)
		errx(1, "end %d: a completion of queue pair %u", end, wc->qp_num);
	if (wc->wr_id & MATCH_RECV)
		came(m, end, wc);
	else
		sent(m, end, wc);
}

static bool read_extended(struct match *m, int end)
{
	struct ibv_wc wc;

	if (!match_extended_read(&m->end[end], &wc))
		return false;
	match_take(m, end, &wc);
	match_extended_end(&m->end[end]);
	return true;
}

bool match_poll(struct match *m, int end)
{
	struct match_end *own = &m->end[end];
	struct ibv_wc wc;
	int n;

	if (own->cq)
		return read_extended(m, end);
	n = ibv_poll_cq(own->e.cq, 1, &wc);
	if (n < 0)
		errx(1, "ibv_poll_cq");
	if (n)
		match_take(m, end, &wc);
	return n;
}

static unsigned int messages(const struct match_end *own)
{
	unsigned int i, n = 0;

	for (i = 0; i < own->posted; i++)
		n += match_is_message(own->op[i].kind);
	return n;
}

/* What is flushed: of a shared receive queue nothing. */
static unsigned int flushed(const struct match_end *own)
{
	return own->e.srq ? 0 : own->recvs;
}

static bool all_done(const struct match *m, int end)
{
	const struct match_end *own = &m->end[end], *peer = &m->end[!end];
	unsigned int last = own->posted;

	while (last && own->op[last - 1].silent && !own->failed)
		last--;
	return own->completed >= last &&
	       own->received == (own->failed ? flushed(own) : messages(peer));
}

void match_wait(struct match *m)
{
	double deadline = now_ms() + MATCH_WAIT_MS;

	while (!all_done(m, 0) || !all_done(m, 1)) {
		if (match_poll(m, 0) | match_poll(m, 1))
			continue;
		if (now_ms() > deadline)
			errx(1, "no end: %u of %u operations completed, %u messages came (back: %u of %u, %u)",
			     m->end[0].completed, m->end[0].posted,
			     m->end[1].received, m->end[1].completed,
			     m->end[1].posted, m->end[0].received);
		usleep(200);
	}
}

void match_validate(struct match *m)
{
	unsigned int nth;
	int end;

	match_wait(m);
	usleep(QUIET_MS * 1000);
	for (end = 0; end < 2; end++) {
		if (match_poll(m, end))
			errx(1, "end %d: one completion too many", end);
		for (nth = 0; nth < m->end[end].posted; nth++)
			if (!m->end[end].failed)
				match_op_check(m, end, nth);
	}
	if (!m->moves)
		errx(1, "nothing has moved");
}
