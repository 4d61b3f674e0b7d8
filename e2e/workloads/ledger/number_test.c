// SPDX-License-Identifier: Apache-2.0
/* What is a number of a command line, and what is none. */
#include <stdio.h>

#include "number.h"

static const struct {
	const char *text;
	long least, most;
	bool is_number;
	long number;
} cases[] = {
	{ "3", 1, 16, true, 3 },
	{ "1", 1, 16, true, 1 },
	{ "16", 1, 16, true, 16 },
	{ "0", 0, 16, true, 0 },
	{ "007", 1, 16, true, 7 },
	{ "0", 1, 16, false, 0 },
	{ "17", 1, 16, false, 0 },
	{ "-3", 1, 16, false, 0 },
	{ "", 0, 16, false, 0 },
	{ "x", 0, 16, false, 0 },
	{ "3x", 1, 16, false, 0 },
	{ "3 ", 1, 16, false, 0 },
	{ "0x3", 0, 16, false, 0 },
	{ "1.5", 1, 16, false, 0 },
	{ "99999999999999999999", 1, 9223372036854775807, false, 0 },
};

int main(void)
{
	const unsigned int count = sizeof(cases) / sizeof(cases[0]);
	unsigned int failed = 0;

	for (unsigned int i = 0; i < count; i++) {
		long number = -1;
		bool is_number = number_parse(cases[i].text, cases[i].least, cases[i].most, &number);

		if (is_number == cases[i].is_number && (!is_number || number == cases[i].number))
			continue;
		failed++;
		fprintf(stderr, "FAILED: '%s' is taken for %s, %ld\n", cases[i].text,
			is_number ? "a number" : "none", number);
	}
	printf("numbers: %u passed, %u failed\n", count - failed, failed);
	return failed ? 1 : 0;
}
