/* SPDX-License-Identifier: GPL-2.0 */
/* What the kinds of objects.c are made with. */
#ifndef SEALIFT_OBJECTS_H
#define SEALIFT_OBJECTS_H

#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#define PAGE 4096

struct verbs {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	uint8_t *memory;
};

struct ibv_qp *create_qp(struct verbs *v, enum ibv_qp_type type, struct ibv_srq *srq);
struct ibv_mr *reg_mr(struct verbs *v);

/* objects_many.c: many of a kind, and one far above; false and errno: it could not be had. */
bool queues(struct verbs *v, int count);
bool channels(struct verbs *v, int count);
bool regions(struct verbs *v, int count);
bool high_descriptor(struct verbs *v);

#endif
