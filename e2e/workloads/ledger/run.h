/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LEDGER_RUN_H
#define LEDGER_RUN_H

#include "lane.h"

#define MAX_LANES 64

struct settings {
	bool server;
	const char *peer;
	const char *bind;
	int port;
	const char *device;
	int gid_index;
	unsigned int lanes;
	size_t record_size;
	uint64_t operations; /* 0: until SIGTERM */
	long rate; /* operations per second, 0: no limit */
	bool events;
	int stall_seconds;
	struct retries retries;
	enum inject inject;
};

/*
 * Runs one side to its end and prints the verdict of both sides as one line of JSON.
 * Returns the exit status: 0 clean, 1 something was lost, duplicated, corrupted or reordered,
 * 3 the run broke off (a failed completion, the control connection, a stall).
 */
int run(const struct settings *s);

#endif
