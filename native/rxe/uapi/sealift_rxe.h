/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Driver methods of Sealift's rdma_rxe, called through the ioctl interface of
 * /dev/infiniband/uverbsN (RDMA_VERBS_IOCTL, driver_id RDMA_DRIVER_RXE).
 *
 * Every method belongs to the object SEALIFT_RXE_OBJECT and, except QUERY and
 * ADOPT in a thread that is restored, needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the
 * initial user namespace (else -EPERM): whoever restores an image decides what
 * the kernel believes.
 *
 * Attributes of kind IN carry the struct named beside them, OUT are filled.
 * An IDR attribute carries the handle of a verbs object of the same context:
 * len 0, the handle in data_s64. An FD attribute carries a descriptor of the
 * calling process the same way. Bytes too long for an attribute (rings, lists)
 * are passed as address and size inside the struct.
 *
 * Errors common to all: -EINVAL for a field that is out of range, reserved and
 * not zero, or contradicts another one; -EFAULT for a bad address; -ENOENT for
 * an unknown handle.
 */
#ifndef SEALIFT_RXE_H
#define SEALIFT_RXE_H

#include <linux/types.h>
#include <rdma/ib_user_ioctl_cmds.h>

/* Changes with any change of what follows; a node's label says "rxe-<this>". */
#define SEALIFT_RXE_ABI_VERSION		11

#define SEALIFT_RXE_NONE		0xffffffffU
#define SEALIFT_RXE_MAX_SGE		32
#define SEALIFT_RXE_MAX_TIMEOUT_MS	60000
/* unread completion events of a completion queue that can be moved */
#define SEALIFT_RXE_MAX_EVENTS		1024
/* unread asynchronous events of a context that can be moved */
#define SEALIFT_RXE_MAX_ASYNC_EVENTS	65536

#include "sealift_rxe_state.h"

#define SEALIFT_RXE_NS			(1U << UVERBS_ID_NS_SHIFT)

#include "sealift_rxe_events.h"
#include "sealift_rxe_naks.h"
#include "sealift_rxe_numbers.h"

enum sealift_rxe_objects {
	SEALIFT_RXE_OBJECT = SEALIFT_RXE_NS,
};

/* The object is the driver's, so all its methods are: numbered from 0, since
 * only 8 numbers above SEALIFT_RXE_NS exist. Below it 22 do (UVERBS_API_METHOD_KEY_NUM_CORE).
 */
enum sealift_rxe_methods {
	SEALIFT_RXE_METHOD_QUERY,
	SEALIFT_RXE_METHOD_HOLD,
	SEALIFT_RXE_METHOD_RESUME,
	SEALIFT_RXE_METHOD_DUMP_CONTEXT,
	SEALIFT_RXE_METHOD_FIND_FD,
	SEALIFT_RXE_METHOD_DUMP_CQ,
	SEALIFT_RXE_METHOD_DUMP_MR,
	SEALIFT_RXE_METHOD_DUMP_QP,
	SEALIFT_RXE_METHOD_HINT,
	SEALIFT_RXE_METHOD_RESTORE_CQ,
	SEALIFT_RXE_METHOD_RESTORE_QP,
	SEALIFT_RXE_METHOD_ADOPT,
	SEALIFT_RXE_METHOD_LIST,
	SEALIFT_RXE_METHOD_DUMP_SRQ,
	SEALIFT_RXE_METHOD_RESTORE_SRQ,
	SEALIFT_RXE_METHOD_DUMP_AH,
	SEALIFT_RXE_METHOD_RESTORE_AH,
	SEALIFT_RXE_METHOD_MAY_WRITE,
	SEALIFT_RXE_METHOD_DUMP_EVENTS,
	SEALIFT_RXE_METHOD_RESTORE_EVENTS,
	SEALIFT_RXE_METHOD_DUMP_NAKS,
	SEALIFT_RXE_METHOD_RESTORE_NAK = SEALIFT_RXE_NS,
};

/*
 * QUERY: what the device is and whether it is held. No privilege needed.
 */
