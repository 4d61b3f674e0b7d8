/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts of the operations. There are neither verbs nor sockets in here, so that it can be
 * tested alone.
 */
#ifndef LEDGER_VERIFY_H
#define LEDGER_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What was found. Counts, except longest_pause_ns. */
struct tally {
	uint64_t operations;
	uint64_t lost;
	uint64_t duplicated;
	uint64_t corrupted;
	uint64_t reordered;
	uint64_t longest_pause_ns;
};

/* Adds the counts of @from to @into; keeps the longer of the two pauses. */
void tally_merge(struct tally *into, const struct tally *from);
/* True when nothing was lost, duplicated, corrupted or reordered. */
bool tally_clean(const struct tally *t);
/* One line of JSON, with a newline. */
void tally_print(FILE *out, const struct tally *t);

/*
 * An order book expects the numbers 0, 1, 2, ... each once and in order.
 * A number that comes late is "reordered", one that comes again "duplicated", one that has not come
 * when the book is closed (or BOOK_WINDOW numbers later) is "lost".
 */
#define BOOK_WINDOW 1024

struct book {
	uint64_t next;
	uint64_t missing[BOOK_WINDOW / 64];
};

void book_see(struct book *b, uint64_t number, struct tally *t);
/* @issued: how many numbers the other side gave out. */
void book_close(struct book *b, uint64_t issued, struct tally *t);

/* A record is a header and a payload that is derived from the header's fields. */
enum record_kind {
	RECORD_WRITE = 1,
	RECORD_WRITE_IMM,
	RECORD_PAGE,
	RECORD_MESSAGE,
};

struct record {
	uint32_t magic;
	uint16_t kind;
	uint16_t stream;
	uint64_t number;
	uint32_t length;
	uint32_t crc;
};

/* Fills @size bytes at @buf with the record (kind, stream, number). @size >= sizeof(struct record). */
void record_fill(void *buf, size_t size, enum record_kind kind, uint16_t stream, uint64_t number);
/* Writes header and checksum around a payload that the caller has placed behind the header. */
void record_seal(void *buf, size_t size, enum record_kind kind, uint16_t stream, uint64_t number);
/* Marks a checked record as consumed: it must not become valid again by itself. */
void record_consume(void *buf);
/* True when the record is one that was consumed and is now there a second time. */
bool record_is_back(const void *buf, enum record_kind kind, uint16_t stream, uint64_t number);
/*
 * Checks that @buf contains exactly the record (kind, stream, number) and counts what is wrong:
 * an older record is a lost write, a newer one a reordered write, anything else corruption.
 * Returns true when it is right.
 */
bool record_check(const void *buf, size_t size, enum record_kind kind, uint16_t stream,
		  uint64_t number, struct tally *t);
/* As record_check, for a payload that the caller interprets: only header and checksum. */
bool record_sealed(const void *buf, size_t size, enum record_kind kind, uint16_t stream,
		   struct tally *t);

/*
 * FETCH_ADD: operation n adds add_step(n). The value that comes back is the sum of all steps before:
 * less means that an earlier add was lost, more that one was done twice.
 */
struct adder {
	uint64_t expected;
	uint64_t number;
};

uint64_t add_step(uint64_t number);
void adder_see(struct adder *a, uint64_t fetched, struct tally *t);

/*
 * CMP_SWAP: operation n compares with swap_value(stream, n) and puts swap_value(stream, n + 1).
 * Finding the new value means that it ran twice, finding an older one that an earlier one was lost.
 */
uint64_t swap_value(uint16_t stream, uint64_t number);
void swap_see(uint16_t stream, uint64_t number, uint64_t fetched, struct tally *t);

/*
 * The longest time between two completed operations. A process that was moved finds another host's
 * monotonic clock, so when the two clocks disagree the wall clock's difference counts.
 */
struct pulse {
	int64_t monotonic_ns;
	int64_t real_ns;
};

void pulse_beat(struct pulse *p, int64_t monotonic_ns, int64_t real_ns, struct tally *t);

uint32_t crc32c(uint32_t crc, const void *data, size_t size);

#endif
