/* SPDX-License-Identifier: GPL-2.0 */
/* rxe's part of a dump. */
#ifndef SEALIFT_DRIVER_RXE_DUMP_H
#define SEALIFT_DRIVER_RXE_DUMP_H

#include "driver.h"

/* See struct driver. */
int rxe_dump(int fd, PB(Context) *context, struct rings *rings);

#endif
