// SPDX-License-Identifier: GPL-2.0
/*
 * Two processes with a context or two each, and in them objects of each kind in
 * several states, with gaps between their handles. On SIGUSR1 each looks whether
 * all is as it was, and takes everything apart, which the kernel and libibverbs
 * only do if handles and event counters are right.
 *
 * usage: many DEVICE DIR NAME
 * Writes DIR/NAME.pid, then on SIGUSR1 to the first process DIR/NAME.fine.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#define PDS 3
#define CQS 3
#define SRQS 3
#define AHS 3
#define QPS 5
#define MRS 4
#define PAGE 4096
#define QKEY 0x1ee7
#define GRH 40

struct bundle {
	struct ibv_context *ctx;
	struct ibv_comp_channel *channels[2];
	struct ibv_pd *pds[PDS];
	struct ibv_cq *cqs[CQS];
	struct ibv_srq *srqs[SRQS];
	struct ibv_ah *ahs[AHS];
	struct ibv_qp *qps[QPS], *datagrams;
	struct ibv_mr *mrs[MRS];
	uint8_t *memory;
	uint32_t qpns[QPS], keys[MRS];
};

static const enum ibv_qp_state states[QPS] = {
	IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_ERR, IBV_QPS_INIT, IBV_QPS_RESET,
};

#define MUST(condition) do { if (!(condition)) err(1, "%s, line %d", #condition, __LINE__); } while (0)

static struct ibv_context *open_device(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);

	for (struct ibv_device **d = list; d && *d; d++)
		if (!strcmp(ibv_get_device_name(*d), name))
			return ibv_open_device(*d);
	return NULL;
}

static void go_to(struct ibv_qp *qp, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT, .port_num = 1,
				    .qp_access_flags = IBV_ACCESS_REMOTE_READ };

	if (state == IBV_QPS_RESET)
		return;
	MUST(!ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				       IBV_QP_ACCESS_FLAGS));
	attr.qp_state = state;
	if (state != IBV_QPS_INIT)
		MUST(!ibv_modify_qp(qp, &attr, IBV_QP_STATE));
}

static void post_to(struct ibv_srq *srq, uint64_t id)
{
	struct ibv_recv_wr *bad, wr = { .wr_id = id };

	MUST(!ibv_post_srq_recv(srq, &wr, &bad));
}

/* One alone with a limit, one that was resized, one that a queue pair shares. */
static void make_srqs(struct bundle *b)
{
	struct ibv_srq_attr limit = { .srq_limit = 2 }, size = { .max_wr = 300 };

	for (int i = 0; i < SRQS; i++) {
		struct ibv_srq_init_attr init = { .srq_context = b, .attr = { 20 << i, 1 + i, 0 } };

		b->srqs[i] = ibv_create_srq(b->pds[i], &init);
		MUST(b->srqs[i]);
		for (int n = 0; n < 3 + i; n++)
			post_to(b->srqs[i], n);
	}
	MUST(!ibv_modify_srq(b->srqs[0], &limit, IBV_SRQ_LIMIT));
	MUST(!ibv_modify_srq(b->srqs[1], &size, IBV_SRQ_MAX_WR));
}

static void look_at_srqs(struct bundle *b)
{
	struct ibv_srq_attr attr;

	MUST(!ibv_query_srq(b->srqs[0], &attr) && attr.srq_limit == 2 && attr.max_wr == 31);
	MUST(!ibv_query_srq(b->srqs[1], &attr) && attr.srq_limit == 0 && attr.max_wr == 511);
	MUST(!ibv_query_srq(b->srqs[2], &attr) && attr.max_sge == 3 && attr.max_wr == 127);
	/* 31 places, 3 of them taken since before the dump */
	for (int n = 0; n < 28; n++)
		post_to(b->srqs[0], n);
	MUST(ibv_post_srq_recv(b->srqs[0], &(struct ibv_recv_wr){ 0 }, &(struct ibv_recv_wr *){ 0 }));
}

static void make_qp(struct bundle *b, int i)
{
	struct ibv_qp_init_attr init = {
		.send_cq = b->cqs[i % CQS],
		.recv_cq = b->cqs[(i + 1) % CQS],
		.srq = i == 4 ? b->srqs[2] : NULL,
		.cap = { .max_send_wr = 10 << i, .max_recv_wr = 100 >> i, .max_send_sge = 1 + i,
			 .max_recv_sge = 1, .max_inline_data = 32 * i },
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = i & 1,
	};

	b->qps[i] = ibv_create_qp(b->pds[i % 2 ? 2 : 0], &init);
	MUST(b->qps[i]);
	go_to(b->qps[i], states[i]);
	b->qpns[i] = b->qps[i]->qp_num;
}

