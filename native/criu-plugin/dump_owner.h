/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SEALIFT_DUMP_OWNER_H
#define SEALIFT_DUMP_OWNER_H

#include "dump_mapping.h"

/* A dumped process. */
struct owner {
	pid_t pid;
	uint32_t inner;		/* its pid inside */
	uint64_t pinned;	/* pages that the kernel pins for devices */
};

/*
 * dump_owner_find - in whose memory is each region?
 * @contexts: all that were dumped, with their owners; where the driver has said
 *	in whose memory a region is, that pid becomes the one inside
 * @owners: all dumped processes
 *
 * 0, or -EOPNOTSUPP with the reason in the log: a region is in the memory of a
 * process that is not dumped or has closed the context, or nobody knows whose.
 */
int dump_owner_find(struct dumped *contexts, size_t count, const struct owner *owners,
		     size_t owner_count);

#endif
