// SPDX-License-Identifier: Apache-2.0
#include "arena.h"

static size_t area_item(enum area a, size_t record)
{
	return a == AREA_WORDS || a == AREA_RESULTS ? sizeof(uint64_t) :
	       a == AREA_RECEIVES || a == AREA_OUT_MESSAGES ? MESSAGE_SIZE : record;
}

static size_t area_items(enum area a)
{
	switch (a) {
	case AREA_WORDS:
		return 2;
	case AREA_PAGES:
		return STREAM_PAGES;
	case AREA_RECEIVES:
		return STREAM_RECEIVE_DEPTH;
	case AREA_OUT_MESSAGES:
		return STREAM_SEND_DEPTH;
	case AREA_RESULTS:
		return 2 * STREAM_RING;
	default:
		return STREAM_RING;
	}
}

static size_t area_offset(enum area a, size_t record)
{
	size_t at = 0;

	for (int i = 0; i < (int)a; i++)
		at += (area_item(i, record) * area_items(i) + 63) & ~63UL;
	return at;
}

size_t arena_size(size_t record_size)
{
	return (area_offset(AREA_COUNT, record_size) + 4095) & ~4095UL;
}

size_t arena_offset(const struct arena *arena, enum area a, uint64_t number)
{
	return area_offset(a, arena->record_size) +
	       (size_t)(number % area_items(a)) * area_item(a, arena->record_size);
}

void *arena_item(const struct arena *arena, enum area a, uint64_t number)
{
	return arena->base + arena_offset(arena, a, number);
}
