// SPDX-License-Identifier: Apache-2.0
#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHOWN 40

static uint64_t count;

void run_breaks(const char *what, const char *file, int line)
{
	fprintf(stderr, "random-verbs: %s:%d: %s: %s\n", file, line, what, strerror(errno));
	exit(3);
}

void wrong(const char *format, ...)
{
	va_list ap;

	if (++count > SHOWN)
		return;
	va_start(ap, format);
	fputs("random-verbs: wrong: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
}

uint64_t wrong_count(void)
{
	return count;
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}
