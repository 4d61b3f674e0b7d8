// SPDX-License-Identifier: Apache-2.0
/* Unit tests of the verifier: every kind of damage must be seen, and only that kind. */
#include "verify.h"

#include <stdlib.h>
#include <string.h>

static unsigned int wrong;

static void check(bool ok, const char *what, int line)
{
	if (ok)
		return;
	wrong++;
	fprintf(stderr, "verify_test.c:%d: FAILED: %s\n", line, what);
}

#define CHECK(x) check((x), #x, __LINE__)

static bool is(const struct tally *t, uint64_t lost, uint64_t duplicated, uint64_t corrupted,
	       uint64_t reordered)
{
	return t->lost == lost && t->duplicated == duplicated && t->corrupted == corrupted &&
	       t->reordered == reordered;
}

/* Feeds the numbers (ended by -1) to a book that is closed with @issued. */
static struct tally book_of(const int64_t *numbers, uint64_t issued)
{
	struct book b = { 0 };
	struct tally t = { 0 };

	for (; *numbers >= 0; numbers++)
		book_see(&b, (uint64_t)*numbers, &t);
	book_close(&b, issued, &t);
	return t;
}

static void test_book(void)
{
	struct tally t;

	t = book_of((int64_t[]){ 0, 1, 2, 3, -1 }, 4);
	CHECK(is(&t, 0, 0, 0, 0));
	t = book_of((int64_t[]){ 0, 1, 3, -1 }, 4);
	CHECK(is(&t, 1, 0, 0, 0));
	t = book_of((int64_t[]){ 0, 1, 2, -1 }, 4);
	CHECK(is(&t, 1, 0, 0, 0));
	t = book_of((int64_t[]){ 0, 1, 1, 2, -1 }, 3);
	CHECK(is(&t, 0, 1, 0, 0));
	t = book_of((int64_t[]){ 0, 2, 1, 3, -1 }, 4);
	CHECK(is(&t, 0, 0, 0, 1));
	t = book_of((int64_t[]){ 0, 2, 1, 1, 3, -1 }, 4);
	CHECK(is(&t, 0, 1, 0, 1));
	t = book_of((int64_t[]){ 0, 1, 999999, 2, -1 }, 3);
	CHECK(is(&t, 0, 0, 1, 0));
	t = book_of((int64_t[]){ 0, 1, 2, -1 }, 2);
	CHECK(is(&t, 0, 1, 0, 0));
	t = book_of((int64_t[]){ -1 }, 0);
	CHECK(is(&t, 0, 0, 0, 0));
	t = book_of((int64_t[]){ -1 }, 3);
	CHECK(is(&t, 3, 0, 0, 0));
}

static void test_book_window(void)
{
	struct book b = { 0 };
	struct tally t = { 0 };

	for (uint64_t n = 0; n < 10 * BOOK_WINDOW; n++)
		if (n != 5)
			book_see(&b, n, &t);
	CHECK(is(&t, 1, 0, 0, 0));
	book_close(&b, 10 * BOOK_WINDOW, &t);
	CHECK(is(&t, 1, 0, 0, 0));
	book_see(&b, 5, &t);
	CHECK(is(&t, 1, 1, 0, 0));
}

static void test_record(void)
{
	size_t size = 1000;
	uint8_t *buf = calloc(1, size);
	struct tally t = { 0 };

	CHECK(!record_check(buf, size, RECORD_WRITE, 3, 7, &t));
	CHECK(is(&t, 1, 0, 0, 0));

	t = (struct tally){ 0 };
	record_fill(buf, size, RECORD_WRITE, 3, 7);
	CHECK(record_check(buf, size, RECORD_WRITE, 3, 7, &t));
	CHECK(is(&t, 0, 0, 0, 0));
	CHECK(!record_check(buf, size, RECORD_WRITE, 3, 8, &t));
	CHECK(is(&t, 1, 0, 0, 0));
	CHECK(!record_check(buf, size, RECORD_WRITE, 3, 6, &t));
	CHECK(is(&t, 1, 0, 0, 1));
	CHECK(!record_check(buf, size, RECORD_WRITE, 2, 7, &t));
	CHECK(!record_check(buf, size, RECORD_PAGE, 3, 7, &t));
	CHECK(is(&t, 1, 0, 2, 1));

	/* Any single flipped bit is seen. */
	for (size_t at = 0; at < size; at++) {
		t = (struct tally){ 0 };
		buf[at] ^= 0x10;
		CHECK(!record_check(buf, size, RECORD_WRITE, 3, 7, &t));
		CHECK(!tally_clean(&t));
		buf[at] ^= 0x10;
	}

	/* A sealed record with another payload has a right checksum and wrong content. */
	t = (struct tally){ 0 };
	buf[500] ^= 1;
	record_seal(buf, size, RECORD_WRITE, 3, 7);
	CHECK(record_sealed(buf, size, RECORD_WRITE, 3, &t));
	CHECK(!record_check(buf, size, RECORD_WRITE, 3, 7, &t));
	CHECK(is(&t, 0, 0, 1, 0));

	/* A consumed record is gone, and noticed when it comes back. */
	t = (struct tally){ 0 };
	record_fill(buf, size, RECORD_WRITE, 3, 7);
	record_consume(buf);
	CHECK(!record_is_back(buf, RECORD_WRITE, 3, 7));
	CHECK(!record_check(buf, size, RECORD_WRITE, 3, 7, &t));
	CHECK(is(&t, 1, 0, 0, 0));
	record_fill(buf, size, RECORD_WRITE, 3, 7);
	CHECK(record_is_back(buf, RECORD_WRITE, 3, 7));
	record_fill(buf, size, RECORD_WRITE, 3, 39);
	CHECK(!record_is_back(buf, RECORD_WRITE, 3, 7));
	free(buf);
}

