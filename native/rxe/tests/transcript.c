// SPDX-License-Identifier: GPL-2.0
/*
 * Random programmes of verbs that a driver without Sealift's methods has too, and
 * what comes of them: completions in their order, data, events, what each call
 * returns. Two drivers that do the same write the same (stock.sh).
 * Nothing in it depends on time: each step waits for the one before it, and of
 * each step only the first request can fail. A programme is of connections or of
 * datagrams, and receives from queues of its own or from shared ones.
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
#include <unistd.h>

#include "apart.h"
#include "expect.h"
#include "random.h"
#include "transcript.h"

#define PROGRAM_SECONDS	600
#define STEPS		12
/* looks, not time: on a machine with other work the driver has its turn between two of them, too */
#define LOOK_US		300
#define LOOKS		60000
#define QUIET_LOOKS	100

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
		if (is_recv && side[n].ah)
			printf(" of %s", wc->src_qp == side[!n].e.qp->qp_num ?
			       "the peer" : "somebody");
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

/* Return: whether there was one */
static bool take(int n, struct taken *t)
{
	struct side *s = &side[n];
	bool found = false;
	struct ibv_wc wc;

	for (; ibv_poll_cq(s->e.cq, 1, &wc) > 0; found = true) {
		if (t->sends == 2 * DEPTH || t->recvs == 2 * DEPTH)
			errx(1, "more completions than requests");
		if (wc.wr_id & RECV) {
			t->recv[t->recvs++] = wc;
			s->left--;
			s->awaited_recvs -= !!s->awaited_recvs;
		} else {
			t->send[t->sends++] = wc;
			s->awaited -= !!s->awaited;
		}
		s->broken |= wc.status != IBV_WC_SUCCESS;
	}
	return found;
}

/* The distribution's driver says it with every packet (patch 0030). */
static bool is_repeated(struct side *s, enum ibv_event_type type)
{
	bool ended = s->ended;

	if (type != IBV_EVENT_QP_LAST_WQE_REACHED)
		return false;
	s->ended = true;
	return ended && !getenv("STOCK_FAULTS");
}

static void take_events(int n)
{
	struct ibv_context *ctx = side[n].e.ctx;
	struct pollfd p = { .fd = ctx->async_fd, .events = POLLIN };
	struct ibv_async_event event;

	while (poll(&p, 1, 0) > 0 && !ibv_get_async_event(ctx, &event)) {
		if (!is_repeated(&side[n], event.event_type))
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
	printf("end %d: memory %08x\n", n, sum_of_memory(n));
}

static unsigned int awaits(int n)
{
	return side[n].awaited + side[n].awaited_recvs;
}

/* Until what is awaited has completed, and nothing more comes. */
static void settle(void)
{
	struct taken taken[2] = { 0 };
	unsigned int look, quiet = 0;
	int n;

	for (look = 0; quiet < QUIET_LOOKS || awaits(0) || awaits(1); look++) {
		quiet++;
		for (n = 0; n < 2; n++)
			if (take(n, &taken[n]))
				quiet = 0;
		if (look == LOOKS) {
			printf("does not end: %u and %u are awaited\n",
			       awaits(0), awaits(1));
			for (n = 0; n < 2; n++)
				side[n].awaited = side[n].awaited_recvs = 0;
			break;
		}
		usleep(LOOK_US);
	}
	say_taken(0, &taken[0]);
	say_taken(1, &taken[1]);
}

static void post_some(int n, enum defect first)
{
	/* the first two are all that datagrams have */
	static const enum ibv_wr_opcode opcodes[] = {
		IBV_WR_SEND, IBV_WR_SEND_WITH_IMM, IBV_WR_RDMA_WRITE,
		IBV_WR_RDMA_WRITE_WITH_IMM, IBV_WR_RDMA_READ,
		IBV_WR_ATOMIC_CMP_AND_SWP, IBV_WR_ATOMIC_FETCH_AND_ADD,
	};
	unsigned int kinds = side[n].ah ? 2 : ARRAY_SIZE(opcodes);
	unsigned int count = 1 + any(first ? 3 : MOST);

	/* no datagram waits for a receive request: that of the next one might come in time */
	if (side[n].ah && (first == NO_RECEIVE || first == SHORT_RECEIVE))
		count = 1;
	while (count--) {
		post_request(n, opcodes[any(kinds)], first, !count);
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
		side[n].ended = false;
		side[n].awaited = 0;
		side[n].awaited_recvs = 0;
		/* a reset empties a receive queue, but no shared one */
		if (!side[n].e.srq)
			side[n].left = 0;
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

	switch (any(11)) {
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
	case 4:
		change_shared(n);
		post_some(!n, NONE);
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
	open_sides(p->device, any(3) ? IBV_QPT_RC : IBV_QPT_UD, any(2));
	connect_side(0, rnr_retry);
	connect_side(1, rnr_retry);
	for (n = 3 + any(STEPS - 2); n; n--)
		step(rnr_retry);
	close_sides();
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
