/* SPDX-License-Identifier: Apache-2.0 */
/* Many queue pairs, completion queues and memory regions of one process, which take turns. */
#ifndef MANY_OBJECTS_H
#define MANY_OBJECTS_H

#include <stdint.h>

#include "../ledger/endpoint.h"

#define MANY_QPS	4096
#define MANY_CQS	1024
#define MANY_REGIONS	16384
#define MANY_DEPTH	4	/* requests of a queue */
#define REGION_SIZE	256	/* several regions share a page, as those of small buffers do */

enum done { SENT, RECEIVED, HAS_READ };

struct numbers {
	unsigned int qps, cqs, regions;
};

struct objects {
	struct numbers numbers;
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cqs[MANY_CQS];
	struct ibv_qp *qps[MANY_QPS];
	struct ibv_mr *regions[MANY_REGIONS];
	uint8_t *memory;
	struct ibv_cq *woken; /* may have more completions */
	uint32_t completed[3]; /* number of the queue pair, by enum done */
	union ibv_gid gid;
	int gid_index;
	enum ibv_mtu mtu;
};

/* Queue pair i has completion queue i modulo their number. Prints what failed and returns -errno. */
int objects_open(struct objects *o, const struct numbers *n);
/* Exchanges addresses on @control and connects all queue pairs. Returns 0 or -errno. */
int objects_connect(struct objects *o, struct control *control);
void objects_close(struct objects *o);

/* The memory of region @i, of REGION_SIZE bytes. */
void *objects_memory(const struct objects *o, unsigned int i);

#endif