static void test_atomics(void)
{
	struct adder a = { 0 };
	struct tally t = { 0 };
	uint64_t word = 0;

	for (uint64_t n = 0; n < 20; n++) {
		adder_see(&a, word, &t);
		word += add_step(n);
	}
	CHECK(is(&t, 0, 0, 0, 0));
	adder_see(&a, word - add_step(19), &t);
	CHECK(is(&t, 1, 0, 0, 0));
	a.expected = word;
	adder_see(&a, word + 3, &t);
	CHECK(is(&t, 1, 1, 0, 0));
	adder_see(&a, word + 3 + add_step(21), &t);
	CHECK(is(&t, 1, 1, 0, 0));

	t = (struct tally){ 0 };
	swap_see(1, 10, swap_value(1, 10), &t);
	CHECK(is(&t, 0, 0, 0, 0));
	swap_see(1, 10, swap_value(1, 11), &t);
	CHECK(is(&t, 0, 1, 0, 0));
	swap_see(1, 10, swap_value(1, 8), &t);
	CHECK(is(&t, 1, 1, 0, 0));
	swap_see(1, 10, swap_value(2, 10), &t);
	CHECK(is(&t, 1, 1, 1, 0));
}

static void test_pulse(void)
{
	const int64_t ms = 1000000;
	struct pulse p = { 0 };
	struct tally t = { 0 };

	pulse_beat(&p, 1000 * ms, 500000 * ms, &t);
	CHECK(t.longest_pause_ns == 0);
	pulse_beat(&p, 1040 * ms, 500040 * ms, &t);
	CHECK(t.longest_pause_ns == 40 * (uint64_t)ms);
	/* Another host's clocks: the monotonic one starts anywhere. */
	pulse_beat(&p, 99000 * ms, 502040 * ms, &t);
	CHECK(t.longest_pause_ns == 2000 * (uint64_t)ms);
	pulse_beat(&p, 10 * ms, 502090 * ms, &t);
	CHECK(t.longest_pause_ns == 2000 * (uint64_t)ms);
	/* A wall clock that is set back does not make a pause. */
	pulse_beat(&p, 20 * ms, 1 * ms, &t);
	CHECK(t.longest_pause_ns == 2000 * (uint64_t)ms);
}

static void test_tally(void)
{
	struct tally a = { .operations = 3, .lost = 1, .longest_pause_ns = 5000000 };
	struct tally b = { .operations = 4, .corrupted = 2, .longest_pause_ns = 9000000 };
	char line[256] = "";
	FILE *f = fmemopen(line, sizeof(line), "w");

	tally_merge(&a, &b);
	CHECK(!tally_clean(&a));
	tally_print(f, &a);
	fclose(f);
	CHECK(!strcmp(line, "{\"operations\":7,\"lost\":1,\"duplicated\":0,\"corrupted\":2,"
			    "\"reordered\":0,\"longestPauseMs\":9}\n"));
	CHECK(crc32c(0, "123456789", 9) == 0xe3069283u);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "a book tells lost, duplicated, late and impossible numbers apart", test_book },
	{ "a number that leaves the window unseen is lost once", test_book_window },
	{ "any flipped bit of a record is seen", test_record },
	{ "atomics that ran twice or not at all are seen", test_atomics },
	{ "the pause survives another host's clock", test_pulse },
	{ "the tally prints what the report takes", test_tally },
};

int main(void)
{
	unsigned int passed = 0, failed = 0;

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		wrong = 0;
		tests[i].run();
		if (wrong) {
			fprintf(stderr, "FAILED: %s\n", tests[i].name);
			failed++;
		} else {
			passed++;
		}
	}
	printf("ledger verify: %u passed, %u failed\n", passed, failed);
	return failed ? 1 : 0;
}
