// SPDX-License-Identifier: GPL-2.0
/*
 * Random programmes of verbs that a driver without Sealift's methods has too, and
 * what comes of them: completions in their order, data, events, what each call
 * returns. Two drivers that do the same write the same (stock.sh).
 * Nothing in it depends on time: each step waits for the one before it, and of
 * each step only the first request can fail.
 *
 * usage: transcript DEVICE_A DEVICE_B [NUMBER [SEED]]
 *   Programme n has the seed SEED + n - 1. Both devices are in this namespace.
 *   STOCK_FAULTS=1: also what the distribution's driver is known to do wrong.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "apart.h"
#include "clock.h"
#include "expect.h"
#include "random.h"
#include "transcript.h"

#define PROGRAM_SECONDS	120
#define STEPS		12
#define FIRST_PSN	0xfffff8
#define TRAFFIC_CLASS	8		/* stock.sh has routes for it */
#define WAIT_MS		20000
#define QUIET_MS	30
#define MOST		7		/* requests of a step */

struct side side[2];

static uint32_t sum(const void *at, size_t size)
{
	const uint8_t *bytes = at;
	uint32_t hash = 2166136261U;

	while (size--)
		hash = (hash ^ *bytes++) * 16777619U;
	return hash;
}

static void open_side(int n, const char *device)
{
	struct ibv_qp_cap cap = {
		.max_send_wr = DEPTH, .max_recv_wr = DEPTH,
		.max_send_sge = 3, .max_recv_sge = 3, .max_inline_data = INLINE,
	};
	struct side *s = &side[n];
	unsigned int i;

	s->mem = mmap(NULL, sizeof(*s->mem), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->mem == MAP_FAILED)
		err(1, "mmap");
	for (i = 0; i < SLOTS * SLOT; i++)
		(&s->mem->out[0][0])[i] = i * 7 + (i >> 8) + n * 101;
	endpoint_open(&s->e, device, IBV_QPT_RC, &cap, s->mem, sizeof(*s->mem), s);
	printf("caps %u %u %u\n", cap.max_send_wr, cap.max_recv_wr,
	       cap.max_inline_data);
}

static void connect_side(int n, uint8_t rnr_retry)
{
	struct endpoint_path path = {
		.gid = side[!n].e.gid,
		.qpn = side[!n].e.qp->qp_num,
		.sq_psn = FIRST_PSN,
		.rq_psn = FIRST_PSN,
		.timeout = 18,		/* 1.07 s */
		.retry_cnt = 3,
		.rnr_retry = rnr_retry,
		.min_rnr_timer = 1,	/* 10 us */
		.traffic_class = TRAFFIC_CLASS,
	};

	printf("end %d: init %d", n, endpoint_try_init(&side[n].e));
	printf(", connect %d\n", endpoint_try_connect(&side[n].e, &path));
}

static void say_completion(int n, const struct ibv_wc *wc)
{
	bool is_recv = wc->wr_id & RECV;

	printf("end %d: %s %llu: %s", n, is_recv ? "recv" : "send",
	       (unsigned long long)(wc->wr_id & ~RECV),
	       ibv_wc_status_str(wc->status));
	/* of a failed one, nothing else is defined */
	if (wc->status == IBV_WC_SUCCESS) {
		printf(", opcode %d, flags %#x", wc->opcode, wc->wc_flags);
		if (is_recv)
			printf(", %u bytes", wc->byte_len);
		if (wc->wc_flags & IBV_WC_WITH_IMM)
			printf(", immediate %u", ntohl(wc->imm_data));
	}
	printf(", queue pair %s\n", wc->qp_num == side[n].e.qp->qp_num ? "its" : "another");
}

/* What one step has completed. In which order the kinds and the ends come depends on time. */
struct taken {
	struct ibv_wc send[2 * DEPTH], recv[2 * DEPTH];
	unsigned int sends, recvs;
};

/* Return: how many requests of those that are awaited, or more */
static unsigned int take(int n, struct taken *t)
{
	unsigned int sends = t->sends;
	struct ibv_wc wc;

	while (ibv_poll_cq(side[n].e.cq, 1, &wc) > 0) {
		if (t->sends == 2 * DEPTH || t->recvs == 2 * DEPTH)
			errx(1, "more completions than requests");
		if (wc.wr_id & RECV)
			t->recv[t->recvs++] = wc;
		else
			t->send[t->sends++] = wc;
		side[n].broken |= wc.status != IBV_WC_SUCCESS;
	}
	return t->sends - sends;
}

static void take_events(int n)
{
	struct ibv_context *ctx = side[n].e.ctx;
	struct pollfd p = { .fd = ctx->async_fd, .events = POLLIN };
	struct ibv_async_event event;

	while (poll(&p, 1, 0) > 0 && !ibv_get_async_event(ctx, &event)) {
		printf("end %d: event %s\n", n,
		       ibv_event_type_str(event.event_type));
		ibv_ack_async_event(&event);
	}
}

static void say_state(int n)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	if (ibv_query_qp(side[n].e.qp, &attr, IBV_QP_STATE, &init))
		err(1, "ibv_query_qp");
	printf("end %d: state %d\n", n, attr.qp_state);
}

