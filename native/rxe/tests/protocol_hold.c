// SPDX-License-Identifier: GPL-2.0
/* What a held queue pair hears, and how it goes on. */
#include "protocol.h"

const struct protocol_case protocol_hold_cases[] = {
	{ 0 },
};
