// SPDX-License-Identifier: GPL-2.0
/*
 * A queue pair for each rnr_retry and retry_cnt, all set up the same at both
 * ends. One end is held for HELD_MS, and each of its queue pairs chooses how to
 * put its peer off. A peer that retries long enough must see only a pause, and
 * one that gives up at once must fail: else nothing was shown.
 *
 * usage: retries NETNS DEVICE PEER_NETNS PEER_DEVICE TIMEOUT HELD_MS
 */
#include <err.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "method.h"
#include "pair.h"

#define COUNTS		8		/* values of rnr_retry and retry_cnt */
#define QPS		(COUNTS * COUNTS)
#define MAX_OBJECTS	256
#define BYTES		4096
#define BETWEEN_US	200000
#define LEAST_MS	100		/* between a budget and the hold */
#define RESUMED_MS	20000		/* for a request after it */

struct address {
	union ibv_gid gid;
	uint32_t qpn[QPS];
	uint32_t rkey;
	uint64_t va;
};

struct end {
	struct endpoint end;
	struct ibv_qp *qps[QPS];
	struct address local, remote;
	uint64_t mem[BYTES / sizeof(uint64_t)];
};

/* What became of a queue pair's requests. */
struct outcome {
	uint32_t status;	/* enum ibv_wc_status */
	uint32_t done;
	bool is_posted;
};

static void open_end(struct end *e, const char *device)
{
	static const struct ibv_qp_cap cap = {
		.max_send_wr = QPS,
		.max_recv_wr = 1,
		.max_send_sge = 1,
		.max_recv_sge = 1,
	};
	unsigned int i;

	endpoint_open(&e->end, device, IBV_QPT_RC, &cap, e->mem, BYTES, e);
	e->qps[0] = e->end.qp;
	for (i = 1; i < QPS; i++)
		e->qps[i] = endpoint_create_qp(&e->end, &cap);
	for (i = 0; i < QPS; i++)
		e->local.qpn[i] = e->qps[i]->qp_num;
	e->local.gid = e->end.gid;
	e->local.rkey = e->end.mr->rkey;
	e->local.va = (uintptr_t)e->mem;
}

static void connect_all(struct end *e, uint8_t timeout)
{
	unsigned int i;

	for (i = 0; i < QPS; i++) {
		e->end.qp = e->qps[i];
		endpoint_init(&e->end);
		endpoint_connect(&e->end, &(struct endpoint_path){
			.gid = e->remote.gid,
			.qpn = e->remote.qpn[i],
			.timeout = timeout,
			.rnr_retry = i % COUNTS,
			.retry_cnt = i / COUNTS,
			.min_rnr_timer = 1,
		});
	}
}

static void meet(struct end *e, int sock, char **argv, uint8_t timeout)
{
	char c;

	pair_enter(argv[0]);
	open_end(e, argv[1]);
	pair_exchange(sock, &e->local, &e->remote, sizeof(e->local));
	connect_all(e, timeout);
	pair_exchange(sock, "r", &c, 1);
}

static void post(struct end *e, unsigned int i)
{
	struct ibv_sge sge = {
		.addr = e->local.va,
		.length = sizeof(uint64_t),
		.lkey = e->end.mr->lkey,
	};
	struct ibv_send_wr *bad, wr = {
		.wr_id = i,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { e->remote.va + 8 * i, e->remote.rkey },
	};

	if (ibv_post_send(e->qps[i], &wr, &bad))
		err(1, "ibv_post_send");
}

/* Take completions, and post what may be posted. */
static void step(struct end *e, struct outcome *outcomes)
{
	struct outcome *o;
	struct ibv_wc wc;
	unsigned int i;

	while (ibv_poll_cq(e->end.cq, 1, &wc) > 0) {
		o = &outcomes[wc.wr_id];
		o->is_posted = false;
		o->done++;
		if (wc.status != IBV_WC_SUCCESS)
			o->status = wc.status;
	}
	for (i = 0; i < QPS; i++) {
		o = &outcomes[i];
		if (o->is_posted || o->status)
			continue;
		post(e, i);
		o->is_posted = true;
	}
	usleep(BETWEEN_US);
}

/* Has each queue pair failed, or done the request that was posted at @from? */
static bool all_resumed(const struct outcome *outcomes,
			const struct outcome *from)
{
	unsigned int i;

	for (i = 0; i < QPS; i++)
		if (!outcomes[i].status && outcomes[i].done == from[i].done)
			return false;
	return true;
}