static void say_taken(int n, const struct taken *t)
{
	unsigned int i;

	for (i = 0; i < t->sends; i++)
		say_completion(n, &t->send[i]);
	for (i = 0; i < t->recvs; i++)
		say_completion(n, &t->recv[i]);
	take_events(n);
	say_state(n);
	printf("end %d: memory %08x\n", n, sum(side[n].mem, sizeof(*side[n].mem)));
}

/* Until what is awaited has completed, and nothing more comes. */
static void settle(void)
{
	double start = now_ms(), last = start;
	struct taken taken[2] = { 0 };
	unsigned int had, got;
	int n;

	while (now_ms() - last < QUIET_MS || side[0].awaited || side[1].awaited) {
		for (n = 0; n < 2; n++) {
			had = taken[n].recvs;
			got = take(n, &taken[n]);
			side[n].awaited -= got < side[n].awaited ? got : side[n].awaited;
			if (got || had != taken[n].recvs)
				last = now_ms();
		}
		if (now_ms() - start > WAIT_MS) {
			printf("does not end: %u and %u are awaited\n",
			       side[0].awaited, side[1].awaited);
			side[0].awaited = side[1].awaited = 0;
			break;
		}
		usleep(300);
	}
	say_taken(0, &taken[0]);
	say_taken(1, &taken[1]);
}

static void post_some(int n, enum defect first)
{
	static const enum ibv_wr_opcode opcodes[] = {
		IBV_WR_RDMA_WRITE, IBV_WR_RDMA_WRITE_WITH_IMM, IBV_WR_SEND,
		IBV_WR_SEND_WITH_IMM, IBV_WR_RDMA_READ,
		IBV_WR_ATOMIC_CMP_AND_SWP, IBV_WR_ATOMIC_FETCH_AND_ADD,
	};
	unsigned int count = 1 + any(first ? 3 : MOST);

	while (count--) {
		post_request(n, opcodes[any(ARRAY_SIZE(opcodes))], first, !count);
		first = NONE;
	}
}

static int to_state(int n, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state, .en_sqd_async_notify = 1 };
	int ret = ibv_modify_qp(side[n].e.qp, &attr, IBV_QP_STATE |
				(state == IBV_QPS_SQD ? IBV_QP_EN_SQD_ASYNC_NOTIFY : 0));

	printf("end %d: to state %d: %d\n", n, state, ret);
	return ret;
}

/* As an application does after an error. */
static void begin_again(uint8_t rnr_retry)
{
	int n;

	for (n = 0; n < 2; n++)
		to_state(n, IBV_QPS_RESET);
	for (n = 0; n < 2; n++) {
		side[n].broken = false;
		side[n].awaited = 0;
		connect_side(n, rnr_retry);
	}
}

static void drain(int n)
{
	/* the distribution's driver does not drain an empty queue that has wrapped (patch 0038) */
	if (side[n].sends + MOST > DEPTH && !getenv("STOCK_FAULTS"))
		return;
	post_some(n, NONE);
	settle();
	to_state(n, IBV_QPS_SQD);
	settle();
	to_state(n, IBV_QPS_RTS);
	settle();
}

static void step(uint8_t rnr_retry)
{
	int n = any(2);

	switch (any(10)) {
	case 0:
	case 1:
		post_some(n, any(DEFECTS));
		break;
	case 2:
		drain(n);
		break;
	case 3:
		to_state(n, IBV_QPS_ERR);
		side[n].broken = true;
		post_some(n, NONE);
		break;
	default:
		post_some(n, NONE);
		if (any(2))
			post_some(!n, NONE);
	}
	settle();
	if (side[0].broken || side[1].broken)
		begin_again(rnr_retry);
}

struct program {
	uint64_t seed;
	char **device;
};

static void run(const void *arg)
{
	const struct program *p = arg;
	uint8_t rnr_retry;
	unsigned int n;

	dup2(1, 2);
	random_seed(p->seed);
	rnr_retry = any(7);
	open_side(0, p->device[0]);
	open_side(1, p->device[1]);
	connect_side(0, rnr_retry);
	connect_side(1, rnr_retry);
	for (n = 3 + any(STEPS - 2); n; n--)
		step(rnr_retry);
	endpoint_close(&side[0].e);
	endpoint_close(&side[1].e);
}

int main(int argc, char **argv)
{
	unsigned long n, number = argc > 3 ? strtoul(argv[3], NULL, 0) : 60;
	uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 0) : 1;
	int status, failed = 0;

	if (argc < 3)
		errx(2, "usage: %s DEVICE_A DEVICE_B [NUMBER [SEED]]", argv[0]);
	for (n = 0; n < number; n++) {
		printf("programme %llu\n", (unsigned long long)(seed + n));
		status = apart(PROGRAM_SECONDS, run, &(struct program){ seed + n, argv + 1 });
		printf("programme %llu ends with status %#x\n",
		       (unsigned long long)(seed + n), status);
		failed |= status;
	}
	return !!failed;
}
