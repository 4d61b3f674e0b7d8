/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RXE_SEALIFT_H
#define RXE_SEALIFT_H

#include <rdma/uverbs_ioctl.h>

#include "rxe.h"
#include "sealift_rxe.h"

struct ib_uverbs_file;

/* rxe_sealift_methods*.c: the methods of sealift_rxe.h */
extern const struct uapi_definition rxe_sealift_defs[];

/* rxe_sealift_uobject.c: what ib_uverbs knows of an object */

/*
 * List the objects of @ufile, oldest first. @objs may be NULL, to count only.
 * Return: how many there are, whatever @max.
 */
u32 rxe_uobject_list(struct ib_uverbs_file *ufile,
		     struct sealift_rxe_object *objs, u32 max);
void rxe_uobject_dump_context(struct ib_uverbs_file *ufile,
			      struct sealift_rxe_context *out);
void rxe_uobject_dump_channel(struct ib_uobject *uobj,
			      struct sealift_rxe_fd *out);
void rxe_uobject_dump_async(struct ib_uobject *uobj,
			    struct sealift_rxe_fd *out);
void rxe_uobject_dump_cq(struct ib_cq *ibcq, struct sealift_rxe_cq *out);
void rxe_uobject_dump_qp(struct ib_qp *ibqp, struct sealift_rxe_qp *out);
bool rxe_uobject_cq_has_channel(struct ib_cq *ibcq);
void rxe_uobject_restore_cq(struct ib_cq *ibcq,
			    const struct sealift_rxe_cq *in);
void rxe_uobject_restore_qp(struct ib_qp *ibqp,
			    const struct sealift_rxe_qp *in);

/*
 * rxe_sealift_dump.c. The structs are filled even if 0 is not returned.
 * Return: 0; -ENOSPC buffer too small; -EFAULT
 */
int rxe_dump_cq(struct rxe_cq *cq, const struct sealift_rxe_buffer *ring,
		struct sealift_rxe_cq *out);
int rxe_dump_mr(struct rxe_mr *mr, struct sealift_rxe_mr *out);
int rxe_dump_qp(struct rxe_qp *qp, const struct sealift_rxe_qp_buffers *bufs,
		struct sealift_rxe_qp *out);

/*
 * rxe_sealift_check.c: is what an image says possible at all?
 * Return: 0 or -EINVAL
 */
int rxe_check_buffer(const struct sealift_rxe_buffer *buf);
int rxe_check_ring(const struct rxe_queue *q,
		   const struct sealift_rxe_ring *ring,
		   const struct sealift_rxe_buffer *buf);
int rxe_check_cq(struct rxe_cq *cq, const struct sealift_rxe_cq *in);
int rxe_check_qp(struct rxe_qp *qp, const struct sealift_rxe_qp *in);
int rxe_check_res(const struct sealift_rxe_res *res);
/* once the ring's bytes are in place */
int rxe_check_cq_ring(struct rxe_cq *cq, const struct sealift_rxe_cq *in);
int rxe_check_sq_ring(struct rxe_qp *qp, const struct sealift_rxe_qp *in);
int rxe_check_rq_ring(struct rxe_qp *qp, const struct sealift_rxe_qp *in);

/*
 * rxe_sealift_restore.c. The device is held.
 * Return: 0; -EINVAL; -EFAULT; -EOPNOTSUPP; -EADDRNOTAVAIL; -EMSGSIZE; -ENOMEM.
 * After an error the object is only good to be destroyed.
 */
int rxe_restore_cq(struct rxe_cq *cq, const struct sealift_rxe_cq *in,
		   const struct sealift_rxe_buffer *ring);
int rxe_restore_qp(struct rxe_qp *qp, const struct sealift_rxe_qp *in,
		   const struct sealift_rxe_qp_buffers *bufs);

/*
 * rxe_sealift_cred.c: let file and threads share credentials again.
 * Return: 0; -EBADF not this context's file; -ESRCH no such thread; -EACCES
 */
int rxe_adopt(struct ib_uverbs_file *ufile,
	      const struct sealift_rxe_adopt *in);

#endif /* RXE_SEALIFT_H */
