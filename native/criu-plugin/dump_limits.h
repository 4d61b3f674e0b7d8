/* SPDX-License-Identifier: GPL-2.0 */
/* Whether a device has room for the handles of all contexts at a restore. */
#ifndef SEALIFT_DUMP_LIMITS_H
#define SEALIFT_DUMP_LIMITS_H

#include "dump_mapping.h"

/*
 * dump_limits_check - can the handles of all contexts be given again?
 * 0, or -EOPNOTSUPP with the reason in the log.
 */
int dump_limits_check(const struct dumped *contexts, size_t count);

#endif
