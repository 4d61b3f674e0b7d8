// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pidfd.h"

unsigned long long process_start_time(pid_t pid)
{
	unsigned long long start = 0;
	char path[64], line[1024], state;
	const char *rest;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	rest = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	fclose(file);
	/* Field 22; the name before its closing bracket may hold anything. */
	if (!rest || sscanf(rest,
			    ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
			    &state, &start) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : start;
}

int process_ends(pid_t pid, int timeout_ms)
{
	struct pollfd ended = { .fd = pidfd_of(pid), .events = POLLIN };
	int ready;

	if (ended.fd < 0)
		return errno == ESRCH;
	ready = poll(&ended, 1, timeout_ms);
	close(ended.fd);
	return ready > 0;
}
