// SPDX-License-Identifier: Apache-2.0
#include "completions.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>

#include "clock.h"
#include "failure.h"

#define QUIET_NS (2 * SECOND) /* then look whether an event was lost */
#define BATCH 32

static void log_failure(const struct ibv_wc *wc)
{
	struct timespec now;

	/* With the time, to compare with the nodes' logs. */
	clock_gettime(CLOCK_REALTIME, &now);
	fprintf(stderr, "ledger: completion of work %" PRIx64 " at %lld.%03ld: %s\n", wc->wr_id,
		(long long)now.tv_sec, now.tv_nsec / 1000000, ibv_wc_status_str(wc->status));
}

/* A flushed completion is a consequence. The one with the cause may be in the other queue. */
static void log_cause(struct side *side)
{
	struct ibv_cq *queues[] = { side->endpoint.send_cq, side->endpoint.receive_cq };
	struct ibv_wc wc;

	for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
		while (ibv_poll_cq(queues[i], 1, &wc) > 0) {
			if (wc.status == IBV_WC_SUCCESS || wc.status == IBV_WC_WR_FLUSH_ERR)
				continue;
			log_failure(&wc);
			return;
		}
	}
}

typedef int (*take_fn)(struct stream *, struct stream *, const struct ibv_wc *, struct tally *);

static struct stream *stream_of(struct side *side, uint32_t qpn)
{
	for (unsigned int i = 0; i < side->settings->streams; i++)
		if (side->streams[i].own.qpn == qpn)
			return &side->streams[i];
	return NULL;
}


/* Returns the number of completions taken, or -errno. */
static int reap(struct side *side, struct ibv_cq *cq, take_fn take)
{
	struct ibv_wc wc[BATCH];
	int n, total = 0, ret;

	do {
		n = ibv_poll_cq(cq, BATCH, wc);
		if (n < 0)
			return broke("poll CQ", -EIO);
		for (int i = 0; i < n; i++) {
			unsigned int home = (unsigned int)(wc[i].wr_id >> 48);
			struct stream *stream = stream_of(side, wc[i].qp_num);
			bool shared = side->endpoint.srq && cq == side->endpoint.receive_cq;

			if (wc[i].status != IBV_WC_SUCCESS) {
				log_failure(&wc[i]);
				if (wc[i].status == IBV_WC_WR_FLUSH_ERR)
					log_cause(side);
				return -EIO;
			}
			if (!stream || home >= side->settings->streams ||
			    (!shared && stream != &side->streams[home])) {
				side->tally.corrupted++;
				return broke("completion of an unknown stream", -EPROTO);
			}
			pulse_beat(&side->pulse, clock_ns(CLOCK_MONOTONIC),
				   clock_ns(CLOCK_REALTIME), &side->tally);
			ret = take(stream, &side->streams[home], &wc[i], &side->tally);
			if (ret)
				return broke("take completion", ret);
		}
		total += n;
	} while (n == BATCH);
	return total;
}

int reap_all(struct side *side)
{
	int got = reap(side, side->endpoint.receive_cq, stream_received);
	int more = got < 0 ? got : reap(side, side->endpoint.send_cq, stream_sent);

	if (more < 0)
		return more;
	side->progress += (uint64_t)(got + more);
	return got + more;
}

/* Takes every waiting event and arms again. Returns 1 if there was one. */
static int take_events(struct side *side)
{
	struct ibv_cq *cq;
	void *context;
	int had = 0;

	while (!ibv_get_cq_event(side->endpoint.channel, &cq, &context)) {
		had = 1;
		ibv_ack_cq_events(cq, 1);
		if (ibv_req_notify_cq(cq, 0))
			return broke("arm CQ", -EIO);
	}
	return had;
}

int handle_completions(struct side *side, int64_t now)
{
	struct pollfd p;
	int ret;

	if (!side->endpoint.channel)
		return reap_all(side);
	ret = take_events(side);
	if (ret < 0)
		return ret;
	if (ret) {
		side->last_event = now;
		return reap_all(side);
	}
	if (now - side->last_event < QUIET_NS && now >= side->last_event)
		return 0;
	side->last_event = now;
	/* A completion is there and no event comes: the event was lost. */
	p = (struct pollfd){ .fd = side->endpoint.channel->fd, .events = POLLIN };
	if (poll(&p, 1, 100))
		return 0;
	ret = reap_all(side);
	if (ret > 0) {
		if (take_events(side) == 0) {
			fprintf(stderr, "ledger: %d completions came without an event\n", ret);
			side->tally.lost++;
		}
	}
	return ret;
}
