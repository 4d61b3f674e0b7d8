/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/* The methods of NAKs that end a connection. Included by sealift_rxe.h. */
#ifndef SEALIFT_RXE_NAKS_H
#define SEALIFT_RXE_NAKS_H

#include <linux/types.h>

/*
 * DUMP_NAKS and RESTORE_NAK: a peer sends a NAK that ends the connection once,
 * and nothing after it. A held queue pair keeps it until RESUME. DUMP_QP gives
 * those that have come by then; DUMP_NAKS all of the device that queue pairs in
 * RTS or SQD keep, when nothing of the pod is heard any more. It has looked at
 * all packets that the device has received before the call.
 * RESTORE_NAK gives one to a restored queue pair, which obeys it at RESUME. One
 * that keeps a NAK already stays as it is.
 * The device must be held, with whatever flags (-EBUSY).
 * DUMP_NAKS: -ENOSPC: the list is longer than `size`; `count` says how long.
 * -ETIMEDOUT: what was received has not been looked at within a second.
 * RESTORE_NAK: -ENOENT: no such queue pair; -EINVAL: it is not of RC in RTS or
 * SQD, has sent no such PSN without an answer, or the NAK ends no connection.
 */
enum sealift_rxe_dump_naks_attrs {
	SEALIFT_RXE_ATTR_DUMP_NAKS_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_buffer, of sealift_rxe_nak; address 0: only count */
	SEALIFT_RXE_ATTR_DUMP_NAKS_OUT, /* OUT sealift_rxe_naks */
};

enum sealift_rxe_restore_nak_attrs {
	SEALIFT_RXE_ATTR_RESTORE_NAK_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_nak */
};

struct sealift_rxe_naks {
	__u32 count;
	__u32 reserved;
};

struct sealift_rxe_nak {
	__u32 qpn;
	__u32 psn;		/* of the request that the peer has refused */
	__u32 syndrome;		/* 0x61 invalid request, 0x62 remote access error, 0x63 remote operational error */
	__u32 reserved;		/* 0 */
};

#endif /* SEALIFT_RXE_NAKS_H */