/* Handles to this device itself, and a UD queue pair that uses one. */
static void make_datagrams(struct bundle *b)
{
	struct ibv_ah_attr to = { .is_global = 1, .port_num = 1, .grh.hop_limit = 1 };
	struct ibv_qp_init_attr init = {
		.send_cq = b->cqs[2],
		.recv_cq = b->cqs[2],
		.cap = { .max_send_wr = 4, .max_recv_wr = 4, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_UD,
	};
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT, .port_num = 1, .qkey = QKEY };

	while (ibv_query_gid(b->ctx, 1, to.grh.sgid_index, &to.grh.dgid) ||
	       to.grh.dgid.raw[10] != 0xff)
		MUST(to.grh.sgid_index++ < 16);
	for (int i = 0; i < AHS; i++)
		MUST((b->ahs[i] = ibv_create_ah(b->pds[2], &to)));
	MUST(!ibv_destroy_ah(b->ahs[0]));
	b->datagrams = ibv_create_qp(b->pds[2], &init);
	MUST(b->datagrams);
	MUST(!ibv_modify_qp(b->datagrams, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
						 IBV_QP_QKEY));
	attr.qp_state = IBV_QPS_RTR;
	MUST(!ibv_modify_qp(b->datagrams, &attr, IBV_QP_STATE));
	attr.qp_state = IBV_QPS_RTS;
	MUST(!ibv_modify_qp(b->datagrams, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN));
}

/* A datagram to itself, with the handle and the Q_Key from before. */
static void send_datagram(struct bundle *b)
{
	struct ibv_mr *mr = ibv_reg_mr(b->pds[2], b->memory + 8 * PAGE, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE);
	struct ibv_sge out = { (uintptr_t)b->memory + 8 * PAGE, 100, mr ? mr->lkey : 0 };
	struct ibv_sge in = { (uintptr_t)b->memory + 9 * PAGE, PAGE, out.lkey };
	struct ibv_recv_wr *bad_recv, recv = { .wr_id = 1, .sg_list = &in, .num_sge = 1 };
	struct ibv_send_wr *bad, wr = {
		.wr_id = 2, .sg_list = &out, .num_sge = 1, .opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.ud = { b->ahs[2], b->datagrams->qp_num, QKEY },
	};
	struct ibv_wc wc;

	MUST(mr);
	memset(b->memory + 8 * PAGE, 0x5a, 100);
	MUST(!ibv_post_recv(b->datagrams, &recv, &bad_recv) && !ibv_post_send(b->datagrams, &wr, &bad));
	for (int done = 0, tries = 0; done < 2; tries++) {
		int n = ibv_poll_cq(b->cqs[2], 1, &wc);

		MUST(n >= 0 && tries < 3000);
		MUST(!n || wc.status == IBV_WC_SUCCESS);
		done += n;
		usleep(1000);
	}
	MUST(b->memory[9 * PAGE + GRH] == 0x5a && b->memory[9 * PAGE + GRH + 99] == 0x5a);
	MUST(!ibv_dereg_mr(mr));
}

static void make(struct bundle *b, const char *device)
{
	struct ibv_pd *gap;

	b->ctx = open_device(device);
	MUST(b->ctx);
	b->memory = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(b->memory != MAP_FAILED);
	for (int i = 0; i < 2; i++)
		MUST((b->channels[i] = ibv_create_comp_channel(b->ctx)));
	gap = ibv_alloc_pd(b->ctx);
	for (int i = 0; i < PDS; i++)
		MUST((b->pds[i] = ibv_alloc_pd(b->ctx)));
	for (int i = 0; i < CQS; i++)
		MUST((b->cqs[i] = ibv_create_cq(b->ctx, 10, b, i < 2 ? b->channels[i] : NULL, 0)));
	MUST(!ibv_resize_cq(b->cqs[1], 300));
	MUST(!ibv_req_notify_cq(b->cqs[0], 1));
	make_srqs(b);
	for (int i = 0; i < QPS; i++)
		make_qp(b, i);
	make_datagrams(b);
	for (int i = 0; i < MRS; i++) {
		b->mrs[i] = ibv_reg_mr(b->pds[i % PDS], b->memory + i * PAGE + 8 * i, PAGE * (1 + i),
				       i % 2 ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE : 0);
		MUST(b->mrs[i]);
	}
	/* Gaps: the first handle, one in the middle, and a number that will not be given again soon. */
	MUST(gap && !ibv_dealloc_pd(gap));
	MUST(!ibv_destroy_qp(b->qps[3]));
	b->qps[3] = NULL;
	MUST(!ibv_dereg_mr(b->mrs[1]));
	b->mrs[1] = NULL;
	for (int i = 0; i < MRS; i++)
		b->keys[i] = b->mrs[i] ? b->mrs[i]->rkey : 0;
}

