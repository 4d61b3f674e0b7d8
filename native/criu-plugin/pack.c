// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "pack.h"

#define GROUP 8
#define MOST_ZEROS 255

/* The mask of the group at @at. */
static uint8_t mask_of(const uint8_t *in, size_t size, size_t at)
{
	uint8_t mask = 0;

	for (size_t i = 0; i < GROUP && at + i < size; i++)
		mask |= (in[at + i] != 0) << i;
	return mask;
}

size_t pack(const void *data, size_t size, uint8_t *out)
{
	const uint8_t *in = data;
	uint8_t *end = out;

	for (size_t at = 0; at < size; at += GROUP) {
		uint8_t mask = mask_of(in, size, at), more = 0;

		*end++ = mask;
		for (size_t i = 0; i < GROUP; i++)
			if (mask & 1 << i)
				*end++ = in[at + i];
		if (mask)
			continue;
		while (more < MOST_ZEROS && at + GROUP < size && !mask_of(in, size, at + GROUP)) {
			at += GROUP;
			more++;
		}
		*end++ = more;
	}
	return end - out;
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
