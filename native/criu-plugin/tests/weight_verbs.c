// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "weight_verbs.h"

#define PAGE		4096UL
#define SORTS		4	/* of queue pairs, by what they have done */
#define REQUESTS	64
#define ROUND		200	/* more than a queue has places */
#define ACCESS		(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ)

double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

bool verbs_reads(int nth)
{
	return nth % SORTS == SORTS - 1;
}

bool verbs_goes_round(int nth)
{
	return nth % SORTS == SORTS - 2;
}

static void make_srq(struct verbs *v)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = REQUESTS, .max_sge = 2 } };

	MUST((v->srq = ibv_create_srq(v->pd, &init)));
	for (int i = 0; i < REQUESTS / 2; i++) {
		struct ibv_sge in = { (uintptr_t)v->memory + i, 100 + i, v->mr->lkey };
		struct ibv_recv_wr *bad, recv = { .wr_id = i, .sg_list = &in, .num_sge = 1 };

		MUST(!ibv_post_srq_recv(v->srq, &recv, &bad));
	}
}

void verbs_make(struct verbs *v, const char *name, int qps, int regions)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	void *memory = mmap(NULL, (size_t)(regions + 1) * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (struct ibv_device **d = list; d && *d && !v->ctx; d++)
		if (!strcmp(ibv_get_device_name(*d), name))
			v->ctx = ibv_open_device(*d);
	MUST(v->ctx && memory != MAP_FAILED);
	MUST((v->qps = calloc(qps, sizeof(*v->qps))));
	MUST((v->pd = ibv_alloc_pd(v->ctx)));
	v->memory = memory;
	memset(v->memory, 0x5a, PAGE);
	MUST((v->mr = ibv_reg_mr(v->pd, v->memory, PAGE, ACCESS)));
	make_srq(v);
	while (ibv_query_gid(v->ctx, 1, v->port_gid, &v->gid) || v->gid.raw[10] != 0xff)
		MUST(v->port_gid++ < 16);
}

static void connect_to_itself(const struct verbs *v, struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT, .port_num = 1, .qp_access_flags = IBV_ACCESS_REMOTE_READ,
		.path_mtu = IBV_MTU_1024, .dest_qp_num = qp->qp_num, .rq_psn = 0x123456 + qp->qp_num,
		.sq_psn = 0x123456 + qp->qp_num, .max_dest_rd_atomic = 16, .max_rd_atomic = 16,
		.min_rnr_timer = 12, .timeout = 18, .retry_cnt = 7, .rnr_retry = 7,
		.ah_attr = { .is_global = 1, .port_num = 1,
			     .grh = { .dgid = v->gid, .sgid_index = v->port_gid, .hop_limit = 64 } },
	};

	MUST(!ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS));
	attr.qp_state = IBV_QPS_RTR;
	MUST(!ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
					IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER));
	attr.qp_state = IBV_QPS_RTS;
	MUST(!ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
					IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC));
}

static void take(struct ibv_cq *cq, int count)
{
	double until = now_ms() + 20000;
	struct ibv_wc wc;

	while (count) {
		int n = ibv_poll_cq(cq, 1, &wc);

		MUST(n >= 0 && now_ms() < until);
		MUST(!n || wc.status == IBV_WC_SUCCESS);
		count -= n;
	}
}

/* A message to itself, and its two completions. */
static void send(const struct verbs *v, struct ibv_qp *qp, uint64_t nth)
{
	struct ibv_sge out = { (uintptr_t)v->memory, 100, v->mr->lkey };
	struct ibv_sge in = { (uintptr_t)v->memory + 1024 + nth % 16 * 100, 100, v->mr->lkey };
	struct ibv_recv_wr *bad_recv, recv = { .wr_id = nth, .sg_list = &in, .num_sge = 1 };
	struct ibv_send_wr *bad, wr = { .wr_id = nth, .sg_list = &out, .num_sge = 1, .opcode = IBV_WR_SEND,
					.send_flags = IBV_SEND_SIGNALED };

	MUST(!ibv_post_recv(qp, &recv, &bad_recv) && !ibv_post_send(qp, &wr, &bad));
	take(qp->send_cq, 2);
}

static void read_once(const struct verbs *v, struct ibv_qp *qp)
{
	struct ibv_sge in = { (uintptr_t)v->memory + 1024, 100, v->mr->lkey };
	struct ibv_send_wr *bad, wr = { .sg_list = &in, .num_sge = 1, .opcode = IBV_WR_RDMA_READ,
					.send_flags = IBV_SEND_SIGNALED, .wr.rdma = { (uintptr_t)v->memory, v->mr->rkey } };

	MUST(!ibv_post_send(qp, &wr, &bad));
	take(qp->send_cq, 1);
}

void verbs_grow(struct verbs *v, int qps, int regions)
{
	struct ibv_qp_init_attr init = {
		.cap = { .max_send_wr = REQUESTS, .max_recv_wr = REQUESTS, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};

	for (; v->num_qps < qps; v->num_qps++) {
		int sends = verbs_goes_round(v->num_qps) ? ROUND : 1;
		struct ibv_qp *qp;

		if (v->num_qps % QPS_OF_A_CQ == 0)
			MUST((v->cq = ibv_create_cq(v->ctx, 16, NULL, NULL, 0)));
		init.send_cq = v->cq;
		init.recv_cq = v->cq;
		MUST((v->qps[v->num_qps] = qp = ibv_create_qp(v->pd, &init)));
		connect_to_itself(v, qp);
		for (int i = 0; i < sends; i++)
			send(v, qp, i);
		if (verbs_reads(v->num_qps))
			read_once(v, qp);
	}
	for (; v->num_regions < regions; v->num_regions++)
		MUST(ibv_reg_mr(v->pd, v->memory + (size_t)(1 + v->num_regions) * PAGE, PAGE, ACCESS));
}

/* A queue that is still mapped keeps the context open. */
void verbs_close(struct verbs *v)
{
	for (int i = 0; i < v->num_qps; i++) {
		struct ibv_cq *cq = v->qps[i]->send_cq;

		MUST(!ibv_destroy_qp(v->qps[i]));
		if (i % QPS_OF_A_CQ == QPS_OF_A_CQ - 1 || i == v->num_qps - 1)
			MUST(!ibv_destroy_cq(cq));
	}
	MUST(!ibv_destroy_srq(v->srq) && !ibv_close_device(v->ctx));
	free(v->qps);
}
