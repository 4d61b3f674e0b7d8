/* SPDX-License-Identifier: Apache-2.0 */
/* The client of workers. */
#ifndef FORKING_CLIENT_H
#define FORKING_CLIENT_H

#include <stdint.h>

/* @wrong is what both sides have found wrong. */
struct verdict {
	uint64_t rounds, wrong;
};

/*
 * Opens the device, exchanges messages with every worker for so long, and closes it. Adds to @verdict if all went to its end.
 * Returns the exit status.
 */
int exchange_with(const char *server, unsigned int workers, unsigned int seconds,
		  struct verdict *verdict);

#endif
