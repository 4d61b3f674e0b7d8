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

#endif
