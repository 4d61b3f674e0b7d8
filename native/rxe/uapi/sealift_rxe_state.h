/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What a completion queue, a shared receive queue, a memory region, an address
 * handle or a queue pair is: DUMP fills these structs, RESTORE takes them, and
 * images keep them as they are. Included by sealift_rxe.h.
 */
#ifndef SEALIFT_RXE_STATE_H
#define SEALIFT_RXE_STATE_H

#include <linux/types.h>

/* A ring shared with user space: struct rxe_queue_buf, then the elements. */
struct sealift_rxe_ring {
	/* of its mapping. RESTORE puts a queue that nobody has mapped there; 0: anywhere. A whole page, below
	 * 2^62, and in no other mapping of the context
	 */
	__aligned_u64 mmap_offset;
	__u32 mmap_size;	/* ignored by RESTORE */
	__u32 size;		/* bytes of the ring, header too */
	__u32 log2_elem_size;
	__u32 index_mask;	/* elements - 1 */
	__u32 index;		/* the driver's own: producer of a CQ, consumer of SQ, RQ and SRQ */
	__u32 reserved;		/* 0 */
};

struct sealift_rxe_cq {
	struct sealift_rxe_ring ring;
	__aligned_u64 user_handle; /* pass it to CREATE_CQ again; ignored by RESTORE_CQ */
	__u32 cqe;		/* pass it to CREATE_CQ again */
	__u32 channel;		/* list index of its completion channel, or SEALIFT_RXE_NONE; ignored by RESTORE_CQ */
	__u32 notify;		/* 0, or 1 solicited | 2 next: a completion event is asked for */
	__u32 comp_pending;	/* unread completion events; RESTORE_CQ raises as many */
	__u32 comp_reported;	/* completion events already read */
	__u32 async_pending;	/* unread asynchronous events, bit IBV_EVENT_* each kind; RESTORE_EVENTS brings them back */
	__u32 async_reported;	/* asynchronous events already read */
	__u32 reserved;		/* 0 */
};

struct sealift_rxe_srq {
	struct sealift_rxe_ring ring;
	__aligned_u64 user_handle; /* pass it to CREATE_SRQ again; ignored by RESTORE_SRQ */
	__u32 pd_handle;	/* ignored by RESTORE_SRQ */
	__u32 max_wr;		/* pass it to CREATE_SRQ again and get the same ring, also after a resize */
	__u32 max_sge;		/* the same */
	__u32 limit;		/* a limit event is asked for below so many requests, 0: none; CREATE_SRQ takes any */
	__u32 async_pending;	/* as in sealift_rxe_cq */
	__u32 async_reported;
	__aligned_u64 reserved;	/* 0 */
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
	__u32 owner;		/* process whose memory it is, in the caller's pid namespace; 0: none that runs and that the caller can see */
	__u32 flags;		/* enum sealift_rxe_object_flags */
	__u32 remapped_page;	/* as in sealift_rxe_device_object */
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
	__aligned_u64 orig_val;	/* ATOMIC: value returned to the peer */
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

struct sealift_rxe_ah {
	__aligned_u64 user_handle; /* pass it to CREATE_AH again; ignored by RESTORE_AH */
	__u32 pd_handle;	/* ignored by RESTORE_AH */
	/* HINT it to CREATE_AH; send requests name the handle by it. 0: they have a copy of the path instead, and
	 * CREATE_AH had, and must have, no room for the number in its answer
	 */
	__u32 number;
	struct sealift_rxe_av av;
};

struct sealift_rxe_qp_attr {
	__u32 path_mtu;		/* enum ibv_mtu, 1..5; of UD the longest datagram, as the port's active MTU says */
	__u32 dest_qpn;		/* its lower 24 bits are sent */
	__u32 rq_psn;		/* as last set by the application */
	__u32 sq_psn;
	__u32 access_flags;
	__u32 pkey_index;
	__u32 port_num;
	__u32 timeout;		/* 0..31 */
	__u32 retry_cnt;	/* 0..255, and the next two: modify_qp takes any */
	__u32 rnr_retry;
	__u32 min_rnr_timer;	/* its lower 5 bits are sent */
	__u32 max_rd_atomic;	/* 0 or a power of two */
	__u32 max_dest_rd_atomic;
	__u32 sq_draining;	/* SQD: 1 until SQ_DRAINED is raised */
	__u32 qkey;
	__u8 en_sqd_async_notify; /* kept for QUERY_QP, and the next */
	__u8 path_mig_state;	/* enum ibv_mig_state */
	__u8 active_mtu;	/* enum ibv_mtu, 1..5: of the port that it was dumped on */
	__u8 reserved;		/* 0 */
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
	__u32 rnr_wait;		/* us until an RNR wait is over, 0: no wait */
	/* a NAK that ends the connection, heard in the hold and obeyed after RESUME */
	__u32 nak_psn;
	__u32 nak_syndrome;	/* 0: none, then nak_psn is 0 */
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
	__u32 last_wqe_reached;	/* 1: has raised LAST_WQE_REACHED; with an SRQ, in the error state */
	struct sealift_rxe_ring sq;
	struct sealift_rxe_ring rq; /* all 0 with an SRQ */
	struct sealift_rxe_qp_attr attr;
	struct sealift_rxe_req req;
	struct sealift_rxe_comp comp;
	struct sealift_rxe_resp resp;
};

#endif /* SEALIFT_RXE_STATE_H */
