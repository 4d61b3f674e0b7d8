/* SPDX-License-Identifier: GPL-2.0 */
/* Where a queue is mapped. */
#ifndef RING_MAP_H
#define RING_MAP_H

#include <stdint.h>

/*
 * Where this process has a queue mapped, whose offset in the uverbs file @fd is
 * @offset. Exits the process if nowhere.
 */
void *ring_map(int fd, uint64_t offset);

#endif /* RING_MAP_H */
