// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>

#include "driver_rxe_record.h"
#include "driver_rxe_ring.h"
#include "pack.h"

#define LOG2_GROUP 3	/* pack_elements() looks at so many bytes at once */

/* Whatever an image says: of no elements the bytes are packed as they are. */
static size_t stride_of(const struct sealift_rxe_ring *ring)
{
	return ring->log2_elem_size < LOG2_GROUP || ring->log2_elem_size > 31 ? 0 : (size_t)1 << ring->log2_elem_size;
}

int rxe_pack_ring(ProtobufCBinaryData *bytes, const struct sealift_rxe_ring *ring)
{
	uint8_t *packed, *shrunk;
	size_t size;

	if (!bytes->len)
		return 0;
	packed = malloc(bytes->len);
	if (!packed)
		return -ENOMEM;
	size = pack_elements(bytes->data, bytes->len, stride_of(ring), packed, bytes->len - 1);
	if (!size) {
		free(packed);
		return 0;
	}
	shrunk = realloc(packed, size);
	free(bytes->data);
	bytes->data = shrunk ? shrunk : packed;
	bytes->len = size;
	return 0;
}

int rxe_unpack_ring(const ProtobufCBinaryData *packed, const struct sealift_rxe_ring *ring, uint32_t room,
		    struct rxe_ring_bytes *bytes)
{
	*bytes = (struct rxe_ring_bytes){ .buffer.size = ring->size };
	/* before anything is done for it: a few bytes can say that they are many */
	if (ring->size > RXE_MAX_RING_BYTES || ring->size > room || packed->len > ring->size)
		return -EINVAL;
	if (packed->len == ring->size) {
		bytes->buffer.address = ring->size ? (uintptr_t)packed->data : 0;
		return 0;
	}
	bytes->memory = malloc(ring->size);
	if (!bytes->memory)
		return -ENOMEM;
	bytes->buffer.address = (uintptr_t)bytes->memory;
	return unpack_elements(packed->data, packed->len, bytes->memory, ring->size, stride_of(ring));
}
