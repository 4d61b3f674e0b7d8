/* SPDX-License-Identifier: GPL-2.0 */
/* A dumped context, and the mappings of its rings in the processes. */
#ifndef SEALIFT_DUMP_MAPPING_H
#define SEALIFT_DUMP_MAPPING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "driver.h"

/* A context on its way to the image. */
struct dumped {
	int fd;
	const struct driver *driver;
	dev_t device;		/* of the uverbs node */
	PB(Context) *context;
	struct rings rings;
	bool held_by_us;
};

/* Note the process, and its mappings of uverbs nodes. @inner: its pid inside. */
int dump_collect_mappings(pid_t pid, uint32_t inner);

/* The noted processes; their pids inside come in @inner. */
size_t dump_process_count(void);
pid_t dump_process_at(size_t n, uint32_t *inner);

/* Turn those that are rings of @dumped into records. */
int dump_place_mappings(struct dumped *dumped);

/* -EOPNOTSUPP if some mapping is of no context. */
int dump_all_mappings_placed(void);
void dump_forget_mappings(void);

#endif
