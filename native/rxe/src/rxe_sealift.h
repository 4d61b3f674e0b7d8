/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the driver methods need of each other. */
#ifndef RXE_SEALIFT_H
#define RXE_SEALIFT_H

#include <rdma/uverbs_ioctl.h>

#include "rxe.h"
#include "sealift_rxe.h"

struct ib_uverbs_file;
struct rxe_queue_buf;

/* rxe_sealift_methods*.c: the methods of sealift_rxe.h */
extern const struct uapi_definition rxe_sealift_defs[];

/* rxe_sealift_uobject.c: the state of an object that ib_uverbs has */
struct ib_uobject *rxe_uobject_of_srq(const struct ib_srq *ibsrq);
struct ib_uobject *rxe_uobject_of_qp(const struct ib_qp *ibqp);
struct ib_uobject *rxe_uobject_of_cq(const struct ib_cq *ibcq);

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
void rxe_uobject_dump_srq(struct ib_srq *ibsrq, struct sealift_rxe_srq *out);
void rxe_uobject_dump_qp(struct ib_qp *ibqp, struct sealift_rxe_qp *out);
/*
 * Unread events of an object that is in its pool, by the caller's lock or
 * reference: asynchronous ones as bits, of a CQ completion events as a number.
 */
u32 rxe_uobject_async_events(struct ib_uobject *uobj);
u32 rxe_uobject_comp_events(const struct ib_cq *ibcq);
bool rxe_uobject_cq_has_channel(struct ib_cq *ibcq);
/* Has no event ever been raised for it? */
bool rxe_uobject_cq_is_new(struct ib_cq *ibcq);
bool rxe_uobject_srq_is_new(struct ib_srq *ibsrq);
bool rxe_uobject_qp_is_new(struct ib_qp *ibqp);
/*
 * Counts of events, and of a CQ its unread completion events.
 * Return: 0; -ENOMEM if an event is lost
 */
int rxe_uobject_restore_cq(struct ib_cq *ibcq,
			   const struct sealift_rxe_cq *in);
void rxe_uobject_restore_srq(struct ib_srq *ibsrq,
			     const struct sealift_rxe_srq *in);
void rxe_uobject_restore_qp(struct ib_qp *ibqp,
			    const struct sealift_rxe_qp *in);

/*
 * rxe_sealift_events.c: the asynchronous events that nobody has read.
 * @events may be NULL, to count only. @port_state: changed to what the last one
 * of them says that does. Return: how many there are, whatever @max
 */
u32 rxe_events_dump(struct ib_uverbs_file *ufile,
		    struct sealift_rxe_event *events, u32 max, u32 *port_state);
/* @events: before those that there are. Return: 0 or as RESTORE_EVENTS */
int rxe_events_restore(struct ib_uverbs_file *ufile,
		       const struct sealift_rxe_event *events, u32 count);

/*
 * rxe_sealift_nak.c: NAKs that end a connection. The caller holds hold.lock, and
 * the device is held.
 * Return: 0; -ETIMEDOUT; -ERESTARTSYS
 */
int rxe_naks_settle(struct rxe_dev *rxe);
/*
 * Those that queue pairs keep. @naks may be NULL, to count only. Return: how
 * many there are, whatever @max
 */
u32 rxe_naks_dump(struct rxe_dev *rxe, struct sealift_rxe_nak *naks, u32 max);
/* Return: 0 or as RESTORE_NAK */
int rxe_nak_restore(struct rxe_dev *rxe, const struct sealift_rxe_nak *in);

/*
 * Bytes to copy from or to user space while no lock is held: a fault there may
 * take for ever. All zero: no bytes.
 */
struct rxe_bytes {
	void	*data;
	size_t	size;
};

enum { RXE_BYTES_SQ, RXE_BYTES_RQ, RXE_BYTES_RES, RXE_BYTES_QP };

/*
 * rxe_sealift_bytes.c
 * Return: 0; -ENOSPC user space's buffer is too small; -ENOMEM; -EFAULT
 */
/* Copy @size bytes at @from if user space wants them in @buf. */
int rxe_bytes_copy(struct rxe_bytes *bytes,
		   const struct sealift_rxe_buffer *buf,
		   const void *from, size_t size);
int rxe_bytes_to_user(const struct rxe_bytes *bytes,
		      const struct sealift_rxe_buffer *buf);