static void look_at_qp(struct bundle *b, int i)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	MUST(!ibv_query_qp(b->qps[i], &attr, IBV_QP_STATE | IBV_QP_CAP | IBV_QP_ACCESS_FLAGS, &init));
	MUST(attr.qp_state == states[i] && b->qps[i]->qp_num == b->qpns[i]);
	MUST(init.cap.max_send_wr >= 10u << i && init.cap.max_send_sge >= 1u + i);
	MUST(states[i] != IBV_QPS_INIT || attr.qp_access_flags == IBV_ACCESS_REMOTE_READ);
}

/* A receive request that the error state flushes comes back with an event, on the right channel. */
static void flush_one(struct bundle *b, int i)
{
	struct ibv_recv_wr *bad, wr = { .wr_id = 77 };
	struct ibv_cq *cq = b->cqs[(i + 1) % CQS], *which;
	struct ibv_wc wc;
	void *context;

	MUST(!ibv_req_notify_cq(cq, 0));
	MUST(!ibv_post_recv(b->qps[i], &wr, &bad));
	MUST(!ibv_modify_qp(b->qps[i], &(struct ibv_qp_attr){ .qp_state = IBV_QPS_ERR }, IBV_QP_STATE));
	MUST(!ibv_get_cq_event(b->channels[(i + 1) % CQS], &which, &context));
	MUST(which == cq && context == b);
	ibv_ack_cq_events(which, 1);
	MUST(ibv_poll_cq(cq, 1, &wc) == 1 && wc.wr_id == 77 && wc.status == IBV_WC_WR_FLUSH_ERR &&
	     wc.qp_num == b->qpns[i]);
}

static void take_apart(struct bundle *b)
{
	for (int i = 0; i < QPS; i++)
		if (b->qps[i])
			look_at_qp(b, i);
	MUST(b->cqs[1]->cqe >= 300);
	look_at_srqs(b);
	send_datagram(b);
	MUST(!ibv_destroy_qp(b->datagrams));
	for (int i = 1; i < AHS; i++)
		MUST(!ibv_destroy_ah(b->ahs[i]));
	/* QP 0 receives on CQ 1, whose events come on the second channel. */
	go_to(b->qps[0], IBV_QPS_INIT);
	flush_one(b, 0);
	for (int i = 0; i < QPS; i++)
		MUST(!b->qps[i] || !ibv_destroy_qp(b->qps[i]));
	for (int i = 0; i < SRQS; i++)
		MUST(!ibv_destroy_srq(b->srqs[i]));
	for (int i = 0; i < MRS; i++) {
		MUST(!b->mrs[i] || b->mrs[i]->rkey == b->keys[i]);
		MUST(!b->mrs[i] || !ibv_dereg_mr(b->mrs[i]));
	}
	for (int i = 0; i < CQS; i++)
		MUST(!ibv_destroy_cq(b->cqs[i]));
	for (int i = 0; i < PDS; i++)
		MUST(!ibv_dealloc_pd(b->pds[i]));
	for (int i = 0; i < 2; i++)
		MUST(!ibv_destroy_comp_channel(b->channels[i]));
	MUST(!ibv_close_device(b->ctx));
}

static void put(const char *dir, const char *name, const char *what)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.%s", dir, name, what);
	file = fopen(path, "we");
	if (!file || fprintf(file, "%d\n", getpid()) < 0 || fclose(file))
		err(1, "%s", path);
}

static void wait_for_signal(void)
{
	sigset_t set;
	int got;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigwait(&set, &got);
}

int main(int argc, char **argv)
{
	struct bundle bundles[2] = { 0 };
	int ready[2], status;
	sigset_t set;
	pid_t child;
	char c;

	if (argc != 4)
		errx(2, "usage: %s DEVICE DIR NAME", argv[0]);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	MUST(!sigprocmask(SIG_BLOCK, &set, NULL) && !pipe(ready));

	child = fork();
	MUST(child >= 0);
	make(&bundles[0], argv[1]);
	if (!child) {
		MUST(write(ready[1], "r", 1) == 1);
		wait_for_signal();
		take_apart(&bundles[0]);
		return 0;
	}
	make(&bundles[1], argv[1]);
	MUST(read(ready[0], &c, 1) == 1);
	put(argv[2], argv[3], "pid");

	wait_for_signal();
	take_apart(&bundles[1]);
	take_apart(&bundles[0]);
	MUST(!kill(child, SIGUSR1) && waitpid(child, &status, 0) == child);
	if (status)
		errx(1, "the other process: %#x", status);
	put(argv[2], argv[3], "fine");
	return 0;
}
