/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Driver methods of Sealift's rdma_rxe, called through the ioctl interface of
 * /dev/infiniband/uverbsN (RDMA_VERBS_IOCTL, driver_id RDMA_DRIVER_RXE).
 *
 * Every method belongs to the object SEALIFT_RXE_OBJECT and, except QUERY
 * (and ADOPT for oneself), needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the user namespace that
 * owns the device's network namespace (else -EPERM).
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
#define SEALIFT_RXE_ABI_VERSION		1

#define SEALIFT_RXE_NONE		0xffffffffU
#define SEALIFT_RXE_MAX_SGE		32
#define SEALIFT_RXE_MAX_TIMEOUT_MS	60000

#define SEALIFT_RXE_NS			(1U << UVERBS_ID_NS_SHIFT)

enum sealift_rxe_objects {
	SEALIFT_RXE_OBJECT = SEALIFT_RXE_NS,
};

/* The object is the driver's, so all its methods are: numbered from 0, since
 * only 8 numbers above SEALIFT_RXE_NS exist.
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
	__aligned_u64 reserved[2];
};

/*
 * HOLD: hold every queue pair of the device, those to come too. Returns when
 * nothing in a queue pair's state changes any more. Holding a held device
 * sets the timer and waits again.
 * -ETIMEDOUT: not idle within timeout_ms; the device is as it was before.
 */
enum sealift_rxe_hold_attrs {
	SEALIFT_RXE_ATTR_HOLD_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_hold */
};

struct sealift_rxe_hold {
	__u32 rnr_timer;	/* 0..31, as in ibv_qp_attr.min_rnr_timer */
	__u32 timeout_ms;	/* 1..SEALIFT_RXE_MAX_TIMEOUT_MS */
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
	__u32 async_pending;	/* unread events of the device or its port, bit IBV_EVENT_* each */
	__u32 num_comp_vectors;
	__aligned_u64 reserved[2];
};

/*
 * FIND_FD: which object of the context a descriptor stands for. Exactly one of
 * the two FD attributes must be there.
 * -EBADF: the descriptor is not such an object, or of another context.
 */
enum sealift_rxe_find_fd_attrs {
	SEALIFT_RXE_ATTR_FIND_FD_COMP = SEALIFT_RXE_NS, /* FD of a completion channel, optional */
	SEALIFT_RXE_ATTR_FIND_FD_ASYNC, /* FD of an asynchronous event file, optional */
	SEALIFT_RXE_ATTR_FIND_FD_OUT, /* OUT sealift_rxe_fd */
};

struct sealift_rxe_fd {
	__u32 index;		/* in DUMP_CONTEXT's list */
	__u32 pending;		/* unread events */
};

/* A ring shared with user space: struct rxe_queue_buf, then the elements. */
struct sealift_rxe_ring {
	__aligned_u64 mmap_offset; /* of its mapping; ignored by RESTORE */
	__u32 mmap_size;	/* ignored by RESTORE */
	__u32 size;		/* bytes of the ring, header too */
	__u32 log2_elem_size;
	__u32 index_mask;	/* elements - 1 */
	__u32 index;		/* the driver's own: producer of a CQ, consumer of SQ and RQ */
	__u32 reserved;		/* 0 */
};

/*
 * DUMP_CQ and RESTORE_CQ. The device must be held (-EBUSY). RESTORE_CQ wants a
 * completion queue that is new, empty and of the same ring geometry.
 * Buffer too small: -ENOSPC, struct filled.
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

struct sealift_rxe_cq {
	struct sealift_rxe_ring ring;
	__aligned_u64 user_handle; /* pass it to CREATE_CQ again; ignored by RESTORE_CQ */
	__u32 cqe;		/* pass it to CREATE_CQ again */
	__u32 channel;		/* list index of its completion channel, or SEALIFT_RXE_NONE; ignored by RESTORE_CQ */
	__u32 notify;		/* 0, or 1 solicited | 2 next: a completion event is asked for */
	__u32 comp_pending;	/* unread completion events; RESTORE_CQ raises as many */
	__u32 comp_reported;	/* completion events already read */
	__u32 async_pending;	/* unread asynchronous events, bit IBV_EVENT_* each; RESTORE_CQ raises them */
	__u32 async_reported;	/* asynchronous events already read */
	__u32 reserved;		/* 0 */
};

