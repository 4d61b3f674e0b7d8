/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A queue in the image. Not an element is left out: one that nobody has posted
 * yet may be written already (ibv_wr_start()), and one that was read is still
 * the program's to look at. Most are zero or resemble the one before.
 */
#ifndef SEALIFT_DRIVER_RXE_RING_H
#define SEALIFT_DRIVER_RXE_RING_H

#include <sealift_rxe.h>

#include "image.h"

/*
 * rxe_pack_ring - make the bytes of a dumped queue fewer
 * What would not be fewer stays as it is: that is what the length says.
 * Return: 0 or -ENOMEM
 */
int rxe_pack_ring(ProtobufCBinaryData *bytes, const struct sealift_rxe_ring *ring);

/* A queue of an image as RESTORE wants it. */
struct rxe_ring_bytes {
	struct sealift_rxe_buffer buffer;
	void *memory;		/* for free(), after RESTORE; NULL if the buffer is the image's own */
};

/*
 * @room: bytes of the queue that was created for it, or more
 * Return: 0, -ENOMEM, or -EINVAL if @packed are not the bytes of just that queue
 */
int rxe_unpack_ring(const ProtobufCBinaryData *packed, const struct sealift_rxe_ring *ring, uint32_t room,
		    struct rxe_ring_bytes *bytes);

#endif