enum sealift_rxe_query_attrs {
	SEALIFT_RXE_ATTR_QUERY_OUT = SEALIFT_RXE_NS, /* OUT sealift_rxe_query */
};

struct sealift_rxe_query {
	__u32 abi_version;	/* SEALIFT_RXE_ABI_VERSION */
	__u32 held;		/* 0 or 1 */
	__u32 rnr_timer;	/* code 0..31 in use while held */
	__u32 num_qp;		/* queue pairs on the device */
	__u32 min_qpn;
	__u32 max_qpn;
	__u32 min_mr_index;	/* a key is index << 8 | low byte */
	__u32 max_mr_index;
	__u32 max_send_sge;
	__u32 max_rd_atomic;
	__u32 num_cq;
	__u32 num_mr;
	__u32 hold_flags;	/* enum sealift_rxe_hold_flags, of the last HOLD while held; else 0 */
	__u32 reserved;
	__aligned_u64 reserved2;
};

/*
 * HOLD: hold every queue pair of the device, those to come too. Returns when
 * nothing in a queue pair's state changes any more. Holding a held device
 * sets timer and flags and waits again.
 * While held, a queue that is mapped may be mapped again, by any process that
 * has its context open: a fork had given it to several.
 * With RECEIVE_UD, UD queue pairs still receive: a datagram takes a receive
 * request and completes it, with its events. Nobody sends, and other types are
 * held as without the flag. What wants a held device (DUMP, RESTORE) says -EBUSY.
 * Without CHOOSE each RC queue pair answers a new request with RNR NAK and
 * rnr_timer. With it, each chooses between RNR NAK, with any timer, and silence:
 * what its peer bears longest, if the peer is set up as the queue pair is.
 * rnr_timer is for peers that bear it for ever, and of queue pairs not in RTS.
 * LIST tells what each chooses. Requests that were done are acknowledged again.
 * -ETIMEDOUT: not idle within timeout_ms; the device is as it was before.
 */
enum sealift_rxe_hold_attrs {
	SEALIFT_RXE_ATTR_HOLD_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_hold */
};

enum sealift_rxe_hold_flags {
	SEALIFT_RXE_HOLD_RECEIVE_UD = 1 << 0,
	SEALIFT_RXE_HOLD_CHOOSE = 1 << 1,
};

struct sealift_rxe_hold {
	__u32 rnr_timer;	/* 0..31, as in ibv_qp_attr.min_rnr_timer */
	__u32 timeout_ms;	/* 1..SEALIFT_RXE_MAX_TIMEOUT_MS */
	__u32 flags;		/* enum sealift_rxe_hold_flags */
	__u32 reserved;		/* 0 */
};

/*
 * RESUME: end the hold; requests without an answer are repeated from the first
 * one. Resuming a device that is not held does nothing. All memory regions
 * must be registered by then.
 */
enum sealift_rxe_resume_attrs {
	SEALIFT_RXE_ATTR_RESUME_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_resume */
};

struct sealift_rxe_resume {
	__u32 flags;		/* 0 */
	__u32 reserved;		/* 0 */
};

/*
 * DUMP_CONTEXT: every object of the caller's context, oldest first.
 * -ENOSPC: the list is longer than `size`; `count` says how long.
 */
enum sealift_rxe_dump_context_attrs {
	SEALIFT_RXE_ATTR_DUMP_CONTEXT_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_buffer, of sealift_rxe_object; address 0: only count */
	SEALIFT_RXE_ATTR_DUMP_CONTEXT_OUT, /* OUT sealift_rxe_context */
};

struct sealift_rxe_buffer {
	__aligned_u64 address;
	__u32 size;		/* bytes */
	__u32 reserved;		/* 0 */
};

struct sealift_rxe_object {
	__u32 type;		/* UVERBS_OBJECT_* */
	__u32 handle;		/* of COMP_CHANNEL and ASYNC_EVENT: the descriptor that it was created on */
};

