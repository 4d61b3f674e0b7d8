/* SPDX-License-Identifier: GPL-2.0 */
/* The process in whose memory each region is. */
#ifndef SEALIFT_DUMP_OWNER_H
#define SEALIFT_DUMP_OWNER_H

#include "dump_mapping.h"

/* A dumped process. */
struct owner {
	pid_t pid;
	uint32_t inner;		/* its pid inside */
};

/*
 * dump_owner_find - in whose memory is each region?
 * @contexts: all that were dumped; the pid of each region, which the driver has
 *	reported, becomes the one inside
 * @owners: all dumped processes
 *
 * 0, or -EOPNOTSUPP with the reason in the log: a region is in the memory of a
 * process that has ended, is not dumped or has closed the context.
 */
int dump_owner_find(struct dumped *contexts, size_t count, const struct owner *owners,
		     size_t owner_count);

/*
 * dump_owner_choose - which process gets the context's file after a restore?
 *
 * The one that may write() to it now, and so ring the doorbell. A fork's children
 * have descriptors and queues too, but never the opener's credentials. If the
 * opener has ended nobody rings; the oldest process that has a descriptor and
 * queues gets the file then.
 * 0 or -errno with the reason in the log.
 */
int dump_owner_choose(struct dumped *dumped, const struct owner *owners, size_t owner_count);

#endif
