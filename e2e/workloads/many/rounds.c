// SPDX-License-Identifier: Apache-2.0
#include "rounds.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../forking/exchange.h"
#include "../ledger/clock.h"

static uint64_t now_ns(void)
{
	return (uint64_t)clock_ns(CLOCK_MONOTONIC);
}

/* The first fields of a region. */
struct words {
	uint64_t round;
	uint64_t check;
	uint64_t address;
	uint32_t rkey;
	uint32_t kind;
};

enum { ASKS = 1, ANSWERS, IS_THERE };

static uint64_t check_of(uint64_t round, uint32_t kind)
{
	uint64_t x = (round + 1) * 0x9e3779b97f4a7c15u ^ kind;

	return x ^ x >> 31;
}

static void fill(struct words *w, uint64_t round, uint32_t kind)
{
	memset(w, 0, sizeof(*w));
	w->round = round;
	w->kind = kind;
	w->check = check_of(round, kind);
}

static bool is_right(const struct words *w, uint64_t round, uint32_t kind)
{
	if (w->round == round && w->kind == kind && w->check == check_of(round, kind))
		return true;
	fprintf(stderr, "many: round %" PRIu64 ": found round %" PRIu64 ", kind %u\n", round, w->round,
		w->kind);
	return false;
}

struct turn {
	struct ibv_qp *qp;
	struct ibv_mr *mr;
	struct words *words;
	struct ibv_sge sge;
};

static struct turn turn_of(const struct objects *o, uint64_t round)
{
	const unsigned int region = (unsigned int)(round % o->numbers.regions);
	struct turn t = {
		.qp = o->qps[round % o->numbers.qps],
		.mr = o->regions[region],
		.words = objects_memory(o, region),
	};

	t.sge = (struct ibv_sge){ (uintptr_t)t.words, REGION_SIZE, t.mr->lkey };
	return t;
}

static int post_receive(struct turn *t)
{
	struct ibv_recv_wr *bad, wr = { .sg_list = &t->sge, .num_sge = 1 };

	return -ibv_post_recv(t->qp, &wr, &bad);
}

static int post_send(struct turn *t, enum ibv_wr_opcode opcode, uint64_t address, uint32_t rkey)
{
	struct ibv_send_wr *bad, wr = {
		.sg_list = &t->sge, .num_sge = 1, .opcode = opcode,
		.wr.rdma = { .remote_addr = address, .rkey = rkey },
	};

	return -ibv_post_send(t->qp, &wr, &bad);
}

static int note(struct objects *o, const struct ibv_wc *wc)
{
	if (wc->status != IBV_WC_SUCCESS) {
		fprintf(stderr, "many: completion: %s\n", ibv_wc_status_str(wc->status));
		return -EIO;
	}
	o->completed[wc->opcode == IBV_WC_RECV ? RECEIVED :
		     wc->opcode == IBV_WC_SEND ? SENT : HAS_READ] = wc->qp_num;
	return 1;
}

/* Takes a completion of the queue that has raised an event. Returns 1, 0 if there is none, else -errno. */
static int take_completion(struct objects *o)
{
	struct ibv_wc wc;
	void *context;
	int ret;

	for (;;) {
		ret = o->woken ? ibv_poll_cq(o->woken, 1, &wc) : 0;
		if (ret)
			return ret < 0 ? -EIO : note(o, &wc);
		o->woken = NULL;
		if (ibv_get_cq_event(o->channel, &o->woken, &context)) {
			o->woken = NULL;
			return errno == EAGAIN ? 0 : -errno;
		}
		ibv_ack_cq_events(o->woken, 1);
		if (ibv_req_notify_cq(o->woken, 0))
			return -EIO;
	}
}

/*
 * Waits until @qp has completed such a request. The request of the next round may come before this round's answer is acknowledged.
 * Returns 1, 0 when the peer has ended, else -errno.
 */
