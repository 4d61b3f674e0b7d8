/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line says. */
#ifndef LEDGER_SETTINGS_H
#define LEDGER_SETTINGS_H

#include "stream.h"

#define MAX_STREAMS 64

struct settings {
	bool server;
	const char *peer;
	const char *bind;
	int port;
	const char *device;
	int gid_index;
	unsigned int streams;
	size_t record_size;
	uint64_t operations; /* 0: until SIGTERM */
	long rate; /* operations per second, 0: no limit */
	bool events;
	bool srq; /* the streams share a receive queue */
	bool datagrams; /* beside the streams; both sides the same */
	int stall_seconds;
	struct retries retries;
	int first_combination; /* of rnr_retry and retry_cnt, one for each stream; -1: all have those of retries */
	enum inject inject;
};

#endif
