/* SPDX-License-Identifier: GPL-2.0 */
/* The restore's first half: contexts and all their objects but memory regions. */
#ifndef SEALIFT_BUILD_H
#define SEALIFT_BUILD_H

#include "restored.h"

/*
 * build_context - open the device and create everything but memory regions
 *
 * Runs in a restored task. Handles come out as they were: every handle up to
 * the highest one is first taken by a protection domain, and each object takes
 * the place of the one that it must have (the kernel hands out the lowest free
 * handle). What is still in the place of a region, or in no process, is removed
 * when the regions are there.
 * 0 or -errno with the reason in the log.
 */
int build_context(struct restored *restored);

#endif
