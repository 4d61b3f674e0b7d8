/* SPDX-License-Identifier: GPL-2.0 */
/* The driver methods of native/rxe, one function each. All return 0 or -errno. */
#ifndef SEALIFT_DRIVER_RXE_METHODS_H
#define SEALIFT_DRIVER_RXE_METHODS_H

#include <sys/types.h>
#include <sealift_rxe.h>

#include "uverbs.h"

int rxe_query(int fd, struct sealift_rxe_query *query);
int rxe_hold(int fd, uint32_t rnr_timer, uint32_t timeout_ms);
int rxe_resume(int fd);
/* With @list NULL only counts. */
int rxe_dump_context(int fd, struct sealift_rxe_object *list, uint32_t count,
		     struct sealift_rxe_context *context);
int rxe_find_fd(int fd, uint16_t attribute, int event_fd, struct sealift_rxe_fd *found);
int rxe_dump_cq(int fd, uint32_t handle, const struct sealift_rxe_buffer *ring,
		struct sealift_rxe_cq *cq);
int rxe_dump_srq(int fd, uint32_t handle, const struct sealift_rxe_buffer *ring,
		 struct sealift_rxe_srq *srq);
int rxe_dump_mr(int fd, uint32_t handle, struct sealift_rxe_mr *mr);
int rxe_dump_qp(int fd, uint32_t handle, const struct sealift_rxe_qp_buffers *buffers,
		struct sealift_rxe_qp *qp);
int rxe_dump_ah(int fd, uint32_t handle, struct sealift_rxe_ah *ah);
int rxe_hint(int fd, uint32_t type, uint32_t value);
int rxe_hint_keys(int fd, const uint32_t *keys, size_t count);
int rxe_restore_cq(int fd, uint32_t handle, const struct sealift_rxe_cq *cq,
		   const struct sealift_rxe_buffer *ring);
int rxe_restore_srq(int fd, uint32_t handle, const struct sealift_rxe_srq *srq,
		    const struct sealift_rxe_buffer *ring);
int rxe_restore_qp(int fd, uint32_t handle, const struct sealift_rxe_qp *qp,
		   const struct sealift_rxe_qp_buffers *buffers);
int rxe_restore_ah(int fd, uint32_t handle, const struct sealift_rxe_ah *ah);
/* With @list NULL only counts; -E2BIG: more than a restore takes */
int rxe_dump_events(int fd, struct sealift_rxe_event *list, uint32_t count,
		    struct sealift_rxe_events *events);
int rxe_restore_events(int fd, const struct sealift_rxe_events *events,
		       const struct sealift_rxe_event *list);
int rxe_adopt_file(int fd, pid_t tid);
int rxe_may_write(int fd, pid_t tid);
void rxe_build_adopt_thread(struct uverbs_cmd *cmd, uint64_t base, int fd);

#endif
