// SPDX-License-Identifier: Apache-2.0
#include "side.h"

#include <stdio.h>
#include <string.h>

int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

int broke(const char *what, int err)
{
	fprintf(stderr, "ledger: %s: %s\n", what, strerror(-err));
	return err;
}
