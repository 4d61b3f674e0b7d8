// SPDX-License-Identifier: Apache-2.0
/*
 * From a container that shares the host's process namespace: run the host's own programs (runc, criu)
 * with the host's files. Static, so that nothing has to be loaded once the files have changed.
 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int enter(const char *path, int type)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int result;

	if (fd < 0)
		return -1;
	result = setns(fd, type);
	close(fd);
	return result;
}

int host_exec(char **command)
{
	int error;

	execvp(command[0], command);
	error = errno;
	fprintf(stderr, "sealift: cannot run %s: %s\n", command[0], strerror(error));
	return error == ENOENT ? 127 : 126;
}

int host_main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: sealift-host <command> [arguments]\n");
		return 2;
	}
	/* runc reads cgroup paths as its own cgroup namespace shows them. */
	if (enter("/proc/1/ns/cgroup", CLONE_NEWCGROUP) < 0 ||
	    enter("/proc/1/ns/mnt", CLONE_NEWNS) < 0 || chdir("/") < 0) {
		fprintf(stderr, "sealift-host: cannot enter the host's namespaces: %s\n",
			strerror(errno));
		return 1;
	}
	return host_exec(argv + 1);
}
