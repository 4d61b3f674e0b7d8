// SPDX-License-Identifier: GPL-2.0
/* What the kernel says meanwhile. */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "expect.h"
#include "fuzz.h"

/* The same list as in run.sh. */
static const char *const reports[] = {
	"BUG:", "WARNING:", "KASAN:", "UBSAN:", "Oops", "possible recursive locking",
	"general protection", "unable to handle", "refcount_t:", "list_add corruption",
	"list_del corruption", "INFO: task", "ODEBUG:", "Call Trace:",
	"INFO: trying to register", "inconsistent lock state",
};

int fuzz_log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		err(1, "/dev/kmsg");
	return fd;
}

bool fuzz_log_reports(int fd)
{
	char record[8192];
	bool found = false;
	unsigned int i;
	ssize_t size;

	while ((size = read(fd, record, sizeof(record) - 1)) > 0) {
		record[size] = 0;
		for (i = 0; i < ARRAY_SIZE(reports); i++)
			found |= strstr(record, reports[i]) != NULL;
		if (found)
			printf("# kernel: %s", strchr(record, ';') ?
			       strchr(record, ';') + 1 : record);
	}
	return found;
}
