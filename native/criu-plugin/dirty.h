/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SEALIFT_DIRTY_H
#define SEALIFT_DIRTY_H

#include <sys/types.h>

#include "image.h"

/*
 * dirty_regions - make CRIU see what the device wrote
 * @pid: the process that owns the regions
 *
 * The device writes to registered memory behind the page tables, so those
 * pages do not become soft-dirty and a dump on top of a pre-dump would leave
 * them out. Writing a byte of each page back over itself marks them. The
 * tasks are frozen and the device is held, so nobody else writes.
 * Does nothing if the image directory has no parent.
 */
int dirty_regions(int dir, const PB(Context) *context, pid_t pid);

#endif
