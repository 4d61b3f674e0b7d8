/* SPDX-License-Identifier: Apache-2.0 */
/* Time in milliseconds. */
#ifndef SHIM_CLOCK_H
#define SHIM_CLOCK_H

#include <time.h>

/* Milliseconds since some fixed moment. */
static inline long long clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

#endif
