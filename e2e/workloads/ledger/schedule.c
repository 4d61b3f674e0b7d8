// SPDX-License-Identifier: Apache-2.0
#include "schedule.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>

#include "clock.h"
#include "failure.h"

#define FLUSH_NS (50 * 1000000LL) /* an acknowledgement waits no longer */

int handle_time(struct side *side, int64_t now)
{
	const struct settings *s = side->settings;
	const struct tally *t = &side->tally;
	int64_t period = s->rate ? STREAM_OPERATIONS * SECOND / s->rate : 0;
	int ret;

	/* After a move the clock may have jumped either way. */
	if (side->next_round > now + period || side->next_round < now - SECOND)
		side->next_round = now;
	side->blocked = true;
	for (unsigned int i = 0;
	     side->phase == RUNNING && i < s->streams && now >= side->next_round; i++) {
		struct stream *l = &side->streams[side->turn++ % s->streams];

		if (!stream_may_issue(l))
			continue;
		side->blocked = false;
		ret = stream_issue(l);
		if (ret)
			return broke("post", ret);
		side->issued += STREAM_OPERATIONS;
		side->next_round += period;
	}
	if (now < side->next_round)
		side->blocked = false;
	if (now >= side->next_flush || side->next_flush > now + FLUSH_NS ||
	    side->phase == DRAINING) {
		side->next_flush = now + FLUSH_NS;
		for (unsigned int i = 0; side->phase <= CLOSING && i < s->streams; i++) {
			ret = stream_acknowledge(&side->streams[i]);
			if (ret)
				return broke("post acknowledgement", ret);
		}
	}
	if (side->phase <= DRAINING && (now >= side->next_beat || side->next_beat > now + SECOND)) {
		side->next_beat = now + SECOND;
		ret = control_send(&side->control, "beat %" PRIu64, side->beats_sent++);
		if (ret)
			return broke("send heartbeat", ret);
		printf("progress %" PRIu64 " operations, %" PRIu64 " lost, %" PRIu64
		       " duplicated, %" PRIu64 " corrupted, %" PRIu64 " reordered, longest pause %"
		       PRIu64 " ms\n", t->operations, t->lost, t->duplicated, t->corrupted,
		       t->reordered, t->longest_pause_ns / 1000000);
	}
	return 0;
}

int check_progress(struct side *side, int64_t now)
{
	if (side->progress) {
		side->progress = 0;
		side->last_progress = now;
	}
	if (now < side->last_progress)
		side->last_progress = now;
	if (now - side->last_progress > side->settings->stall_seconds * SECOND)
		return broke("nothing completes", -ETIMEDOUT);
	return 0;
}

void wait_for_work(struct side *side, int64_t now)
{
	struct pollfd p[2] = { { .fd = side->control.fd, .events = POLLIN } };
	bool wait_flush = side->next_flush < side->next_round || side->blocked ||
			  side->phase != RUNNING;
	int64_t until = wait_flush ? side->next_flush : side->next_round;
	int64_t ms = (until - now + 999999) / 1000000;

	if (!side->endpoint.channel) {
		sched_yield();
		return;
	}
	if (ms < 1)
		ms = side->settings->rate ? 1 : 0;
	if (ms > 50)
		ms = 50;
	p[1] = (struct pollfd){ .fd = side->endpoint.channel->fd, .events = POLLIN };
	poll(p, 2, (int)ms);
}
