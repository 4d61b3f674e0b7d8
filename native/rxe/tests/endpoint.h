/* SPDX-License-Identifier: GPL-2.0 */
/* A queue pair with what belongs to it. */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include <stdint.h>

#include <infiniband/verbs.h>

struct endpoint {
	enum ibv_qp_type type;
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq;
	struct ibv_srq *srq;	/* with LIVE_SRQ in the environment, else NULL */
	struct ibv_qp *qp;
	struct ibv_mr *mr;
	union ibv_gid gid;
};

/* How to connect; what is 0 is as ibv_qp_attr means it. */
struct endpoint_path {
	union ibv_gid gid;	/* the peer's */
	uint32_t qpn;
	uint32_t sq_psn;
	uint32_t rq_psn;
	uint8_t timeout;
	uint8_t retry_cnt;
	uint8_t rnr_retry;
	uint8_t min_rnr_timer;
	uint8_t traffic_class;
};

/* All exit the process on failure. */

struct ibv_context *endpoint_open_device(const char *name);
/*
 * Open @device and create all objects: @cap for the queue pair of @type, one
 * region of @mem with every remote access. The CQ's context is @cq_context.
 */
void endpoint_open(struct endpoint *e, const char *device,
		   enum ibv_qp_type type, const struct ibv_qp_cap *cap,
		   void *mem, size_t size, void *cq_context);
/* One more of the kind of e->qp, with the same queues; not connected. */
struct ibv_qp *endpoint_create_qp(struct endpoint *e,
				  const struct ibv_qp_cap *cap);
/* Post to the SRQ if there is one. */
void endpoint_post_recv(struct endpoint *e, struct ibv_recv_wr *wr);
int endpoint_sgid_index(const struct endpoint *e);
/* To INIT; receive requests may be posted after it. This and what follows is for RC. */
void endpoint_init(struct endpoint *e);
/* From INIT to RTS. */
void endpoint_connect(struct endpoint *e, const struct endpoint_path *path);
/* The same without an end of the process. Return: 0 or errno */
int endpoint_try_init(struct endpoint *e);
/* From INIT to RTR only. */
int endpoint_try_receive(struct endpoint *e, const struct endpoint_path *path);
int endpoint_try_connect(struct endpoint *e, const struct endpoint_path *path);
void endpoint_close(struct endpoint *e);

#endif /* ENDPOINT_H */
