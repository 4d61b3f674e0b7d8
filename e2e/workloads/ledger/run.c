// SPDX-License-Identifier: Apache-2.0
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND 1000000000LL
#define CONNECT_SECONDS 600
#define FLUSH_NS (50 * 1000000LL) /* an acknowledgement waits no longer */
#define QUIET_NS (2 * SECOND) /* then look whether an event was lost */
#define BATCH 32

enum phase { RUNNING, DRAINING, CLOSING, SUMMING, DONE };

struct run {
	const struct settings *s;
	struct endpoint endpoint;
	struct control control;
	struct lane *lanes;
	struct tally tally, result;
	struct pulse pulse;
	enum phase phase;
	bool peer_drained;
	bool summed;
	bool blocked; /* rounds are due, and every window is full */
	unsigned int peer_lanes; /* whose totals have come */
	uint64_t beats_sent, issued;
	struct book beats;
	int64_t next_round, next_beat, next_flush, last_progress, last_event;
	uint64_t progress;
	unsigned int turn;
	uint64_t events; /* not yet acknowledged to libibverbs */
};

static volatile sig_atomic_t asked_to_stop;

static void on_signal(int sig)
{
	(void)sig;
	asked_to_stop = 1;
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static int broke(const char *what, int err)
{
	fprintf(stderr, "ledger: %s: %s\n", what, strerror(-err));
	return err;
}

static int open_all(struct run *r)
{
	const struct settings *s = r->s;
	size_t size = lane_size(s->record_size);
	int ret;

	ret = endpoint_open(&r->endpoint, s->device, s->gid_index, s->events,
			    (int)s->lanes * LANE_SEND_DEPTH, size * s->lanes);
	if (ret)
		return ret;
	for (unsigned int i = 0; i < s->lanes; i++) {
		ret = lane_open(&r->lanes[i], &r->endpoint, (uint16_t)i, s->record_size,
				r->endpoint.arena + size * i);
		if (ret)
			return broke("open lane", ret);
		r->lanes[i].peer_index = (uint16_t)i;
		r->lanes[i].inject = s->inject;
	}
	return 0;
}

static int connect_all(struct run *r)
{
	const struct settings *s = r->s;
	unsigned int lanes;
	size_t size;
	char line[CONTROL_LINE];
	int ret;

	ret = s->server ? control_listen(&r->control, s->bind, s->port, CONNECT_SECONDS) :
			  control_connect(&r->control, s->peer, s->port, CONNECT_SECONDS);
	if (ret)
		return broke("connect", ret);
	ret = control_send(&r->control, "ledger 1 %u %zu", s->lanes, s->record_size);
	for (unsigned int i = 0; !ret && i < s->lanes; i++)
		ret = address_send(&r->control, i, &r->lanes[i].own);
	if (ret)
		return broke("send addresses", ret);
	ret = control_receive(&r->control, line, CONNECT_SECONDS * 1000);
	if (ret <= 0)
		return broke("greet", ret ? ret : -ETIMEDOUT);
	if (sscanf(line, "ledger 1 %u %zu", &lanes, &size) != 2 || lanes != s->lanes ||
	    size != s->record_size)
		return broke("both sides need the same --qps and --size", -EPROTO);
	for (unsigned int i = 0; i < s->lanes; i++) {
		ret = address_receive(&r->control, i, &r->lanes[i].peer);
		if (ret)
			return broke("receive addresses", ret);
		ret = lane_connect(&r->lanes[i], &s->retries);
		if (ret)
			return ret;
	}
	/* Nobody sends before both ends are ready to receive. */
	ret = control_send(&r->control, "ready");
	if (!ret)
		ret = control_receive(&r->control, line, 60000);
	if (ret <= 0 || strcmp(line, "ready"))
		return broke("wait for the peer's queue pairs", ret < 0 ? ret : -ETIMEDOUT);
	return 0;
}

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

static int reap_all(struct run *r)
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

static int handle_completions(struct run *r, int64_t now)
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

static bool all_drained(const struct run *r)
{
	for (unsigned int i = 0; i < r->s->lanes; i++)
		if (!lane_drained(&r->lanes[i]))
			return false;
	return true;
}

static bool all_complete(const struct run *r)
{
	for (unsigned int i = 0; i < r->s->lanes; i++)
		if (r->lanes[i].completed != r->lanes[i].posted)
			return false;
	return true;
}

static int send_totals(struct run *r)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < r->s->lanes; i++) {
		const struct lane *l = &r->lanes[i];

		ret = control_send(&r->control, "total %u %" PRIu64 " %" PRIu64 " %" PRIu64, i,
				   l->round, l->message, l->adds);
	}
	return ret;
}

