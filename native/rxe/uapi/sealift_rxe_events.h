/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/* The methods of event files and unread asynchronous events. Included by sealift_rxe.h. */
#ifndef SEALIFT_RXE_EVENTS_H
#define SEALIFT_RXE_EVENTS_H

#include <linux/types.h>

/*
 * DUMP_EVENTS and RESTORE_EVENTS: the asynchronous events of a context that
 * nobody has read, oldest first: of its objects, of the port and of the device.
 * The device need not be held. RESTORE_EVENTS puts them before those that the
 * context has, so that what happens during the restore stays the newest. Last
 * it adds PORT_ACTIVE or PORT_ERR if the port is not in `port_state`. The objects
 * must have been restored.
 * DUMP_EVENTS: -ENOSPC: the list is longer than `size`; `count` says how long.
 * -E2BIG: more than SEALIFT_RXE_MAX_ASYNC_EVENTS, by the dump or in the end by
 * the restore. RESTORE_EVENTS: -EINVAL: an event that the object cannot have,
 * of the device itself, or for a context without a file of such events;
 * -EBUSY: another call uses the object. Nothing is restored after an error.
 */
enum sealift_rxe_dump_events_attrs {
	SEALIFT_RXE_ATTR_DUMP_EVENTS_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_buffer, of sealift_rxe_event; address 0: only count */
	SEALIFT_RXE_ATTR_DUMP_EVENTS_OUT, /* OUT sealift_rxe_events */
};

enum sealift_rxe_restore_events_attrs {
	SEALIFT_RXE_ATTR_RESTORE_EVENTS_IN = SEALIFT_RXE_NS, /* IN sealift_rxe_events */
	SEALIFT_RXE_ATTR_RESTORE_EVENTS_LIST, /* IN sealift_rxe_buffer, of as many sealift_rxe_event as `count` says */
};

struct sealift_rxe_events {
	__u32 count;
	/* enum ibv_port_state, 1 down or 4 active: what the last event of the list that tells of it says; if none does, the port's */
	__u32 port_state;
};

struct sealift_rxe_event {
	__u32 type;		/* enum ibv_event_type */
	__u32 object;		/* UVERBS_OBJECT_CQ, SRQ or QP; NONE: of the port or the device */
	__u32 handle;		/* of that object; else the number of the port, 0 of the device */
	__u32 reserved;		/* 0 */
};

/*
 * FIND_FD: which object of the context a descriptor stands for, by one of the two.
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

#endif /* SEALIFT_RXE_EVENTS_H */
