// SPDX-License-Identifier: Apache-2.0
#include "side.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>

#define QUIET_NS (2 * SECOND) /* then look whether an event was lost */
#define BATCH 32

static void tell_failure(const struct ibv_wc *wc)
{
	struct timespec now;

	/* The time for whoever compares it with the nodes' logs. */
	clock_gettime(CLOCK_REALTIME, &now);
	fprintf(stderr, "ledger: completion of work %" PRIx64 " at %lld.%03ld: %s\n", wc->wr_id,
		(long long)now.tv_sec, now.tv_nsec / 1000000, ibv_wc_status_str(wc->status));
}

/*
 * What is flushed is a consequence: the completion that says why the queue pair failed may be in the other queue.
 */
static void tell_cause(struct run *r)
{
	struct ibv_cq *queues[] = { r->endpoint.send_cq, r->endpoint.receive_cq };
	struct ibv_wc wc;

	for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
		while (ibv_poll_cq(queues[i], 1, &wc) > 0) {
			if (wc.status == IBV_WC_SUCCESS || wc.status == IBV_WC_WR_FLUSH_ERR)
				continue;
			tell_failure(&wc);
			return;
		}
	}
}

/* Returns the number of completions taken, or -errno. */
static int reap(struct run *r, struct ibv_cq *cq, int (*take)(struct lane *, const struct ibv_wc *,
							      struct tally *))
{
	struct ibv_wc wc[BATCH];
	int n, total = 0, ret;

	do {
		n = ibv_poll_cq(cq, BATCH, wc);
		if (n < 0)
			return broke("poll CQ", -EIO);
		for (int i = 0; i < n; i++) {
			unsigned int lane = (unsigned int)(wc[i].wr_id >> 48);

			if (wc[i].status != IBV_WC_SUCCESS) {
				tell_failure(&wc[i]);
				if (wc[i].status == IBV_WC_WR_FLUSH_ERR)
					tell_cause(r);
				return -EIO;
			}
			if (lane >= r->s->lanes || wc[i].qp_num != r->lanes[lane].own.qpn) {
				r->tally.corrupted++;
				return broke("completion of an unknown lane", -EPROTO);
			}
			pulse_beat(&r->pulse, clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME),
				   &r->tally);
			ret = take(&r->lanes[lane], &wc[i], &r->tally);
			if (ret)
				return broke("take completion", ret);
		}
		total += n;
	} while (n == BATCH);
	return total;
}

int reap_all(struct run *r)
{
	int got = reap(r, r->endpoint.receive_cq, lane_received);
	int more = got < 0 ? got : reap(r, r->endpoint.send_cq, lane_sent);

	if (more < 0)
		return more;
	r->progress += (uint64_t)(got + more);
	return got + more;
}

/* Takes every waiting event and arms again. Returns 1 if there was one. */
static int take_events(struct run *r)
{
	struct ibv_cq *cq;
	void *context;
	int had = 0;

	while (!ibv_get_cq_event(r->endpoint.channel, &cq, &context)) {
		had = 1;
		ibv_ack_cq_events(cq, 1);
		if (ibv_req_notify_cq(cq, 0))
			return broke("arm CQ", -EIO);
	}
	return had;
}

int handle_completions(struct run *r, int64_t now)
{
	struct pollfd p;
	int ret;

	if (!r->endpoint.channel)
		return reap_all(r);
	ret = take_events(r);
	if (ret < 0)
		return ret;
	if (ret) {
		r->last_event = now;
		return reap_all(r);
	}
	if (now - r->last_event < QUIET_NS && now >= r->last_event)
		return 0;
	r->last_event = now;
	/* A completion without an event, and none comes: the event was lost. */
	p = (struct pollfd){ .fd = r->endpoint.channel->fd, .events = POLLIN };
	if (poll(&p, 1, 100))
		return 0;
	ret = reap_all(r);
	if (ret > 0) {
		if (take_events(r) == 0) {
			fprintf(stderr, "ledger: %d completions came without an event\n", ret);
			r->tally.lost++;
		}
	}
	return ret;
}
