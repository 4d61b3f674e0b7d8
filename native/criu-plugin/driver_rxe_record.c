// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>

#include "driver_rxe_record.h"

int rxe_add_ring(struct rings *rings, PB(Ring) kind, uint32_t handle,
		 const struct sealift_rxe_ring *ring)
{
	struct ring *grown;

	if (!ring->size)
		return 0;
	grown = realloc(rings->items, (rings->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	grown[rings->count++] = (struct ring){
		.kind = kind,
		.handle = handle,
		.offset = ring->mmap_offset,
		.size = ring->mmap_size,
	};
	rings->items = grown;
	return 0;
}

PB(DriverState) *rxe_new_state(const void *state, size_t size, size_t buffers)
{
	PB(DriverState) *driver = calloc(1, sizeof(*driver));

	if (!driver)
		return NULL;
	sealift__ibverbs__driver_state__init(driver);
	driver->buffers = calloc(buffers + 1, sizeof(*driver->buffers));
	if (!driver->buffers || image_bytes(&driver->state, state, size)) {
		free(driver->buffers);
		free(driver);
		return NULL;
	}
	driver->n_buffers = buffers;
	return driver;
}

int rxe_reserve(PB(DriverState) *driver, unsigned int nth, uint32_t size,
		struct sealift_rxe_buffer *buffer)
{
	if (size > RXE_MAX_RING_BYTES)
		return -EFBIG;
	driver->buffers[nth].data = calloc(1, size ? size : 1);
	if (!driver->buffers[nth].data)
		return -ENOMEM;
	driver->buffers[nth].len = size;
	buffer->address = size ? (uintptr_t)driver->buffers[nth].data : 0;
	buffer->size = size;
	return 0;
}

PB(Path) *rxe_new_path(const struct sealift_rxe_av *av, uint32_t port, uint32_t dest_qpn)
{
	PB(Path) *path = calloc(1, sizeof(*path));

	if (!path)
		return NULL;
	sealift__ibverbs__path__init(path);
	path->port = port;
	path->sgid_index = av->sgid_index;
	path->dest_qpn = dest_qpn;
	if (!image_bytes(&path->sgid, av->sgid, 16) && !image_bytes(&path->dgid, av->dgid, 16))
		return path;
	free(path->sgid.data);
	free(path);
	return NULL;
}
