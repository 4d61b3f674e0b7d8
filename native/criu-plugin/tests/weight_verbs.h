/* SPDX-License-Identifier: GPL-2.0 */
/* What is weighed: idle queue pairs, each connected to itself, and regions. */
#ifndef SEALIFT_WEIGHT_VERBS_H
#define SEALIFT_WEIGHT_VERBS_H

#include <err.h>
#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#define QPS_OF_A_CQ	4

#define MUST(condition) do { if (!(condition)) err(1, "%s, line %d", #condition, __LINE__); } while (0)

struct verbs {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp **qps;
	struct ibv_srq *srq;	/* of no queue pair, with receive requests */
	struct ibv_mr *mr;	/* that queue pairs send and receive in */
	uint8_t *memory;	/* of one region each */
	int num_qps, num_regions, port_gid;
	union ibv_gid gid;
};

/* The first reads once, the second sends until it has been at each place of its queues: each fourth queue pair, each other fourth. */
bool verbs_reads(int nth);
bool verbs_goes_round(int nth);

/* Opens the device @name with room for as many. All exit the process if anything fails. */
void verbs_make(struct verbs *v, const char *name, int qps, int regions);
/* Up to as many. */
void verbs_grow(struct verbs *v, int qps, int regions);

/* All of it is gone from the device then. */
void verbs_close(struct verbs *v);

double now_ms(void);

#endif