int rxe_bytes_from_user(struct rxe_bytes *bytes,
			const struct sealift_rxe_buffer *buf);
void rxe_bytes_free(struct rxe_bytes *bytes, unsigned int num);

/*
 * rxe_sealift_dump.c. The caller has the object to itself. The structs are
 * filled even if 0 is not returned.
 * Return: 0; -ENOSPC buffer too small; -ENOMEM; -E2BIG more events than can be
 * restored; -EOPNOTSUPP
 */
int rxe_dump_cq(struct rxe_cq *cq, const struct sealift_rxe_buffer *ring,
		struct sealift_rxe_cq *out, struct rxe_bytes *bytes);
/* It waits for the memory map of the region's owner: also -EINTR */
int rxe_dump_mr(struct rxe_mr *mr, struct sealift_rxe_mr *out);
void rxe_dump_ring(const struct rxe_queue *q, struct sealift_rxe_ring *out);
/* @bytes: RXE_BYTES_QP of them */
int rxe_dump_qp(struct rxe_qp *qp, const struct sealift_rxe_qp_buffers *bufs,
		struct sealift_rxe_qp *out, struct rxe_bytes *bytes);

/*
 * rxe_sealift_list.c: what is on the device, of all contexts and the kernel.
 * @objs may be NULL, to count only. @count: how many there are, whatever @max.
 * Return: 0; -ENOMEM; -EINTR
 */
int rxe_list(struct rxe_dev *rxe, struct sealift_rxe_device_object *objs,
	     u32 max, u32 *count);

/*
 * rxe_sealift_owner.c: processes are told by their pid in the caller's pid
 * namespace; 0: none that runs and that the caller can see.
 */
u32 rxe_visible_pid(struct task_struct *task);
/* NULL: it has none any more. The caller is in an RCU section */
const struct mm_struct *rxe_process_mm(struct task_struct *process);
/* The process whose memory it is */
u32 rxe_mr_owner(const struct rxe_mr *mr);
/* The process that created it; the second, of kinds that restrack leaves out */
u32 rxe_creator(struct rdma_restrack_entry *res);
u32 rxe_elem_creator(const struct rxe_pool_elem *elem);

/*
 * rxe_sealift_pages.c: has the owner of a user memory region given up a page of
 * it? The caller holds the mmap lock of the owner's memory, which is in use.
 * @buf: for a page full of pointers
 * Return: 1 and which page first; 0; -EINTR
 */
int rxe_mr_find_remapped(const struct rxe_mr *mr, struct page **buf, u32 *page);
/*
 * The same of a region that LIST has found in @mm, which is grabbed: in its
 * flags. Return: 0; -EINTR
 */
int rxe_list_remapped(struct rxe_dev *rxe, struct mm_struct *mm,
		      struct sealift_rxe_device_object *obj, struct page **buf);

/*
 * rxe_sealift_check.c: can an object be in the image's state?
 * Return: 0 or -EINVAL
 */
int rxe_check_buffer(const struct sealift_rxe_buffer *buf);
int rxe_check_ring(const struct rxe_queue *q,
		   const struct sealift_rxe_ring *ring,
		   const struct sealift_rxe_buffer *buf);
int rxe_check_cq(struct rxe_cq *cq, const struct sealift_rxe_cq *in);
int rxe_check_event(const struct sealift_rxe_event *in);
/* @any_group: the verbs core takes a multicast address of either family */
int rxe_check_av(const struct sealift_rxe_av *av, bool any_group);
int rxe_check_qp(struct rxe_qp *qp, const struct sealift_rxe_qp *in);
int rxe_check_res(const struct sealift_rxe_res *res);
int rxe_check_dma(u32 length, u32 resid, u32 cur_sge, u32 num_sge,
		  u32 sge_offset, const struct rxe_sge *sge);
/* @buf: the kernel's copy of a ring that rxe_check_ring() has accepted */
int rxe_check_cq_ring(const struct rxe_queue_buf *buf,
		      const struct sealift_rxe_cq *in);
/* rxe_sealift_check_ring.c */
int rxe_check_recv_ring(const struct rxe_queue *q,
			const struct rxe_queue_buf *buf, u32 index,
			u32 max_sge);
int rxe_check_sq_ring(struct rxe_qp *qp, const struct rxe_queue_buf *buf,
		      const struct sealift_rxe_qp *in);
