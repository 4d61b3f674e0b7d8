// SPDX-License-Identifier: Apache-2.0
/*
 * workload MIB: the container that is moved. It has MIB mebibytes of memory that are all written, and looks at the
 * clock every millisecond. When it was not run for a while, it appends to /gaps the moments before and after, in
 * microseconds since the epoch: nobody knows better than the application how long it stood still.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define GAP_US 20000

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void report(int64_t from, int64_t to)
{
	FILE *file = fopen("/gaps", "a");

	if (!file)
		exit(1);
	fprintf(file, "%lld %lld\n", (long long)from, (long long)to);
	fclose(file);
}

int main(int argc, char **argv)
{
	size_t words = (size_t)(argc > 1 ? atol(argv[1]) : 64) << 17, at;
	uint64_t *memory = malloc(words * sizeof(*memory)), seed = 88172645463325252ULL;
	int64_t before, after;

	if (!memory)
		return 1;
	/* Of no pattern: whatever packs or compresses the memory gains nothing (xorshift64). */
	for (at = 0; at < words; at++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		memory[at] = seed;
	}
	before = now_us();
	report(before, before);
	for (;;) {
		usleep(1000);
		after = now_us();
		if (after - before > GAP_US) {
			report(before, after);
			/* Writing the file is no gap. */
			after = now_us();
		}
		before = after;
	}
}