/*
 * DUMP_MR. A region comes back through HINT and REG_MR, there is no RESTORE.
 * -EOPNOTSUPP: not a plain user memory region.
 */
enum sealift_rxe_dump_mr_attrs {
	SEALIFT_RXE_ATTR_DUMP_MR_HANDLE = SEALIFT_RXE_NS, /* IDR UVERBS_OBJECT_MR */
	SEALIFT_RXE_ATTR_DUMP_MR_OUT, /* OUT sealift_rxe_mr */
};

struct sealift_rxe_mr {
	__aligned_u64 start;	/* virtual address */
	__aligned_u64 length;
	__aligned_u64 iova;
	__u32 access;		/* IB_ACCESS_* */
	__u32 lkey;
	__u32 rkey;
	__u32 pd_handle;
	__u32 num_mw;		/* memory windows bound to it */
	__u32 reserved;
	__aligned_u64 reserved2;
};

/*
 * DUMP_QP and RESTORE_QP. The device must be held (-EBUSY). RESTORE_QP wants a
 * queue pair in RESET with the same number, type and ring geometry; restores
 * RC only (-EOPNOTSUPP). Restore completion queues first, register memory
 * later, then resume. -EADDRNOTAVAIL: the device lacks the source address.
 * -EMSGSIZE: packets of its path MTU are too long for the device's interface.
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

/* One entry of the responder's replay cache. */
enum sealift_rxe_res_type {
	SEALIFT_RXE_RES_EMPTY,
	SEALIFT_RXE_RES_READ,
	SEALIFT_RXE_RES_ATOMIC,
	SEALIFT_RXE_RES_ATOMIC_WRITE,
	SEALIFT_RXE_RES_FLUSH,
};

struct sealift_rxe_res {
	__u32 type;		/* enum sealift_rxe_res_type; if EMPTY the rest is 0 */
	__u32 first_psn;
	__u32 last_psn;
	__u32 rkey;		/* READ */
	__aligned_u64 va;	/* READ, FLUSH */
	__aligned_u64 orig_val;	/* ATOMIC: what the peer was or will be told */
	__u32 length;		/* READ, FLUSH */
	__u8 flush_type;
	__u8 flush_level;
	__u8 reserved[2];
};

struct sealift_rxe_sge {
	__aligned_u64 addr;
	__u32 length;
	__u32 lkey;
};

/* The receive request that an incoming message is being written to. */
struct sealift_rxe_recv_wqe {
	__aligned_u64 wr_id;
	__u32 length;
	__u32 resid;
	__u32 cur_sge;
	__u32 num_sge;
	__u32 sge_offset;
	__u32 present;		/* 0: none in progress, the rest is 0 */
	struct sealift_rxe_sge sge[SEALIFT_RXE_MAX_SGE];
};

/* The path to the peer, resolved: a restore asks no one. */
struct sealift_rxe_av {
	__u8 dgid[16];
	__u8 sgid[16];		/* RESTORE looks the index up by this */
	__u32 flow_label;
	__u8 sgid_index;	/* ignored by RESTORE */
	__u8 hop_limit;
	__u8 traffic_class;
	__u8 sl;		/* 0 */
	__u8 network_type;	/* 1 IPv4, 2 IPv6 */
	__u8 present;		/* 0: no path yet, the rest is 0 */
	__u8 dmac[6];
};

struct sealift_rxe_qp_attr {
	__u32 path_mtu;		/* enum ibv_mtu, 1..5 */
	__u32 dest_qpn;
	__u32 rq_psn;		/* as last set by the application */
	__u32 sq_psn;
	__u32 access_flags;
	__u32 pkey_index;
	__u32 port_num;
	__u32 timeout;		/* 0..31 */
	__u32 retry_cnt;	/* 0..7 */
	__u32 rnr_retry;	/* 0..7 */
	__u32 min_rnr_timer;	/* 0..31 */
	__u32 max_rd_atomic;	/* 0 or a power of two */
	__u32 max_dest_rd_atomic;
	__u32 sq_draining;	/* SQD: 1 until SQ_DRAINED is raised */
	__u32 qkey;
	__u32 reserved;
	struct sealift_rxe_av av;
};

