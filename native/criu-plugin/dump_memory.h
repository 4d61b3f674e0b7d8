/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SEALIFT_DUMP_MEMORY_H
#define SEALIFT_DUMP_MEMORY_H

#include <sys/types.h>

#include "image.h"

/*
 * dump_memory_check - can the context's regions be registered again?
 * @pid: the process that owns them
 * 0, -EOPNOTSUPP, or another -errno, with the reason in the log.
 */
int dump_memory_check(const PB(Context) *context, pid_t pid);

#endif
