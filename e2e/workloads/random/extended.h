/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The extended interfaces of verbs behind the others' structs: requests that are written call by call (ibv_wr_start()), completions
 * that are read field by field (ibv_start_poll()). User space works on the same rings, by other code.
 */
#ifndef RANDOM_EXTENDED_H
#define RANDOM_EXTENDED_H

#include <infiniband/verbs.h>

/* As ibv_create_qp(); requests of every kind may be written. */
struct ibv_qp *extended_qp(struct ibv_pd *pd, const struct ibv_qp_init_attr *init);
/* As ibv_post_send(), of one request in one part: rxe's provider miscounts the length of several (rdma-core 56). */
int extended_post(struct ibv_qp *qp, const struct ibv_send_wr *wr);
struct ibv_cq_ex *extended_cq(struct ibv_context *context, uint32_t entries, void *of, struct ibv_comp_channel *channel);
/* As ibv_poll_cq(); of what has failed, status, number and queue pair only. */
int extended_poll(struct ibv_cq_ex *cq, int count, struct ibv_wc *wc);

#endif
