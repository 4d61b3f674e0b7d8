/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Requests in a mapped ring. Apart from its users, as the header that
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

/* Let the receive request at @index begin at an element beyond the ring. */
void recv_ring_element(void *ring, uint32_t index);

/*
 * Let the request at @index carry the path to its destination itself, as those
 * of a provider that knows no numbers of address handles.
 */
void send_ring_path(void *ring, uint32_t index,
		    const struct sealift_rxe_av *path);

/* Overwrite the byte at @offset of the requests; it may be beyond them. */
void send_ring_poke(void *ring, size_t size, size_t offset, uint8_t value);

#endif /* SEND_RING_H */
