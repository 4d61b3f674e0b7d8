/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Requests in a mapped receive ring. Apart from its users, as the header that
 * describes the ring goes with no other network header.
 */
#ifndef RECV_RING_H
#define RECV_RING_H

#include <stdint.h>

#define RECV_RING_FAR	0x10000000	/* an element far beyond any ring */

/* The oldest request of the ring, as far as the driver has told. */
uint32_t recv_ring_oldest(const void *ring);
/* Let the request at @index say that it is at element @at of @num. */
void recv_ring_elements(void *ring, uint32_t index, uint32_t num, uint32_t at);
/* Write two numbers of elements in turns to the request at *@index, until *@stop. */
void recv_ring_flip(void *ring, const uint32_t *index, uint32_t a, uint32_t b,
		    const int *stop);

/*
 * Let an image's ring be full of requests without elements.
 * Return: index of the last one
 */
uint32_t recv_ring_fill(void *ring);

/* Post a request of one element; @resid: what is left of its @length. */
void recv_ring_post(void *ring, uint32_t length, uint32_t resid);

#endif /* RECV_RING_H */
