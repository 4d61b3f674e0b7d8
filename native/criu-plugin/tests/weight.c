// SPDX-License-Identifier: GPL-2.0
/*
 * What objects weigh in an image, and what a dump of them costs: of the real driver, through the plugin's own code, without CRIU.
 * Each queue pair is connected to itself, has sent a message, and is idle; each fourth one has read from itself, too.
 *
 * usage: weight DEVICE QUEUE_PAIRS REGIONS
 * Dumps a quarter of them, then all. Exits with 1 if an idle queue pair takes more than 200 bytes beside its rings, or if four times as
 * many take more than five times as long, or five times as many bytes.
 */
#include <err.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#include "driver.h"
#include "log.h"

#define PAGE		4096UL
#define MAX_BYTES	200	/* of an idle queue pair beside its rings */
#define QPS_OF_A_CQ	4
#define DUMPS		3
#define READS_OF	4	/* each so many'th queue pair */
#define ACCESS		(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ)

#define MUST(condition) do { if (!(condition)) err(1, "%s, line %d", #condition, __LINE__); } while (0)

struct verbs {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp **qps;
	struct ibv_mr *mr;	/* that queue pairs send and receive in */
	uint8_t *memory;	/* of one region each */
	int num_qps, num_regions, port_gid;
	union ibv_gid gid;
};

struct weight {
	double ms;
	size_t bytes;		/* of the whole image */
	size_t idle, reader;	/* of the heaviest queue pair of each sort */
	size_t region;
};

/* In place of CRIU's. */
void print_on_level(unsigned int level, const char *format, ...)
{
	va_list args;

	if (level > LOG_LEVEL_ERROR)
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void make_verbs(struct verbs *v, const char *name, int qps, int regions)
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

static void talk(const struct verbs *v, struct ibv_qp *qp, bool reads)
{
	struct ibv_sge out = { (uintptr_t)v->memory, 100, v->mr->lkey };
	struct ibv_sge in = { (uintptr_t)v->memory + 1024, 100, v->mr->lkey };
	struct ibv_recv_wr *bad_recv, recv = { .sg_list = &in, .num_sge = 1 };
	struct ibv_send_wr *bad, wr = { .sg_list = &out, .num_sge = 1, .opcode = IBV_WR_SEND,
					.send_flags = IBV_SEND_SIGNALED };

	MUST(!ibv_post_recv(qp, &recv, &bad_recv) && !ibv_post_send(qp, &wr, &bad));
	take(qp->send_cq, 2);
	if (!reads)
		return;
	wr.opcode = IBV_WR_RDMA_READ;
	wr.sg_list = &in;
	wr.wr.rdma.remote_addr = (uintptr_t)v->memory;
	wr.wr.rdma.rkey = v->mr->rkey;
	MUST(!ibv_post_send(qp, &wr, &bad));
	take(qp->send_cq, 1);
}

static bool reads(int nth)
{
	return nth % READS_OF == READS_OF - 1;
}

static void grow(struct verbs *v, int qps, int regions)
{
	struct ibv_qp_init_attr init = {
		.cap = { .max_send_wr = 64, .max_recv_wr = 64, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};

	for (; v->num_qps < qps; v->num_qps++) {
		struct ibv_qp *qp;

		if (v->num_qps % QPS_OF_A_CQ == 0)
			MUST((v->cq = ibv_create_cq(v->ctx, 16, NULL, NULL, 0)));
		init.send_cq = v->cq;
		init.recv_cq = v->cq;
		MUST((v->qps[v->num_qps] = qp = ibv_create_qp(v->pd, &init)));
		connect_to_itself(v, qp);
		talk(v, qp, reads(v->num_qps));
	}
	for (; v->num_regions < regions; v->num_regions++)
		MUST(ibv_reg_mr(v->pd, v->memory + (size_t)(1 + v->num_regions) * PAGE, PAGE, ACCESS));
}

static size_t beside_rings(PB(QueuePair) *record)
{
	record->driver->buffers[0].len = 0;
	record->driver->buffers[1].len = 0;
	return sealift__ibverbs__queue_pair__get_packed_size(record);
}

static void weigh(const struct verbs *v, PB(Context) *context, struct weight *w)
{
	uint8_t *image = image_encode(&context->base, &w->bytes);

	MUST(image);
	free(image);
	MUST(context->n_qps == (size_t)v->num_qps && context->n_mrs == (size_t)v->num_regions + 1);
	for (size_t i = 0; i < context->n_qps; i++) {
		size_t bytes = beside_rings(context->qps[i]), *most = reads(i) ? &w->reader : &w->idle;

		*most = bytes > *most ? bytes : *most;
	}
	for (size_t i = 0; i < context->n_mrs; i++) {
		size_t bytes = sealift__ibverbs__memory_region__get_packed_size(context->mrs[i]);

		w->region = bytes > w->region ? bytes : w->region;
	}
}

static PB(Context) *new_context(void)
{
	PB(Context) *context = calloc(1, sizeof(*context));

	MUST(context);
	sealift__ibverbs__context__init(context);
	MUST((context->driver = calloc(1, sizeof(*context->driver))));
	sealift__ibverbs__driver__init(context->driver);
	MUST((context->driver->name = strdup(driver_rxe.name)) && (context->node_path = strdup("")));
	return context;
}

static struct weight dump_once(const struct verbs *v)
{
	PB(Context) *context = new_context();
	struct rings rings = {};
	struct weight w = {};
	double began = now_ms();

	if (driver_rxe.dump(v->ctx->cmd_fd, context, &rings))
		exit(1);
	w.ms = now_ms() - began;
	weigh(v, context, &w);
	free(rings.items);
	sealift__ibverbs__context__free_unpacked(context, NULL);
	return w;
}

/* The fastest of some: other work of the machine makes the others slower. */
static struct weight dump(const struct verbs *v)
{
	struct weight w;

	if (driver_rxe.hold(v->ctx->cmd_fd))
		exit(1);
	w = dump_once(v);
	for (int i = 1; i < DUMPS; i++) {
		struct weight again = dump_once(v);

		w.ms = again.ms < w.ms ? again.ms : w.ms;
	}
	if (driver_rxe.resume(v->ctx->cmd_fd))
		exit(1);
	printf("time: %d queue pairs, %d completion queues, %d regions dumped in %.1f ms; image %zu bytes; "
	       "an idle queue pair %zu beside its rings, one that has answered a READ %zu; a region %zu\n",
	       v->num_qps, (v->num_qps + QPS_OF_A_CQ - 1) / QPS_OF_A_CQ, v->num_regions + 1, w.ms, w.bytes, w.idle, w.reader,
	       w.region);
	fflush(stdout);
	return w;
}

int main(int argc, char **argv)
{
	struct verbs v = {};
	struct weight few, all;
	int qps, regions;

	if (argc != 4 || (qps = atoi(argv[2])) < 4 || (regions = atoi(argv[3])) < 4)
		errx(2, "usage: %s DEVICE QUEUE_PAIRS REGIONS, at least 4 of each", argv[0]);
	make_verbs(&v, argv[1], qps, regions);
	grow(&v, qps / 4, regions / 4);
	few = dump(&v);
	grow(&v, qps, regions);
	all = dump(&v);
	if (all.idle > MAX_BYTES)
		errx(1, "an idle queue pair takes %zu bytes beside its rings, not %d at most", all.idle, MAX_BYTES);
	if (all.bytes > 5 * few.bytes)
		errx(1, "the image is not linear");
	if (all.ms > 5 * few.ms)
		errx(1, "the dump is not linear");
	return 0;
}
