/* SPDX-License-Identifier: GPL-2.0 */
/* What random images may refer to. */
#ifndef MUTATE_MEMORY_H
#define MUTATE_MEMORY_H

#include <stdint.h>

/* A region and a handle that the image's queue pair may use. */
struct mutate_memory {
	uint64_t address;
	uint32_t size;
	uint32_t key;		/* lkey = rkey */
	uint32_t handle;	/* number of an address handle, or 0 */
};

#endif /* MUTATE_MEMORY_H */
