/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Requests in a mapped send ring. Apart from its users, as the header that
 * describes the ring goes with no other network header.
 */
#ifndef SEND_RING_H
#define SEND_RING_H

#include <stddef.h>
#include <stdint.h>

#include "sealift_rxe.h"

/* What a process may write to the request at @index of its ring. */
enum send_ring_change {
	SEND_RING_ERROR,	/* in error, with success for its status */
	SEND_RING_COUNTED,	/* counts against the READs under way */
	SEND_RING_OPCODE,	/* an opcode beyond all tables */
	SEND_RING_REG_MR,	/* the kernel's own opcode, with a pointer */
	SEND_RING_INLINE,	/* inline, with an offset beyond the ring */
	SEND_RING_ATOMIC_WRITE,	/* ATOMIC_WRITE of a whole packet */
	SEND_RING_ELEMENT,	/* an element beyond the ring */
};

void send_ring_change(void *ring, uint32_t index, enum send_ring_change change);

/*
 * Let the request at @index carry the path to its destination itself, as those
 * of a provider that knows no numbers of address handles.
 */
void send_ring_path(void *ring, uint32_t index,
		    const struct sealift_rxe_av *path);

/*
 * Let a process's index of its next request be @producer, and all requests but
 * the one at @keep be done.
 */
void send_ring_producer(void *ring, uint32_t producer, uint32_t keep);

/* Change the lengths of windows between @a and @b all the time, until *@stop. */
void send_ring_flip_window(void *ring, uint64_t a, uint64_t b, const int *stop);

/* Overwrite an index of the ring; it may be beyond it. */
void send_ring_index(void *ring, int is_producer, uint32_t value);
/* Overwrite the byte at @offset of the requests; it may be beyond them. */
void send_ring_poke(void *ring, size_t size, size_t offset, uint8_t value);

#endif /* SEND_RING_H */
