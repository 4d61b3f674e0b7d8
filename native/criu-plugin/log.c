// SPDX-License-Identifier: GPL-2.0
#include <stdarg.h>
#include <stdio.h>

#include "failure.h"
#include "log.h"

void log_fail(const char *code, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	print_on_level(LOG_LEVEL_ERROR, "Error (ibverbs): sealift: %s: %s\n", code, text);
	failure_keep(code, text);
}
