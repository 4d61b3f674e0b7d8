/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Requests in a mapped send ring. Apart from its users, as the header that
 * describes the ring goes with no other network header.
 */
#ifndef SEND_RING_H
#define SEND_RING_H

#include <stdint.h>

/* The request at @index is in error, with success for its status. */
void send_ring_set_error(void *ring, uint32_t index);
/* The request at @index counts against the READs under way. */
void send_ring_set_read(void *ring, uint32_t index);

#endif /* SEND_RING_H */
