/* SPDX-License-Identifier: Apache-2.0 */
/* Why something failed: a code for machines and a sentence for people. */
#ifndef SHIM_REASON_H
#define SHIM_REASON_H

#include <stddef.h>

struct reason {
	char code[64];
	char text[1024];
};

__attribute__((format(printf, 3, 4)))
void reason_set(struct reason *why, const char *code, const char *format, ...);

#endif
