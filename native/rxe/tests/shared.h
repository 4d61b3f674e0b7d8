/* SPDX-License-Identifier: GPL-2.0 */
/* A scripted end that receives from a shared receive queue, and its moves. */
#ifndef SHARED_H
#define SHARED_H

#include "scripted.h"

/* All but shared_post() exit the process on failure. */
void shared_open(struct scripted *s);
/* Post request @id, of one slot of the memory. Return: 0 or errno */
int shared_post(struct scripted *s, struct ibv_srq *srq, uint64_t id);
/* Post the requests @from to @to - 1. */
void shared_post_some(struct scripted *s, uint64_t from, uint64_t to);
/* Let the peer send a packet to @qp. */
void shared_send(struct scripted *s, const struct ibv_qp *qp, uint8_t opcode,
		 uint32_t nth, uint32_t size);
/* Expect a completion of request @id at @qp. */
void shared_completes(struct scripted *s, const struct ibv_qp *qp, uint64_t id,
		      int status, const char *what);
/* Dump, destroy and restore every object; the device is held, or held for it. */
void shared_move_held(struct scripted *s);
void shared_move(struct scripted *s);

#endif /* SHARED_H */
