/* SPDX-License-Identifier: GPL-2.0 */
/* Bytes of which most are zero, or what they were some bytes before, in fewer bytes. */
#ifndef SEALIFT_PACK_H
#define SEALIFT_PACK_H

#include <stddef.h>
#include <stdint.h>

/* How many bytes pack() may need. */
#define PACK_ROOM(size) (((size) + 7) / 8 * 9 + 1)

/*
 * pack - each 8 bytes as a mask of those that are not zero, then these; a mask of 0 is followed by how many more such
 * groups there are
 * @out: PACK_ROOM(@size) bytes
 * Returns the packed size.
 */
size_t pack(const void *in, size_t size, uint8_t *out);

/* 0, or -EINVAL if @packed are not exactly @size bytes in that form. */
int unpack(const uint8_t *packed, size_t packed_size, void *out, size_t size);

/*
 * pack_elements - the same, of each 8 bytes XOR those of @stride bytes before
 * @stride: a multiple of 8; 0: as they are
 * @room: of @out
 * Returns 0 if it could take more.
 */
size_t pack_elements(const void *in, size_t size, size_t stride, uint8_t *out, size_t room);

int unpack_elements(const uint8_t *packed, size_t packed_size, void *out, size_t size, size_t stride);

#endif