static int send_sum(struct run *r)
{
	const struct tally *t = &r->tally;

	return control_send(&r->control,
			    "sum %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
			    " %" PRIu64,
			    t->operations, t->lost, t->duplicated, t->corrupted, t->reordered,
			    t->longest_pause_ns);
}

/* Closes the books, once both sides have told their totals, and tells the peer what was found. */
static int finish(struct run *r)
{
	int ret;

	if (r->phase != SUMMING || r->peer_lanes != r->s->lanes || r->summed)
		return 0;
	/* What the peer's totals speak of has been completed, so it is in our queues. */
	ret = reap_all(r);
	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < r->s->lanes; i++)
		lane_finish(&r->lanes[i], &r->tally);
	r->summed = true;
	ret = send_sum(r);
	return ret ? broke("send sum", ret) : 0;
}

static int take_total(struct run *r, const char *line)
{
	struct totals t;
	unsigned int lane;

	if (sscanf(line, "total %u %" SCNu64 " %" SCNu64 " %" SCNu64, &lane, &t.rounds,
		   &t.messages, &t.adds) != 4 || lane != r->peer_lanes || lane >= r->s->lanes)
		return broke("peer's totals", -EPROTO);
	r->lanes[lane].peer_totals = t;
	r->peer_lanes++;
	return finish(r);
}

static int take_sum(struct run *r, const char *line)
{
	struct tally t;

	if (sscanf(line, "sum %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
		   &t.operations, &t.lost, &t.duplicated, &t.corrupted, &t.reordered,
		   &t.longest_pause_ns) != 6 || !r->summed)
		return broke("peer's sum", -EPROTO);
	r->result = r->tally;
	tally_merge(&r->result, &t);
	r->phase = DONE;
	return 0;
}

static int take_line(struct run *r, const char *line)
{
	uint64_t beat;

	if (sscanf(line, "beat %" SCNu64, &beat) == 1) {
		book_see(&r->beats, beat, &r->tally);
		return 0;
	}
	if (!strcmp(line, "stop")) {
		asked_to_stop = 1;
		return 0;
	}
	if (!strcmp(line, "drained")) {
		r->peer_drained = true;
		return 0;
	}
	if (!strncmp(line, "total ", 6))
		return take_total(r, line);
	if (!strncmp(line, "sum ", 4))
		return take_sum(r, line);
	return broke(line, -EPROTO);
}

static int handle_control(struct run *r)
{
	char line[CONTROL_LINE];
	int ret;

	while (r->phase != DONE && (ret = control_receive(&r->control, line, 0)) != 0) {
		if (ret < 0)
			return broke("control connection", ret);
		ret = take_line(r, line);
		if (ret)
			return ret;
	}
	return 0;
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

/* Moves from one phase of the end to the next when its condition is met. */
static int advance(struct run *r)
{
	int ret = 0;

	if (r->phase == RUNNING &&
	    (asked_to_stop || (r->s->operations && r->issued >= r->s->operations))) {
		r->phase = DRAINING;
		ret = control_send(&r->control, "stop");
	} else if (r->phase == DRAINING && all_drained(r)) {
		/* The peer may still need acknowledgements: they are sent until it is drained. */
		r->phase = CLOSING;
		ret = control_send(&r->control, "drained");
	} else if (r->phase == CLOSING && r->peer_drained && all_complete(r)) {
		r->phase = SUMMING;
		ret = send_totals(r);
		if (!ret)
			return finish(r);
	}
	return ret ? broke("control connection", ret) : 0;
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
