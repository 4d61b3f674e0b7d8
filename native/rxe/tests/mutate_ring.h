/* SPDX-License-Identifier: GPL-2.0 */
/* Random changes to the rings of an image. */
#ifndef MUTATE_RING_H
#define MUTATE_RING_H

#include "mutate_memory.h"
#include "victim.h"

/* Receive requests, @count of them or as many as fit. */
void mutate_receives(struct victim *v, const struct mutate_memory *mem,
		     unsigned int count);
/* Requests, some of them sent, and all that the image says of them. */
void mutate_requests(struct victim *v, const struct mutate_memory *mem);
/* The same of datagrams. */
void mutate_datagram_requests(struct victim *v, const struct mutate_memory *mem);
/* Set both indices in a ring's header. */
void mutate_indices(unsigned char *ring, uint32_t producer, uint32_t consumer);

#endif /* MUTATE_RING_H */
