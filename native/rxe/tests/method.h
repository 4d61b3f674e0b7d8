/* SPDX-License-Identifier: GPL-2.0 */
/* The driver's methods and the few verbs that a restore calls itself. */
#ifndef METHOD_H
#define METHOD_H

#include <stddef.h>
#include <stdint.h>

#include "sealift_rxe.h"

/* All return 0 or -errno. @fd: ibv_context.cmd_fd. */
int sl_query(int fd, struct sealift_rxe_query *out);
int sl_hold(int fd, uint32_t rnr_timer, uint32_t timeout_ms);
/* @flags: enum sealift_rxe_hold_flags */
int sl_hold_with(int fd, uint32_t rnr_timer, uint32_t timeout_ms,
		 uint32_t flags);
int sl_resume(int fd);
int sl_context(int fd, struct sealift_rxe_object *objs, uint32_t max,
	       struct sealift_rxe_context *out);
int sl_list(int fd, struct sealift_rxe_device_object *objs, uint32_t max,
	    struct sealift_rxe_list *out);
int sl_find_fd(int fd, int comp, int async, struct sealift_rxe_fd *out);
int sl_dump_cq(int fd, uint32_t handle, void *ring, uint32_t size,
	       struct sealift_rxe_cq *out);
int sl_dump_mr(int fd, uint32_t handle, struct sealift_rxe_mr *out);
int sl_dump_qp(int fd, uint32_t handle,
	       const struct sealift_rxe_qp_buffers *bufs,
	       struct sealift_rxe_qp *out);
int sl_hint(int fd, uint32_t type, uint32_t value);
/* HINT of no number, with @size bytes of keys */
int sl_hint_keys(int fd, const uint32_t *keys, uint32_t size);
/* what a thread does for itself, or with @tid for another one */
int sl_adopt(int fd);
int sl_adopt_tid(int fd, uint32_t tid);
int sl_may_write(int fd, uint32_t tid);
int sl_restore_cq(int fd, uint32_t handle, const struct sealift_rxe_cq *in,
		  const void *ring, uint32_t size);
int sl_restore_qp(int fd, uint32_t handle, const struct sealift_rxe_qp *in,
		  const struct sealift_rxe_qp_buffers *bufs);
/* method_srq.c */
int sl_dump_srq(int fd, uint32_t handle, void *ring, uint32_t size,
		struct sealift_rxe_srq *out);
int sl_restore_srq(int fd, uint32_t handle, const struct sealift_rxe_srq *in,
		   const void *ring, uint32_t size);
/* method_ah.c */
int sl_dump_ah(int fd, uint32_t handle, struct sealift_rxe_ah *out);
int sl_restore_ah(int fd, uint32_t handle, const struct sealift_rxe_ah *in);
/* method_events.c */
int sl_dump_events(int fd, struct sealift_rxe_event *list, uint32_t max,
		   struct sealift_rxe_events *out);
int sl_restore_events(int fd, const struct sealift_rxe_events *in,
		      const struct sealift_rxe_event *list);
int sl_restore_events_from(int fd, const struct sealift_rxe_events *in,
			   const struct sealift_rxe_buffer *buf);
/* method_naks.c */
int sl_dump_naks(int fd, struct sealift_rxe_nak *list, uint32_t max,
		 struct sealift_rxe_naks *out);
int sl_restore_nak(int fd, const struct sealift_rxe_nak *in);
/* Into a ring's bytes; <rdma/rdma_user_rxe.h> and <netinet/in.h> exclude each other. */
uint32_t sl_ring_producer(const void *ring);
unsigned char *sl_ring_entry(void *ring, const struct sealift_rxe_ring *like,
			     uint32_t index);
struct sealift_rxe_buffer sl_buffer(const void *p, uint32_t size);

/* Any method, any attribute: for malformed calls. */
struct sl_attr {
	uint16_t id;
	uint16_t len;
	uint64_t data;
};

/* How often a driver method was called. */
extern _Atomic unsigned long sl_calls;

int sl_call(int fd, uint16_t object, uint16_t method,
	    const struct sl_attr *attrs, unsigned int num);

/* Verbs without libibverbs, whose own structs must stay as they are. */
struct raw_map {
	uint64_t offset;
	uint32_t size;
	uint32_t pad;
};

int raw_alloc_pd(int fd, uint32_t *handle);
int raw_destroy(int fd, uint16_t object, uint32_t handle);
int raw_create_cq(int fd, uint32_t cqe, uint64_t user_handle, int channel,
		  uint32_t *handle, struct raw_map *map);
int raw_resize_cq(int fd, uint32_t handle, uint32_t cqe, struct raw_map *map);
int raw_create_qp(int fd, const struct sealift_rxe_qp *like, uint32_t *handle,
		  uint32_t *qpn, struct raw_map *sq, struct raw_map *rq);
/* method_srq.c */
int raw_create_srq(int fd, const struct sealift_rxe_srq *like,
		   uint32_t *handle, struct raw_map *map);
int raw_destroy_srq(int fd, uint32_t handle);
/*
 * method_ah.c: to a multicast address, which asks no one, over the device's GID
 * of @like's index; without room for the number if @like has none.
 */
int raw_create_ah(int fd, const struct sealift_rxe_ah *like, uint32_t *handle,
		  uint32_t *number);
int raw_destroy_ah(int fd, uint32_t handle);
/* IBV_REREG_MR_* in @flags: what changes */
struct raw_rereg {
	uint32_t handle, flags, access, pd_handle;
};

int raw_rereg_mr(int fd, const struct raw_rereg *again);
int raw_reg_mr(int fd, const struct sealift_rxe_mr *like, uint32_t *handle,
	       uint32_t *lkey, uint32_t *rkey);

#endif /* METHOD_H */
