/* SPDX-License-Identifier: GPL-2.0 */
/* Parts of the image's records, made of the driver's structs. */
#ifndef SEALIFT_DRIVER_RXE_RECORD_H
#define SEALIFT_DRIVER_RXE_RECORD_H

#include <sealift_rxe.h>

#include "driver.h"

#define RXE_MAX_RING_BYTES	(64U << 20)
#define RXE_PORT		1

/* A ring without bytes is none. Return: 0 or -ENOMEM */
int rxe_add_ring(struct rings *rings, PB(Ring) kind, uint32_t handle,
		 const struct sealift_rxe_ring *ring);
/* NULL: no memory */
PB(DriverState) *rxe_new_state(const void *state, size_t size, size_t buffers);
PB(Path) *rxe_new_path(const struct sealift_rxe_av *av, uint32_t port, uint32_t dest_qpn);
/*
 * A buffer of the record itself, so that the driver fills the image in place.
 * Return: 0, -ENOMEM, or -EFBIG beyond RXE_MAX_RING_BYTES
 */
int rxe_reserve(PB(DriverState) *driver, unsigned int nth, uint32_t size,
		struct sealift_rxe_buffer *buffer);

/* Append the record of a queue pair; as struct driver's dump. */
int rxe_record_qp(int fd, uint32_t handle, PB(Context) *context, struct rings *rings);

#endif
