/* SPDX-License-Identifier: GPL-2.0 */
/* Whether a context's memory regions can be registered again. */
#ifndef SEALIFT_DUMP_MEMORY_H
#define SEALIFT_DUMP_MEMORY_H

#include <sys/types.h>

#include "image.h"

/*
 * dump_memory_check - can the context's regions in a process's memory be registered again?
 * @inner: the process's pid inside
 * @pid: its pid here
 * 0, -EOPNOTSUPP, or another -errno, with the reason in the log.
 */
int dump_memory_check(const PB(Context) *context, uint32_t inner, pid_t pid);

/*
 * dump_memory_is_whole - will the images hold all that the device has written?
 * @dir: the image directory
 *
 * CRIU leaves out what is in the images of an earlier dump (its parent) and was
 * not written since, as the page tables say: they know nothing of a device's writes.
 * 0, or -EOPNOTSUPP with the reason in the log.
 */
int dump_memory_is_whole(int dir, const PB(Context) *context);

#endif
