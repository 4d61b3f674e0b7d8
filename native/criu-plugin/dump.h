/* SPDX-License-Identifier: GPL-2.0 */
/* The dump of the contexts of all processes. */
#ifndef SEALIFT_DUMP_H
#define SEALIFT_DUMP_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * dump_begin - forget what an earlier dump left in the image directory
 * @held_by_agent: the agent holds the device already, and will resume it
 */
int dump_begin(bool held_by_agent);

/*
 * dump_task - find, hold and dump the uverbs contexts of a frozen process
 * 0, -ENOTSUP if it has none, or another -errno with the reason in the log.
 */
int dump_task(pid_t pid);

/*
 * dump_file - CRIU meets the open file @fd and calls it @id from now on
 * Called once per file, after dump_task() for all processes.
 * -ENOTSUP: not an RDMA file.
 */
int dump_file(int fd, int id);

/* Close and free everything; @resume: also resume the devices that the plugin itself held. */
void dump_end(bool resume);

#endif
