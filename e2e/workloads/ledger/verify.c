// SPDX-License-Identifier: Apache-2.0
#include "verify.h"

#include <inttypes.h>
#include <string.h>

#define RECORD_MAGIC 0x4c454447u /* "LEDG" */
#define RECORD_CONSUMED 0x44454e4fu
#define CLOCKS_AGREE_NS 250000000LL
/* So many CMP_SWAP values back an old one is still recognised. */
#define SWAP_HISTORY 64

void tally_merge(struct tally *into, const struct tally *from)
{
	into->operations += from->operations;
	into->lost += from->lost;
	into->duplicated += from->duplicated;
	into->corrupted += from->corrupted;
	into->reordered += from->reordered;
	if (from->longest_pause_ns > into->longest_pause_ns)
		into->longest_pause_ns = from->longest_pause_ns;
}

bool tally_clean(const struct tally *t)
{
	return !t->lost && !t->duplicated && !t->corrupted && !t->reordered;
}

void tally_print(FILE *out, const struct tally *t)
{
	fprintf(out,
		"{\"operations\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"duplicated\":%" PRIu64
		",\"corrupted\":%" PRIu64 ",\"reordered\":%" PRIu64 ",\"longestPauseMs\":%" PRIu64
		"}\n",
		t->operations, t->lost, t->duplicated, t->corrupted, t->reordered,
		t->longest_pause_ns / 1000000);
}

static bool bit_take(struct book *b, uint64_t number)
{
	uint64_t *word = &b->missing[number % BOOK_WINDOW / 64];
	uint64_t bit = 1ULL << (number % 64);
	bool was = *word & bit;

	*word &= ~bit;
	return was;
}

static void bit_put(struct book *b, uint64_t number)
{
	b->missing[number % BOOK_WINDOW / 64] |= 1ULL << (number % 64);
}

void book_see(struct book *b, uint64_t number, struct tally *t)
{
	if (number < b->next) {
		if (b->next - number <= BOOK_WINDOW && bit_take(b, number))
			t->reordered++;
		else
			t->duplicated++;
		return;
	}
	if (number - b->next > BOOK_WINDOW) {
		/* The number is wrong: it is beyond every window. */
		t->corrupted++;
		return;
	}
	for (; b->next < number; b->next++) {
		if (bit_take(b, b->next))
			t->lost++;
		bit_put(b, b->next);
	}
	if (bit_take(b, number))
		t->lost++;
	b->next = number + 1;
}

void book_close(struct book *b, uint64_t issued, struct tally *t)
{
	for (size_t i = 0; i < BOOK_WINDOW / 64; i++)
		t->lost += (uint64_t)__builtin_popcountll(b->missing[i]);
	memset(b->missing, 0, sizeof(b->missing));
	if (issued > b->next)
		t->lost += issued - b->next;
	else
		t->duplicated += b->next - issued;
	b->next = issued;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
	static uint32_t table[256];
	const uint8_t *p = data;

	if (!table[1]) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t r = i;

			for (int k = 0; k < 8; k++)
				r = r & 1 ? r >> 1 ^ 0x82f63b78u : r >> 1;
			table[i] = r;
		}
	}
	crc = ~crc;
	while (size--)
		crc = table[(crc ^ *p++) & 0xff] ^ crc >> 8;
	return ~crc;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static void payload_fill(uint8_t *payload, size_t size, uint16_t kind, uint16_t stream,
			 uint64_t number)
{
	uint64_t x = mix(number << 20 ^ (uint64_t)kind << 12 ^ stream);
	size_t n;

	for (; size; payload += n, size -= n) {
		n = size < sizeof(x) ? size : sizeof(x);
		memcpy(payload, &x, n);
		x += 0x9e3779b97f4a7c15ULL;
	}
}

static bool payload_is(const uint8_t *payload, size_t size, uint16_t kind, uint16_t stream,
		       uint64_t number)
{
	uint64_t x = mix(number << 20 ^ (uint64_t)kind << 12 ^ stream);
	size_t n;

	for (; size; payload += n, size -= n) {
		n = size < sizeof(x) ? size : sizeof(x);
		if (memcmp(payload, &x, n))
			return false;
		x += 0x9e3779b97f4a7c15ULL;
	}
	return true;
}

