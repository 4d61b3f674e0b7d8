/* SPDX-License-Identifier: GPL-2.0 */
/* Whether unread asynchronous events allow a dump. */
#ifndef SEALIFT_DUMP_EVENTS_H
#define SEALIFT_DUMP_EVENTS_H

#include "driver.h"

/*
 * dump_events_check - does a restore bring back a context's unread asynchronous events?
 * @events: what the driver says of them
 * @unread: how many are in the context's event file
 *
 * 0, or -EOPNOTSUPP with the reason in the log.
 */
int dump_events_check(const struct async_events *events, uint32_t unread);

#endif
