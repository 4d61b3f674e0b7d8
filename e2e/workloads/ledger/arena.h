/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of one stream: a part of the endpoint's memory region, divided into areas of equal items.
 * Both sides divide theirs alike, so that either finds an item in the peer's arena.
 */
#ifndef LEDGER_ARENA_H
#define LEDGER_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define STREAM_RING 32 /* records in each ring; more than STREAM_WINDOW */
#define STREAM_PAGES 64 /* pages; a READ may lag behind by several windows */
#define STREAM_SEND_DEPTH 64
#define STREAM_RECEIVE_DEPTH 64
#define MESSAGE_SIZE 64

/* The first group is written or read by the peer. */
enum area {
	AREA_WORDS, /* the word that FETCH_ADD changes, and the one that CMP_SWAP changes */
	AREA_WRITES,
	AREA_WRITE_IMMS,
	AREA_PAGES,
	AREA_RECEIVES,
	AREA_OUT_WRITES,
	AREA_OUT_WRITE_IMMS,
	AREA_IN_PAGES,
	AREA_OUT_MESSAGES,
	AREA_RESULTS, /* two a round: what FETCH_ADD and CMP_SWAP gave back */
	AREA_COUNT,
};

struct arena {
	uint8_t *base;
	size_t record_size;
};

/* Bytes that an arena for records of @record_size bytes needs, a multiple of 4096. */
size_t arena_size(size_t record_size);
/* Offset in bytes, in either side's arena, of item @number. Numbers wrap at the end of the area. */
size_t arena_offset(const struct arena *arena, enum area a, uint64_t number);
/* That item in this side's arena. */
void *arena_item(const struct arena *arena, enum area a, uint64_t number);

#endif
