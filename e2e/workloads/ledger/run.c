// SPDX-License-Identifier: Apache-2.0
#include "side.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_NS (50 * 1000000LL) /* an acknowledgement waits no longer */

static volatile sig_atomic_t asked_to_stop;

static void on_signal(int sig)
{
	(void)sig;
	asked_to_stop = 1;
}

int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

int broke(const char *what, int err)
{
	fprintf(stderr, "ledger: %s: %s\n", what, strerror(-err));
	return err;
}

/* What is due by the clock: rounds, acknowledgements, the heartbeat. */
static int handle_time(struct run *r, int64_t now)
{
	const struct settings *s = r->s;
	int64_t period = s->rate ? LANE_OPERATIONS * SECOND / s->rate : 0;
	int ret;

	/* After a move the clock may have jumped either way. */
	if (r->next_round > now + period || r->next_round < now - SECOND)
		r->next_round = now;
	r->blocked = true;
	for (unsigned int i = 0; r->phase == RUNNING && i < s->lanes && now >= r->next_round; i++) {
		struct lane *l = &r->lanes[r->turn++ % s->lanes];

		if (!lane_may_issue(l))
			continue;
		r->blocked = false;
		ret = lane_issue(l);
		if (ret)
			return broke("post", ret);
		r->issued += LANE_OPERATIONS;
		r->next_round += period;
	}
	if (now < r->next_round)
		r->blocked = false;
	if (now >= r->next_flush || r->next_flush > now + FLUSH_NS || r->phase == DRAINING) {
		r->next_flush = now + FLUSH_NS;
		for (unsigned int i = 0; r->phase <= CLOSING && i < s->lanes; i++) {
			ret = lane_acknowledge(&r->lanes[i]);
			if (ret)
				return broke("post acknowledgement", ret);
		}
	}
	if (r->phase <= DRAINING && (now >= r->next_beat || r->next_beat > now + SECOND)) {
		r->next_beat = now + SECOND;
		ret = control_send(&r->control, "beat %" PRIu64, r->beats_sent++);
		if (ret)
			return broke("send heartbeat", ret);
		printf("progress %" PRIu64 " operations, %" PRIu64 " lost, %" PRIu64
		       " duplicated, %" PRIu64 " corrupted, %" PRIu64 " reordered, longest pause %"
		       PRIu64 " ms\n", r->tally.operations, r->tally.lost, r->tally.duplicated,
		       r->tally.corrupted, r->tally.reordered,
		       r->tally.longest_pause_ns / 1000000);
	}
	return 0;
}

static int stalled(struct run *r, int64_t now)
{
	if (r->progress) {
		r->progress = 0;
		r->last_progress = now;
	}
	if (now < r->last_progress)
		r->last_progress = now;
	if (now - r->last_progress > r->s->stall_seconds * SECOND)
		return broke("nothing completes", -ETIMEDOUT);
	return 0;
}

static void wait_for_work(struct run *r, int64_t now)
{
	struct pollfd p[2] = { { .fd = r->control.fd, .events = POLLIN } };
	bool wait_flush = r->next_flush < r->next_round || r->blocked || r->phase != RUNNING;
	int64_t until = wait_flush ? r->next_flush : r->next_round;
	int64_t ms = (until - now + 999999) / 1000000;

	if (!r->endpoint.channel) {
		sched_yield();
		return;
	}
	if (ms < 1)
		ms = r->s->rate ? 1 : 0;
	if (ms > 50)
		ms = 50;
	p[1] = (struct pollfd){ .fd = r->endpoint.channel->fd, .events = POLLIN };
	poll(p, 2, (int)ms);
}

static int work(struct run *r)
{
	int64_t now;
	int ret;

	while (r->phase != DONE) {
		now = clock_ns(CLOCK_MONOTONIC);
		ret = handle_completions(r, now);
		if (ret >= 0)
			ret = handle_time(r, now);
		if (!ret)
			ret = handle_control(r);
		if (asked_to_stop)
			r->stop = true;
		if (!ret)
			ret = advance(r);
		if (!ret)
			ret = stalled(r, now);
		if (ret)
			return ret;
		if (r->phase != DONE)
			wait_for_work(r, now);
	}
	return 0;
}

int run(const struct settings *s)
{
	struct run r = { .s = s, .control.fd = -1 };
	struct sigaction sa = { .sa_handler = on_signal };
	int ret;

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	r.lanes = calloc(s->lanes, sizeof(*r.lanes));
	if (!r.lanes)
		return 3;
	ret = open_all(&r);
	if (!ret)
		ret = connect_all(&r);
	if (!ret) {
		r.last_progress = clock_ns(CLOCK_MONOTONIC);
		ret = work(&r);
	}
	if (ret) {
		fprintf(stderr, "ledger: this side so far: ");
		tally_print(stderr, &r.tally);
	} else {
		tally_print(stdout, &r.result);
	}
	for (unsigned int i = 0; i < s->lanes; i++)
		lane_close(&r.lanes[i]);
	endpoint_close(&r.endpoint);
	control_close(&r.control);
	free(r.lanes);
	return ret ? 3 : tally_clean(&r.result) ? 0 : 1;
}
