/* SPDX-License-Identifier: GPL-2.0 */
/* Time in milliseconds. */
#ifndef CLOCK_H
#define CLOCK_H

#include <time.h>

/* Time since some start, in ms. */
static inline double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

#endif /* CLOCK_H */
