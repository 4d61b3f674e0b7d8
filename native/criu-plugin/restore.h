/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A restore has two halves. In RESTORE_EXT_FILE, inside a restored task, the
 * context is built: everything but memory regions. In RESUME_DEVICES_LATE,
 * in CRIU's main process, queues are mapped and memory is registered (late.h).
 */
#ifndef SEALIFT_RESTORE_H
#define SEALIFT_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * restore_begin - read and check the images
 * @listed: the inventory says that the plugin took part in the dump
 */
int restore_begin(bool listed, bool agent);
void restore_end(void);

/* The descriptor for CRIU's external file @id, -ENOTSUP if it is not ours. */
int restore_file(int id);

/* A stand-in that keeps a queue's place in memory until it can be mapped. */
int restore_placeholder(const char *path, uint64_t *offset, int *fd);

#endif