/* of a queue pair that has a receive queue of its own */
int rxe_check_rq_ring(struct rxe_qp *qp, const struct rxe_queue_buf *buf,
		      const struct sealift_rxe_qp *in);

/*
 * rxe_sealift_restore_copy.c: check all but the rings, and copy the rings. The
 * caller has the object to itself.
 * Return: 0; -EINVAL; -EFAULT; -EOPNOTSUPP; -ENOMEM
 */
bool rxe_ring_is_new(const struct rxe_queue *q);
int rxe_restore_copy_cq(struct rxe_cq *cq, const struct sealift_rxe_cq *in,
			const struct sealift_rxe_buffer *ring,
			struct rxe_bytes *bytes);
int rxe_restore_copy_qp(struct rxe_qp *qp, const struct sealift_rxe_qp *in,
			const struct sealift_rxe_qp_buffers *bufs,
			struct rxe_bytes *bytes);

/*
 * rxe_sealift_restore.c. The device is held; rxe_restore_copy_*() returned 0.
 * Return: 0; -EINVAL; -EADDRNOTAVAIL; -EMSGSIZE; -ENOMEM.
 * After an error the object is only good to be destroyed.
 */
void rxe_restore_ring(struct rxe_queue *q, const struct rxe_bytes *bytes);
/*
 * Let a new queue be mapped from where the dumped one was. @rq: the second one
 * of a queue pair, or NULL. Return: 0; -EINVAL: something else is there
 */
int rxe_restore_offsets(struct rxe_queue *q, const struct sealift_rxe_ring *in,
			struct rxe_queue *rq,
			const struct sealift_rxe_ring *rq_in);
int rxe_restore_cq(struct rxe_cq *cq, const struct sealift_rxe_cq *in,
		   const struct rxe_bytes *bytes);
int rxe_restore_qp(struct rxe_qp *qp, const struct sealift_rxe_qp *in,
		   const struct rxe_bytes *bytes);
/*
 * rxe_sealift_srq.c: the same of a shared receive queue.
 * Return: as of the other objects; -EOPNOTSUPP: not a basic one
 */
int rxe_dump_srq(struct rxe_srq *srq, const struct sealift_rxe_buffer *ring,
		 struct sealift_rxe_srq *out, struct rxe_bytes *bytes);
int rxe_restore_copy_srq(struct rxe_srq *srq, const struct sealift_rxe_srq *in,
			 const struct sealift_rxe_buffer *ring,
			 struct rxe_bytes *bytes);
int rxe_restore_srq(struct rxe_srq *srq, const struct sealift_rxe_srq *in,
		    const struct rxe_bytes *bytes);
/*
 * rxe_sealift_ah.c: the same of an address handle.
 * Return: 0; -EINVAL; -EADDRNOTAVAIL
 */
/*
 * For LIST. @sgid_attr: the verbs core has one as long as the object has a path
 */
void rxe_list_source(struct rxe_dev *rxe, const struct rxe_av *av,
		     const struct ib_gid_attr *sgid_attr,
		     struct sealift_rxe_device_object *obj);
void rxe_dump_av(const struct rxe_av *av, const struct ib_gid_attr *sgid_attr,
		 struct sealift_rxe_av *out);
void rxe_dump_ah(const struct rxe_ah *ah, struct sealift_rxe_ah *out);
int rxe_restore_ah(struct rxe_ah *ah, const struct sealift_rxe_ah *in);
/*
 * The kernel's form of a path, with the index that its source address has here.
 * Return: 0; -EADDRNOTAVAIL; -ENODEV
 */
int rxe_restore_av(struct rxe_dev *rxe, const struct sealift_rxe_av *av,
		   struct rdma_ah_attr *attr);
/* rxe_sealift_restore_states.c */
int rxe_restore_states(struct rxe_qp *qp, const struct sealift_rxe_qp *in,
		       bool error);
int rxe_restore_error(struct rxe_qp *qp, const struct sealift_rxe_qp *in);

/*
 * rxe_sealift_cred.c: let file and threads share credentials again.
 * Return: 0; -EBADF not this context's file; -ESRCH no such thread; -EACCES;
 * -EPERM
 */
int rxe_adopt(struct ib_uverbs_file *ufile,
	      const struct sealift_rxe_adopt *in);
int rxe_may_write(struct ib_uverbs_file *ufile,
		  const struct sealift_rxe_adopt *in);

#endif /* RXE_SEALIFT_H */
