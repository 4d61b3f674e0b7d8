// SPDX-License-Identifier: GPL-2.0
#include "expect.h"

#include <stdarg.h>
#include <stdio.h>

int expect_failed;

void expect(int want, int got, const char *fmt, ...)
{
	va_list ap;

	printf("%s ", want == got ? "ok" : "not ok");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	if (want == got) {
		printf("\n");
		return;
	}
	printf(": %d, not %d\n", got, want);
	expect_failed = 1;
}
