/* SPDX-License-Identifier: Apache-2.0 */
/* One RDMA device opened for the ledger: context, PD, two CQs, their event channel, one MR, perhaps an SRQ. */
#ifndef LEDGER_ENDPOINT_H
#define LEDGER_ENDPOINT_H

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control.h"

struct endpoint {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel; /* NULL when polling */
	struct ibv_cq *send_cq;
	struct ibv_cq *receive_cq;
	struct ibv_srq *srq; /* NULL: each queue pair has a receive queue */
	struct ibv_mr *mr;
	uint8_t *arena;
	size_t arena_size;
	union ibv_gid gid;
	int gid_index;
	enum ibv_mtu mtu;
};

/* What the peer needs to reach a queue pair and its memory. */
struct address {
	uint32_t qpn;
	uint32_t psn;
	uint32_t rkey;
	uint64_t base;
	union ibv_gid gid;
	enum ibv_mtu mtu;
};

/* Of rnr_retry and retry_cnt, 0..7 each. */
#define RETRY_COMBINATIONS 64

struct retries {
	int timeout; /* IB code: 4.096 us * 2^timeout */
	int retry_count;
	int rnr_retry;
	int min_rnr_timer;
};

/*
 * Opens @device (NULL: the first one) and the GID at @gid_index (-1: the first IPv4 one). Prints what failed and returns
 * -errno.
 */
int endpoint_open_device(struct endpoint *e, const char *device, int gid_index);
/* Makes the objects; another process may have opened the device. @cqe: entries of each CQ. Prints, and returns -errno. */
int endpoint_set_up(struct endpoint *e, bool events, int cqe, size_t arena_size);
/* From now on all queue pairs share a receive queue of @depth entries. Return 0 or -errno. */
int endpoint_share(struct endpoint *e, unsigned int depth);
void endpoint_close(struct endpoint *e);

struct ibv_qp *endpoint_qp(struct endpoint *e, unsigned int send_depth,
			   unsigned int receive_depth);
/* Posts to @qp, or to the queue that is shared. Return 0 or -errno. */
int endpoint_post_receive(struct endpoint *e, struct ibv_qp *qp, struct ibv_recv_wr *wr);
int endpoint_connect(struct endpoint *e, struct ibv_qp *qp, uint32_t own_psn,
		     const struct address *peer, const struct retries *r);

/* Send and receive one stream's address on the control connection. Return 0 or -errno. */
int address_send(struct control *c, unsigned int stream, const struct address *a);
int address_receive(struct control *c, unsigned int stream, struct address *a);

#endif
