// SPDX-License-Identifier: Apache-2.0
#include "fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Of root alone, and there only if a test made it. */
#define FOLDER "/var/lib/sealift/faults"

static void wait_ms(long ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&left, &left) < 0)
		;
}

void fault(const char *point)
{
	const char *folder = getenv("SEALIFT_FAULT_DIR");
	char path[512], action[32] = "";
	ssize_t length;
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", folder ? folder : FOLDER, point) >=
	    (int)sizeof(path))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	length = read(fd, action, sizeof(action) - 1);
	close(fd);
	if (length < 0 || unlink(path) < 0)
		return;
	action[strcspn(action, " \t\n")] = '\0';
	if (!strncmp(action, "delay:", 6)) {
		wait_ms(strtol(action + 6, NULL, 10));
	} else if (!strcmp(action, "throw")) {
		fprintf(stderr, "sealift: FaultInjected: %s\n", point);
		exit(1);
	} else {
		raise(SIGKILL);
	}
}
