/* SPDX-License-Identifier: GPL-2.0 */
/* Unread asynchronous events of a context, between the driver's list and the image's record. */
#ifndef SEALIFT_DRIVER_RXE_EVENTS_H
#define SEALIFT_DRIVER_RXE_EVENTS_H

#include <sealift_rxe.h>

#include "driver.h"

/* Fill the record of the context's own file. 0 or -errno, with the reason in the log. */
int rxe_record_events(int fd, PB(EventFile) *file);

/* See struct driver, restore_events. */
int rxe_restore_file_events(int fd, const PB(EventFile) *file);

/*
 * One event. -EOPNOTSUPP, with the reason in the log: an event of a failed device, or
 * of an object that cannot be moved. -ENOMEM.
 */
int rxe_add_event(PB(EventFile) *file, const struct sealift_rxe_event *event);
void rxe_to_event(const PB(AsyncEvent) *record, struct sealift_rxe_event *event);

#endif