struct sealift_rxe_context {
	__u32 count;		/* objects */
	__u32 async;		/* list index of the ASYNC_EVENT object, or SEALIFT_RXE_NONE */
	__u32 async_pending;	/* unread events of the device or its port, bit IBV_EVENT_* each kind */
	__u32 num_comp_vectors;
	__u32 number;		/* of the context, as in sealift_rxe_device_object */
	/* for HINT, NEXT_*: the device tries these first for the next new objects */
	__u32 next_qpn;
	__u32 next_mr;
	__u32 next_mw;
	__u32 next_ah;
	__u32 reserved;
};

/*
 * LIST: every object on the device, of all contexts and of the kernel, in no
 * order. The device need not be held; what is created meanwhile may be missing.
 * It looks at each page of each region, in the memory of the region's owner.
 * -ENOSPC: the list is longer than `size`; `count` says how long.
 */
enum sealift_rxe_list_attrs {
	SEALIFT_RXE_ATTR_LIST_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_buffer, of sealift_rxe_device_object; address 0: only count */
	SEALIFT_RXE_ATTR_LIST_OUT, /* OUT sealift_rxe_list */
};

struct sealift_rxe_list {
	__u32 count;
	__u32 reserved;
};

enum sealift_rxe_kind {
	SEALIFT_RXE_KIND_CONTEXT,
	SEALIFT_RXE_KIND_PD,
	SEALIFT_RXE_KIND_AH,
	SEALIFT_RXE_KIND_SRQ,
	SEALIFT_RXE_KIND_QP,
	SEALIFT_RXE_KIND_CQ,
	SEALIFT_RXE_KIND_MR,
	SEALIFT_RXE_KIND_MW,
};

/* Of an object of LIST; of a region in DUMP_MR, too. */
enum sealift_rxe_object_flags {
	/* QP, AH: its source GID has left the device's table. It sends nothing, and RESTORE finds no such GID. */
	SEALIFT_RXE_OBJECT_NO_SOURCE = 1 << 0,
	/* QP, AH: it has a path, and its source GID is at sgid_index */
	SEALIFT_RXE_OBJECT_HAS_SOURCE = 1 << 1,
	/* MR: its owner has other memory at its addresses, or none (remapped_page); only the region has what was registered */
	SEALIFT_RXE_OBJECT_REMAPPED = 1 << 2,
};

/* Places in ring_offset and ring_size. */
enum sealift_rxe_list_rings {
	SEALIFT_RXE_LIST_RING,			/* of CQ or SRQ; of a QP its send queue */
	SEALIFT_RXE_LIST_RECEIVE_RING,		/* of a QP without SRQ */
	SEALIFT_RXE_LIST_RINGS,
};

struct sealift_rxe_device_object {
	__u32 kind;		/* enum sealift_rxe_kind */
	__u32 number;		/* CONTEXT: its number; QP: QPN; MR, MW: rkey; else unique for the kind */
	__u32 handle;		/* of the verbs object in its context; NONE for CONTEXT and the kernel's */
	__u32 context;		/* number of the context that it belongs to; NONE: the kernel's */
	__u32 owner;		/* process, in the caller's pid namespace: MR: whose memory it is; others: that created it; 0: not seen */
	__u32 type;		/* QP: enum ib_qp_type; MR: enum ib_mr_type; MW: enum ib_mw_type; else 0 */
	__u32 num_mcast;	/* QP: multicast groups that it is attached to; else 0 */
	/* QP of RC in RTS, SQD or SQE: how its peer retries, if it is set up the same. All of it 0 for others */
	__u32 budget_ms;	/* how long, in a hold with CHOOSE; NONE: no limit */
	__u8 has_peer;		/* 1 */
	__u8 rnr_retry;		/* as in sealift_rxe_qp_attr */
	__u8 retry_cnt;
	__u8 timeout;		/* 0..31 */
	__u8 silent;		/* such a hold answers nothing; else RNR NAK */
	__u8 rnr_timer;		/* with this timer, code 0..31 */
	__u8 flags;		/* of any object: enum sealift_rxe_object_flags */
	__u8 sgid_index;	/* with HAS_SOURCE; else 0 */
	/* MR of user memory: as in sealift_rxe_mr. The owner may have unmapped or protected it since. Else 0 */
	__aligned_u64 start;
	__aligned_u64 length;
	__u32 access;
	__u32 async_pending;	/* CQ, SRQ, QP: unread asynchronous events, bit IBV_EVENT_* each kind */
	__u32 comp_pending;	/* CQ: unread completion events */
	__u32 ring_size[SEALIFT_RXE_LIST_RINGS];	/* of the whole mapping, in bytes; 0: there is no such ring */
	__u32 remapped_page;	/* MR with REMAPPED: the first such page, counted from the one that start is in; else 0 */
	__aligned_u64 ring_offset[SEALIFT_RXE_LIST_RINGS];	/* where its mapping begins in the context's file */
};

