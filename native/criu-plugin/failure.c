// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "failure.h"

static struct failure *failure;

int failure_reset(void)
{
	if (!failure) {
		failure = mmap(NULL, sizeof(*failure), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (failure == MAP_FAILED) {
			failure = NULL;
			return -errno;
		}
	}
	memset(failure, 0, sizeof(*failure));
	return 0;
}

void failure_keep(const char *code, const char *text)
{
	if (!failure || __atomic_exchange_n(&failure->taken, 1, __ATOMIC_ACQUIRE))
		return;
	snprintf(failure->code, sizeof(failure->code), "%s", code);
	snprintf(failure->text, sizeof(failure->text), "%s", text);
	__atomic_store_n(&failure->complete, 1, __ATOMIC_RELEASE);
}

const struct failure *failure_first(void)
{
	return failure && __atomic_load_n(&failure->complete, __ATOMIC_ACQUIRE) ? failure : NULL;
}
