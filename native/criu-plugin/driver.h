/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The seam behind which a device driver's own methods lie. Everything else in
 * the plugin speaks verbs only.
 */
#ifndef SEALIFT_DRIVER_H
#define SEALIFT_DRIVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "image.h"
#include "uverbs.h"

struct driver_info {
	uint32_t abi;
	bool held;
};

/* Where a ring of the dumped context was mapped from. */
struct ring {
	PB(Ring) kind;
	uint32_t handle;
	uint64_t offset;
	uint64_t size;
	const PB(Mapping) *last;	/* of it that was placed last */
};

struct rings {
	struct ring *items;
	size_t count;
};

/* Keys of hint_keys(). */
#define DRIVER_KEYS_MAX 256

/*
 * All take a descriptor of an open uverbs context (query: of the node) and
 * return 0 or -errno; what failed is in the log then.
 */
struct driver {
	const char *name;
	uint32_t abi;

	/* -EOPNOTSUPP, without a line in the log: not this driver's device. */
	int (*query)(int fd, struct driver_info *info);
	int (*hold)(int fd);
	int (*resume)(int fd);

	/*
	 * Append the context's objects to @context and its rings to @rings. A
	 * region's pid, if the driver knows it, is as this process sees it; 0
	 * for a process that has ended.
	 * -EOPNOTSUPP: an object that cannot be moved.
	 */
	int (*dump)(int fd, PB(Context) *context, struct rings *rings);

	/* Which event file of the context @event_fd is, and its unread events; -EBADF: none of it. */
	int (*find_file)(int fd, int event_fd, PB(FileKind) *kind, uint32_t *index,
			 uint32_t *unread);

	/* Create and fill; @offset, for mmap(), of the CQ's or SRQ's ring; of SQ and RQ. */
	int (*restore_cq)(int fd, const PB(CompletionQueue) *cq, int channel_fd,
			  uint32_t *handle, uint64_t *offset);
	int (*restore_srq)(int fd, const PB(SharedReceiveQueue) *srq, uint32_t *handle,
			   uint64_t *offset);
	int (*restore_ah)(int fd, const PB(AddressHandle) *ah, uint32_t *handle);
	int (*restore_qp)(int fd, const PB(QueuePair) *qp, bool error, uint32_t *handle,
			  uint64_t offset[2]);

	/*
	 * Put the unread asynchronous events of @file before those that the
	 * context has, when all its objects are restored.
	 */
	int (*restore_events)(int fd, const PB(EventFile) *file);

	/* The device goes on with new objects' numbers where the dumped one would have. */
	int (*restore_numbers)(int fd, const PB(Driver) *driver);

	/* The next regions registered in this context get these keys, DRIVER_KEYS_MAX at most, in this order. */
	int (*hint_keys)(int fd, const uint32_t *keys, size_t count);

	/*
	 * The context's file gets the credentials of thread @tid, as if that
	 * had opened it. The second is called in each other thread of the
	 * process, on its own descriptor @fd, so it is only built here.
	 */
	int (*adopt_file)(int fd, pid_t tid);
	void (*build_adopt_thread)(struct uverbs_cmd *cmd, uint64_t base, int fd);

	/* Has thread @tid the credentials of the context's file? 0; -EACCES: no. */
	int (*may_write)(int fd, pid_t tid);
};

/* The driver that answers on @fd, or NULL. */
const struct driver *driver_of(int fd, struct driver_info *info);
const struct driver *driver_by_name(const char *name);

extern const struct driver driver_rxe;

#endif
