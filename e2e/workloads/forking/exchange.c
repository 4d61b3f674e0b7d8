// SPDX-License-Identifier: Apache-2.0
#include "exchange.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static uint64_t word(enum content kind, unsigned int worker, uint64_t round, unsigned int i)
{
	uint64_t x = round * 0x9e3779b97f4a7c15u + ((uint64_t)worker << 32 | (uint64_t)kind << 24 | i);

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9u;
	return x ^ x >> 32;
}

void message_fill(struct message *m, enum content kind, unsigned int worker, uint64_t round)
{
	for (unsigned int i = 0; i < WORDS - 1; i++)
		m->words[i] = word(kind, worker, round, i);
}

bool message_is_right(const struct message *m, enum content kind, unsigned int worker,
		      uint64_t round)
{
	if (m->round != round) {
		fprintf(stderr, "exchange: worker %u: round %" PRIu64 " instead of %" PRIu64 "\n", worker,
			m->round, round);
		return false;
	}
	for (unsigned int i = 0; i < WORDS - 1; i++) {
		if (m->words[i] == word(kind, worker, round, i))
			continue;
		fprintf(stderr, "exchange: worker %u, round %" PRIu64 ": word %u is wrong\n", worker, round,
			i);
		return false;
	}
	return true;
}

int failed(const char *what, int err)
{
	fprintf(stderr, "exchange: %s: %s\n", what, strerror(-err));
	return err;
}

/* Takes the event that has woken us, and arms its CQ again. */
static int take_event(struct endpoint *e)
{
	struct ibv_cq *of;
	void *context;

	if (ibv_get_cq_event(e->channel, &of, &context))
		return errno == EAGAIN ? 0 : -errno;
	ibv_ack_cq_events(of, 1);
	return -ibv_req_notify_cq(of, 0);
}

int wait_completion(struct endpoint *e, struct ibv_cq *cq, const struct control *control, int ms,
		    struct ibv_wc *wc)
{
	struct pollfd p[] = {
		{ .fd = e->channel->fd, .events = POLLIN },
		{ .fd = control ? control->fd : -1, .events = POLLIN },
	};
	int ret = ibv_poll_cq(cq, 1, wc);

	if (!ret) {
		ret = poll(p, 2, ms);
		if (ret < 0)
			return errno == EINTR ? 0 : -errno;
		ret = p[0].revents ? take_event(e) : 0;
		if (ret)
			return ret;
		ret = ibv_poll_cq(cq, 1, wc);
	}
	if (ret < 0)
		return -EIO;
	if (ret && wc->status != IBV_WC_SUCCESS) {
		fprintf(stderr, "exchange: completion: %s\n", ibv_wc_status_str(wc->status));
		return -EIO;
	}
	return ret;
}