static void be_peer(int sock, char **argv, uint8_t timeout)
{
	struct outcome outcomes[QPS] = { 0 }, from[QPS];
	struct pollfd told = { .fd = sock, .events = POLLIN };
	static struct end e;
	double end;
	char c;

	meet(&e, sock, argv, timeout);
	while (!poll(&told, 1, 0))
		step(&e, outcomes);
	if (read(sock, &c, 1) != 1)
		errx(1, "the held end is gone");
	memcpy(from, outcomes, sizeof(from));
	end = now_ms() + RESUMED_MS;
	while (!all_resumed(outcomes, from) && now_ms() < end)
		step(&e, outcomes);
	for (c = 0; c < QPS; c++)
		if (!outcomes[(int)c].status &&
		    outcomes[(int)c].done == from[(int)c].done)
			outcomes[(int)c].status = -1;
	if (write(sock, outcomes, sizeof(outcomes)) != sizeof(outcomes))
		err(1, "write");
}

static void read_all(int sock, void *to, size_t size)
{
	char *at = to;
	ssize_t n;

	for (; size; size -= n, at += n) {
		n = read(sock, at, size);
		if (n <= 0)
			errx(1, "the peer is gone");
	}
}

/* @choices: what LIST says of each queue pair */
static void list_choices(const struct end *e,
			 struct sealift_rxe_device_object *choices)
{
	static struct sealift_rxe_device_object objects[MAX_OBJECTS];
	struct sealift_rxe_list out;
	unsigned int i, n;

	if (sl_list(e->end.ctx->cmd_fd, objects, MAX_OBJECTS, &out))
		errx(1, "LIST");
	for (n = 0; n < QPS; n++)
		for (i = 0; i < out.count; i++)
			if (objects[i].kind == SEALIFT_RXE_KIND_QP &&
			    objects[i].number == e->local.qpn[n])
				choices[n] = objects[i];
}

static int judge(const struct sealift_rxe_device_object *choice,
		 const struct outcome *o, double held)
{
	const char *way = choice->silent ? "silence" : "RNR NAK";

	if (!choice->has_peer)
		errx(1, "LIST without a queue pair");
	if (o->status)
		printf("rnr_retry %u, retry_cnt %u (%s for %d ms): status %d\n",
		       choice->rnr_retry, choice->retry_cnt, way,
		       (int)choice->budget_ms, (int)o->status);
	if (!choice->rnr_retry && !choice->retry_cnt)
		return !o->status;
	/* a late answer is the end of such a peer, held or not */
	if (!choice->retry_cnt && o->status == IBV_WC_RETRY_EXC_ERR)
		return 0;
	return choice->budget_ms >= held + LEAST_MS && o->status;
}

static void be_held(int sock, char **argv, uint8_t timeout,
		    unsigned int held_ms)
{
	struct sealift_rxe_device_object choices[QPS] = { 0 };
	struct outcome outcomes[QPS];
	unsigned int i, wrong = 0, outlasted = 0;
	static struct end e;
	double start, held;
	int fd;

	meet(&e, sock, argv, timeout);
	fd = e.end.ctx->cmd_fd;
	usleep(500000);
	list_choices(&e, choices);
	start = now_ms();
	if (sl_hold_with(fd, 20, 10000, SEALIFT_RXE_HOLD_CHOOSE))
		errx(1, "HOLD");
	usleep(held_ms * 1000);
	if (sl_resume(fd))
		errx(1, "RESUME");
	held = now_ms() - start;
	if (write(sock, "d", 1) != 1)
		err(1, "write");
	read_all(sock, outcomes, sizeof(outcomes));

	for (i = 0; i < QPS; i++) {
		wrong += judge(&choices[i], &outcomes[i], held);
		outlasted += choices[i].budget_ms >= held + LEAST_MS;
	}
	printf("held for %.0f ms: %u of %u peers retry longer, %u wrong\n",
	       held, outlasted, QPS, wrong);
	if (wrong)
		errx(1, "%u peers", wrong);
}

int main(int argc, char **argv)
{
	uint8_t timeout;
	pid_t pid;
	int sock;

	if (argc < 7)
		errx(2, "usage: %s NETNS DEVICE PEER_NETNS PEER_DEVICE TIMEOUT HELD_MS",
		     argv[0]);
	timeout = atoi(argv[5]);
	pid = pair_fork(&sock);
	if (!pid) {
		be_peer(sock, argv + 3, timeout);
		return 0;
	}
	be_held(sock, argv + 1, timeout, atoi(argv[6]));
	pair_join(pid);
	return 0;
}