static uint32_t record_crc(const void *buf, size_t size)
{
	uint32_t crc = crc32c(0, buf, offsetof(struct record, crc));

	return crc32c(crc, (const uint8_t *)buf + sizeof(struct record),
		      size - sizeof(struct record));
}

void record_seal(void *buf, size_t size, enum record_kind kind, uint16_t stream, uint64_t number)
{
	struct record r = {
		.magic = RECORD_MAGIC,
		.kind = (uint16_t)kind,
		.stream = stream,
		.number = number,
		.length = (uint32_t)size,
	};

	memcpy(buf, &r, sizeof(r));
	r.crc = record_crc(buf, size);
	memcpy(buf, &r, sizeof(r));
}

void record_fill(void *buf, size_t size, enum record_kind kind, uint16_t stream, uint64_t number)
{
	payload_fill((uint8_t *)buf + sizeof(struct record), size - sizeof(struct record),
		     (uint16_t)kind, stream, number);
	record_seal(buf, size, kind, stream, number);
}

void record_consume(void *buf)
{
	uint32_t mark = RECORD_CONSUMED;

	memcpy((uint8_t *)buf + offsetof(struct record, magic), &mark, sizeof(mark));
}

bool record_is_back(const void *buf, enum record_kind kind, uint16_t stream, uint64_t number)
{
	struct record r;

	memcpy(&r, buf, sizeof(r));
	return r.magic == RECORD_MAGIC && r.kind == kind && r.stream == stream && r.number == number;
}

bool record_sealed(const void *buf, size_t size, enum record_kind kind, uint16_t stream,
		   struct tally *t)
{
	struct record r;

	memcpy(&r, buf, sizeof(r));
	if (r.magic == RECORD_MAGIC && r.kind == kind && r.stream == stream && r.length == size &&
	    r.crc == record_crc(buf, size))
		return true;
	t->corrupted++;
	return false;
}

bool record_check(const void *buf, size_t size, enum record_kind kind, uint16_t stream,
		  uint64_t number, struct tally *t)
{
	struct record r;

	memcpy(&r, buf, sizeof(r));
	if (r.magic == RECORD_CONSUMED || !r.magic ||
	    (r.magic == RECORD_MAGIC && r.number < number)) {
		/* The record here is older: the write has not arrived. */
		t->lost++;
		return false;
	}
	if (!record_sealed(buf, size, kind, stream, t))
		return false;
	if (r.number > number) {
		t->reordered++;
		return false;
	}
	if (!payload_is((const uint8_t *)buf + sizeof(r), size - sizeof(r), r.kind, stream,
			number)) {
		t->corrupted++;
		return false;
	}
	return true;
}

uint64_t add_step(uint64_t number)
{
	return 1 + number % 7;
}

void adder_see(struct adder *a, uint64_t fetched, struct tally *t)
{
	if (fetched < a->expected)
		t->lost++;
	else if (fetched > a->expected)
		t->duplicated++;
	/* Expect what follows from this value, so that one fault counts once. */
	a->expected = fetched + add_step(a->number);
	a->number++;
}

uint64_t swap_value(uint16_t stream, uint64_t number)
{
	return mix((uint64_t)stream << 48 ^ (number + 1));
}

void swap_see(uint16_t stream, uint64_t number, uint64_t fetched, struct tally *t)
{
	if (fetched == swap_value(stream, number))
		return;
	if (fetched == swap_value(stream, number + 1)) {
		t->duplicated++;
		return;
	}
	for (uint64_t back = 1; back <= SWAP_HISTORY && back <= number; back++) {
		if (fetched == swap_value(stream, number - back)) {
			t->lost++;
			return;
		}
	}
	t->corrupted++;
}

void pulse_beat(struct pulse *p, int64_t monotonic_ns, int64_t real_ns, struct tally *t)
{
	if (p->real_ns) {
		int64_t gap = monotonic_ns - p->monotonic_ns;
		int64_t wall = real_ns - p->real_ns;
		int64_t off = gap > wall ? gap - wall : wall - gap;

		if (off > CLOCKS_AGREE_NS)
			gap = wall;
		if (gap > 0 && (uint64_t)gap > t->longest_pause_ns)
			t->longest_pause_ns = (uint64_t)gap;
	}
	p->monotonic_ns = monotonic_ns;
	p->real_ns = real_ns;
}