/*
 * DUMP_CQ and RESTORE_CQ. The device must be held, without RECEIVE_UD (-EBUSY,
 * also while another call uses the queue). RESTORE_CQ wants a completion queue that is new, empty,
 * never had an event, and of the same ring geometry.
 * Buffer too small: -ENOSPC, struct filled. More than SEALIFT_RXE_MAX_EVENTS
 * completion events unread: DUMP_CQ says -E2BIG, struct filled.
 */
enum sealift_rxe_dump_cq_attrs {
	SEALIFT_RXE_ATTR_DUMP_CQ_HANDLE = SEALIFT_RXE_NS, /* IDR UVERBS_OBJECT_CQ */
	SEALIFT_RXE_ATTR_DUMP_CQ_IN, /* IN sealift_rxe_buffer for the ring; address 0: only the struct */
	SEALIFT_RXE_ATTR_DUMP_CQ_OUT, /* OUT sealift_rxe_cq */
};

enum sealift_rxe_restore_cq_attrs {
	SEALIFT_RXE_ATTR_RESTORE_CQ_HANDLE = SEALIFT_RXE_NS, /* IDR UVERBS_OBJECT_CQ */
	SEALIFT_RXE_ATTR_RESTORE_CQ_IN, /* IN sealift_rxe_cq */
	SEALIFT_RXE_ATTR_RESTORE_CQ_RING, /* IN sealift_rxe_buffer */
};

/*
 * DUMP_SRQ and RESTORE_SRQ. The device must be held (-EBUSY, also while another
 * call uses the queue). RESTORE_SRQ wants a shared receive queue that is new,
 * empty, without queue pairs, never had an event, and of the same ring geometry
 * and max_sge. Buffer too small: -ENOSPC, struct filled.
 * The driver has basic shared receive queues only (no XRC, no tag matching):
 * others cannot be created.
 */
enum sealift_rxe_dump_srq_attrs {
	SEALIFT_RXE_ATTR_DUMP_SRQ_HANDLE = SEALIFT_RXE_NS, /* IDR UVERBS_OBJECT_SRQ */
	SEALIFT_RXE_ATTR_DUMP_SRQ_IN, /* IN sealift_rxe_buffer for the ring; address 0: only the struct */
	SEALIFT_RXE_ATTR_DUMP_SRQ_OUT, /* OUT sealift_rxe_srq */
};

enum sealift_rxe_restore_srq_attrs {
	SEALIFT_RXE_ATTR_RESTORE_SRQ_HANDLE = SEALIFT_RXE_NS, /* IDR UVERBS_OBJECT_SRQ */
	SEALIFT_RXE_ATTR_RESTORE_SRQ_IN, /* IN sealift_rxe_srq */
	SEALIFT_RXE_ATTR_RESTORE_SRQ_RING, /* IN sealift_rxe_buffer */
};

/*
 * DUMP_MR. A region comes back through HINT and REG_MR, there is no RESTORE.
 * -EOPNOTSUPP: not a plain user memory region.
 */
enum sealift_rxe_dump_mr_attrs {
	SEALIFT_RXE_ATTR_DUMP_MR_HANDLE = SEALIFT_RXE_NS, /* IDR UVERBS_OBJECT_MR */
	SEALIFT_RXE_ATTR_DUMP_MR_OUT, /* OUT sealift_rxe_mr */
};