static int wait_for(struct objects *o, struct control *control, enum done what, struct ibv_qp *qp)
{
	struct pollfd p[] = { { .fd = o->channel->fd, .events = POLLIN },
			      { .fd = control->fd, .events = POLLIN } };
	char line[CONTROL_LINE];
	int ret;

	while (o->completed[what] != qp->qp_num) {
		ret = take_completion(o);
		if (ret > 0)
			continue;
		if (!ret)
			ret = poll(p, 2, STALL_S * 1000);
		if (!ret)
			return failed("nothing has completed", -ETIMEDOUT);
		if (ret < 0 && errno != EINTR)
			return -errno;
		if (ret > 0 && p[1].revents) {
			ret = control_receive(control, line, 0);
			if (ret)
				return ret > 0 ? 0 : ret;
		}
	}
	o->completed[what] = 0;
	return 1;
}

/* One round of the server's. Returns 1, 0 at the end, else -errno. */
static int answer(struct objects *o, struct control *control, uint64_t round, struct verdict *v)
{
	struct turn t = turn_of(o, round);
	int ret = wait_for(o, control, RECEIVED, t.qp);

	if (ret <= 0)
		return ret;
	v->wrong += !is_right(t.words, round, ASKS);
	fill(t.words, round, IS_THERE);
	t.words->address = (uintptr_t)t.words;
	t.words->rkey = t.mr->rkey;
	ret = post_send(&t, IBV_WR_SEND, 0, 0);
	return ret ? ret : wait_for(o, control, SENT, t.qp);
}

int rounds_serve(struct objects *o, struct control *control, struct verdict *v)
{
	struct turn t;
	int ret;

	/* the request of each queue pair's first round is awaited before the client may send */
	for (uint64_t i = 0; i < o->numbers.qps; i++) {
		t = turn_of(o, i);
		if (post_receive(&t))
			return failed("post a receive request", -EIO);
	}
	ret = control_send(control, "ready");
	if (ret)
		return failed("the control connection", ret);
	for (ret = 1; ret > 0;) {
		ret = answer(o, control, v->rounds, v);
		if (ret <= 0)
			break;
		t = turn_of(o, v->rounds + o->numbers.qps);
		v->rounds++;
		if (post_receive(&t))
			return failed("post a receive request", -EIO);
	}
	return ret;
}

/* One round of the client's. Returns 1, 0 when the server has ended, else -errno. */
static int ask(struct objects *o, struct control *control, uint64_t round, struct verdict *v)
{
	struct turn t = turn_of(o, round);
	struct words answer;
	int ret;

	fill(t.words, round, ASKS);
	ret = post_send(&t, IBV_WR_SEND, 0, 0);
	if (!ret)
		ret = wait_for(o, control, SENT, t.qp);
	/* the answer comes where the request was, which has arrived by now */
	if (ret == 1 && post_receive(&t))
		ret = -EIO;
	if (ret == 1)
		ret = wait_for(o, control, RECEIVED, t.qp);
	if (ret != 1)
		return ret;
	answer = *t.words;
	v->wrong += !is_right(&answer, round, IS_THERE);
	memset(t.words, 0, REGION_SIZE);
	ret = post_send(&t, IBV_WR_RDMA_READ, answer.address, answer.rkey);
	if (!ret)
		ret = wait_for(o, control, HAS_READ, t.qp);
	if (ret == 1)
		v->wrong += !is_right(t.words, round, IS_THERE);
	return ret;
}

int rounds_ask(struct objects *o, struct control *control, unsigned int rate,
	       unsigned int seconds, struct verdict *v)
{
	const uint64_t gap = 1000000000u / rate;
	const uint64_t end = now_ns() + seconds * 1000000000ull;
	uint64_t next = now_ns(), told = next;
	char line[CONTROL_LINE];
	int ret = control_receive(control, line, STALL_S * 1000);

	if (ret <= 0)
		return failed("the server is not ready", ret ? ret : -ETIMEDOUT);
	while (now_ns() < end) {
		const uint64_t now = now_ns();

		if (now < next) {
			const uint64_t left = next - now;
			struct timespec t = { (time_t)(left / 1000000000u), (long)(left % 1000000000u) };

			nanosleep(&t, NULL);
			continue;
		}
		next = now + gap;
		ret = ask(o, control, v->rounds, v);
		if (ret <= 0)
			return ret ? ret : failed("the server has ended", -EPIPE);
		v->rounds++;
		if (now - told < 1000000000u)
			continue;
		told = now;
		printf("progress %" PRIu64 "\n", v->rounds);
		fflush(stdout);
	}
	return control_send(control, "end");
}
