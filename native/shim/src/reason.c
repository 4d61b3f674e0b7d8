// SPDX-License-Identifier: Apache-2.0
#include "reason.h"

#include <stdarg.h>
#include <stdio.h>

void reason_set(struct reason *why, const char *code, const char *format, ...)
{
	va_list args;

	snprintf(why->code, sizeof(why->code), "%s", code);
	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
}