/*
 * DUMP_QP and RESTORE_QP. The device must be held (-EBUSY, also while another
 * call uses the queue pair). RESTORE_QP wants a
 * queue pair in RESET with the same number, type and ring geometry, and with a
 * shared receive queue if the dumped one had one; restores RC and UD only
 * (-EOPNOTSUPP). Restore completion queues and shared receive queues first,
 * register memory later, then resume. -EADDRNOTAVAIL: the device lacks the source address.
 * -EMSGSIZE: packets of its path MTU, or the longest that the source's port let
 * through if they are longer, are too long for the device's interface.
 * Of UD, what only a connection has is 0.
 * After an error the queue pair is only good to be destroyed.
 */
enum sealift_rxe_dump_qp_attrs {
	SEALIFT_RXE_ATTR_DUMP_QP_HANDLE = SEALIFT_RXE_NS, /* IDR UVERBS_OBJECT_QP */
	SEALIFT_RXE_ATTR_DUMP_QP_IN, /* IN sealift_rxe_qp_buffers; addresses may be 0 */
	SEALIFT_RXE_ATTR_DUMP_QP_OUT, /* OUT sealift_rxe_qp */
};

enum sealift_rxe_restore_qp_attrs {
	SEALIFT_RXE_ATTR_RESTORE_QP_HANDLE = SEALIFT_RXE_NS, /* IDR UVERBS_OBJECT_QP */
	SEALIFT_RXE_ATTR_RESTORE_QP_IN, /* IN sealift_rxe_qp */
	SEALIFT_RXE_ATTR_RESTORE_QP_BUFFERS, /* IN sealift_rxe_qp_buffers */
};

struct sealift_rxe_qp_buffers {
	struct sealift_rxe_buffer sq;	/* send ring */
	struct sealift_rxe_buffer rq;	/* receive ring */
	struct sealift_rxe_buffer res;	/* num_res sealift_rxe_res */
};

/*
 * DUMP_AH and RESTORE_AH. The device must be held (-EBUSY). CREATE_AH asks the
 * network for the destination's Ethernet address, unless it is a multicast one:
 * create the handle with a multicast address and any of the device's GIDs, and
 * RESTORE_AH gives it the path of the dumped one. It must have the same number.
 * -EADDRNOTAVAIL: the device lacks the source address.
 */
enum sealift_rxe_dump_ah_attrs {
	SEALIFT_RXE_ATTR_DUMP_AH_HANDLE = SEALIFT_RXE_NS, /* IDR UVERBS_OBJECT_AH */
	SEALIFT_RXE_ATTR_DUMP_AH_OUT, /* OUT sealift_rxe_ah */
};

enum sealift_rxe_restore_ah_attrs {
	SEALIFT_RXE_ATTR_RESTORE_AH_HANDLE = SEALIFT_RXE_NS, /* IDR UVERBS_OBJECT_AH */
	SEALIFT_RXE_ATTR_RESTORE_AH_IN, /* IN sealift_rxe_ah */
};

/*
 * ADOPT: make a context's file and the threads that use it share credentials
 * again, so that write() on it works after a restore. `fd` must be the file
 * that the method is called on (-EBADF).
 * tid: the file gets the credentials of that thread, as if it had opened it;
 * needs CAP_SYS_PTRACE in the initial user namespace too (-EPERM).
 * tid 0: the calling thread takes the file's credentials object if that is the
 * one of its process's first thread, allows just what its own does and both
 * threads have one label of AppArmor, SELinux or Smack (-EACCES). Needs a tracer
 * of the thread that has CAP_SYS_PTRACE in the initial user namespace (-EPERM).
 */
enum sealift_rxe_adopt_attrs {
	SEALIFT_RXE_ATTR_ADOPT_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_adopt */
};

struct sealift_rxe_adopt {
	__u32 fd;
	__u32 tid;		/* in the caller's pid namespace */
};

/*
 * MAY_WRITE: may thread `tid`, which is not 0, write() to the context's file,
 * as the doorbell of a send queue needs? A fork's child may not: its credentials
 * are a copy. -EACCES: it may not. Else as ADOPT.
 */
enum sealift_rxe_may_write_attrs {
	SEALIFT_RXE_ATTR_MAY_WRITE_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_adopt */
};

#endif /* SEALIFT_RXE_H */
