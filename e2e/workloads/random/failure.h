/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a run say that does not work, and that is wrong. */
#ifndef RANDOM_FAILURE_H
#define RANDOM_FAILURE_H

#include <stdbool.h>
#include <stdint.h>

/* The run breaks off, with exit status 3, unless it is true. errno is printed. */
#define MUST(condition) \
	do { \
		if (!(condition)) \
			run_breaks(#condition, __FILE__, __LINE__); \
	} while (0)

void run_breaks(const char *what, const char *file, int line) __attribute__((noreturn));
/* Something is not as it was, or as the plan says: it is printed and counted, and the run goes on. */
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* `wrong` with this text, unless it is true. */
#define EXPECT(condition, ...) \
	do { \
		if (!(condition)) \
			wrong(__VA_ARGS__); \
	} while (0)
uint64_t wrong_count(void);
/* Milliseconds of the wall clock: a moved process finds another monotonic one. */
uint64_t now_ms(void);

#endif
