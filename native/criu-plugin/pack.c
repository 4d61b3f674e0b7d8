// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>

#include "pack.h"

#define GROUP 8
#define MOST_ZEROS 255

/* The first one in the lowest bits. */
static uint64_t bytes_of(const uint8_t *in, size_t left)
{
	uint64_t bytes = 0;

	if (left >= GROUP)
		memcpy(&bytes, in, GROUP);
	else
		memcpy(&bytes, in, left);
	return bytes;
}

/* What the group at @at has that the one before has not. */
static uint64_t change(const uint8_t *in, size_t size, size_t stride, size_t at)
{
	uint64_t bytes = bytes_of(in + at, size - at);

	return stride && at >= stride ? bytes ^ bytes_of(in + at - stride, size - at) : bytes;
}

size_t pack_elements(const void *data, size_t size, size_t stride, uint8_t *out, size_t room)
{
	const uint8_t *in = data;
	uint8_t *end = out;

	for (size_t at = 0; at < size; at += GROUP) {
		uint64_t bytes = change(in, size, stride, at);
		uint8_t *mask = end, more = 0;

		if (room - (end - out) < 1 + GROUP)
			return 0;
		*end++ = 0;
		for (int i = 0; bytes; i++, bytes >>= 8) {
			if (!(bytes & 0xff))
				continue;
			*mask |= 1 << i;
			*end++ = bytes;
		}
		if (*mask)
			continue;
		while (more < MOST_ZEROS && at + GROUP < size && !change(in, size, stride, at + GROUP)) {
			at += GROUP;
			more++;
		}
		*end++ = more;
	}
	return end - out;
}

size_t pack(const void *data, size_t size, uint8_t *out)
{
	return pack_elements(data, size, 0, out, PACK_ROOM(size));
}

int unpack(const uint8_t *packed, size_t packed_size, void *data, size_t size)
{
	const uint8_t *end = packed + packed_size;
	uint8_t *out = data;
	size_t at = 0;

	memset(out, 0, size);
	while (packed < end && at < size) {
		uint8_t mask = *packed++;

		for (size_t i = 0; i < GROUP; i++) {
			if (!(mask & 1 << i))
				continue;
			/* one form only for the same bytes */
			if (packed == end || at + i >= size || !*packed)
				return -EINVAL;
			out[at + i] = *packed++;
		}
		at += GROUP;
		if (mask)
			continue;
		if (packed == end)
			return -EINVAL;
		at += *packed++ * GROUP;
	}
	return packed == end && at >= size && at < size + GROUP ? 0 : -EINVAL;
}

int unpack_elements(const uint8_t *packed, size_t packed_size, void *data, size_t size, size_t stride)
{
	int ret = unpack(packed, packed_size, data, size);
	uint8_t *out = data;

	if (ret || !stride)
		return ret;
	for (size_t at = stride; at < size; at += GROUP) {
		/* what is before it is whole by now */
		uint64_t bytes = change(out, size, stride, at);

		if (size - at >= GROUP)
			memcpy(out + at, &bytes, GROUP);
		else
			memcpy(out + at, &bytes, size - at);
	}
	return 0;
}