struct sealift_rxe_req {
	__u32 wqe_index;
	__u32 psn;
	__u32 opcode;		/* of the last packet, SEALIFT_RXE_NONE at a message's start */
	__u32 rd_atomic;	/* READs and atomics that may still be sent */
	__u32 noack_pkts;
	__u32 ssn;
};

struct sealift_rxe_comp {
	__u32 psn;		/* first without an answer */
	__u32 opcode;
	__u32 retry_cnt;	/* what is left */
	__u32 rnr_retry;
	__u32 started_retry;
	__u32 reserved;
};

struct sealift_rxe_resp {
	__u32 msn;
	__u32 psn;		/* next one expected */
	__u32 ack_psn;
	__u32 opcode;
	__u32 drop_msg;
	__u32 sent_psn_nak;
	__u32 status;		/* enum ibv_wc_status */
	__u32 aeth_syndrome;
	__aligned_u64 va;	/* a message being written: where it goes on */
	__aligned_u64 offset;
	__u32 resid;
	__u32 rkey;
	__u32 length;
	__u32 res_head;
	struct sealift_rxe_recv_wqe wqe;
};

enum sealift_rxe_qp_flags {
	/* RESTORE_QP: put the queue pair in the error state; what was posted is flushed at RESUME. */
	SEALIFT_RXE_QP_ERROR = 1 << 0,
};

struct sealift_rxe_qp {
	__aligned_u64 user_handle; /* pass it to CREATE_QP again; ignored by RESTORE_QP */
	__u32 flags;		/* enum sealift_rxe_qp_flags; 0 in a dump */
	__u32 qpn;
	__u32 qp_type;		/* enum ibv_qp_type */
	__u32 state;		/* enum ibv_qp_state, kernel numbering: RESET 0 .. SQE 5, ERR 6 */
	__u32 sq_sig_all;
	__u32 pd_handle;	/* the handles are ignored by RESTORE_QP */
	__u32 send_cq_handle;
	__u32 recv_cq_handle;
	__u32 srq_handle;	/* or SEALIFT_RXE_NONE */
	__u32 num_mcast;	/* multicast groups joined */
	/* capabilities as they were granted: ask for them again and get the same rings */
	__u32 max_send_wr;
	__u32 max_send_sge;
	__u32 max_inline;
	__u32 max_recv_wr;
	__u32 max_recv_sge;
	__u32 src_port;		/* UDP; follows from the rest, RESTORE_QP checks it */
	__u32 num_res;		/* entries of the replay cache, max_dest_rd_atomic or 0 */
	__u32 async_pending;	/* as in sealift_rxe_cq */
	__u32 async_reported;
	__u32 reserved;		/* 0 */
	struct sealift_rxe_ring sq;
	struct sealift_rxe_ring rq; /* all 0 with an SRQ */
	struct sealift_rxe_qp_attr attr;
	struct sealift_rxe_req req;
	struct sealift_rxe_comp comp;
	struct sealift_rxe_resp resp;
};

/*
 * HINT: the next CREATE_QP or REG_MR of this context gets this number. The
 * create fails with -EEXIST, never with another number, if it is taken by then.
 * -EEXIST: taken now. NONE forgets a hint.
 */
enum sealift_rxe_hint_attrs {
	SEALIFT_RXE_ATTR_HINT_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_hint */
};

enum sealift_rxe_hint_type {
	SEALIFT_RXE_HINT_NONE,
	SEALIFT_RXE_HINT_QPN,	/* value: queue pair number */
	SEALIFT_RXE_HINT_MR,	/* value: lkey (= rkey) */
};

struct sealift_rxe_hint {
	__u32 type;		/* enum sealift_rxe_hint_type */
	__u32 value;		/* 0 with NONE */
};

/*
 * ADOPT: make a context's file and the threads that use it share credentials
 * again, so that write() on it works after a restore. `fd` must be the file
 * that the method is called on (-EBADF).
 * tid: the file gets the credentials of that thread, as if it had opened it.
 * tid 0: the calling thread takes the file's credentials object if that is the
 * one of its process's first thread and allows just what its own does
 * (-EACCES); needs no privilege.
 */
enum sealift_rxe_adopt_attrs {
	SEALIFT_RXE_ATTR_ADOPT_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_adopt */
};

struct sealift_rxe_adopt {
	__u32 fd;
	__u32 tid;		/* in the caller's pid namespace */
};

#endif /* SEALIFT_RXE_H */
