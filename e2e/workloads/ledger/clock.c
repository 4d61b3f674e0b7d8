// SPDX-License-Identifier: Apache-2.0
#include "clock.h"

int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}
