/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SEALIFT_DUMP_OWNER_H
#define SEALIFT_DUMP_OWNER_H

#include "dump_mapping.h"

/* A dumped process. */
struct owner {
	uint32_t inner;		/* its pid inside */
	uint64_t pinned;	/* pages that the kernel pins for devices */
};

/*
 * dump_owner_check - does each context's owner have all of its memory regions?
 * @contexts: all that were dumped, with their owners
 * @owners: all processes that hold one of them
 *
 * 0, or -EOPNOTSUPP with the reason in the log.
 */
int dump_owner_check(const struct dumped *contexts, size_t count, const struct owner *owners,
		     size_t owner_count);

#endif
