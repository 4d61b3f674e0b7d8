// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "eventfds.h"
#include "log.h"
#include "tasks.h"

/* Kernels before 6.5 do not say it. 1 for a semaphore. */
static int is_semaphore(pid_t pid, int fd)
{
	char name[64], line[256];
	int semaphore = 0;
	FILE *file;

	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	file = task_open(pid, name);
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file))
		sscanf(line, "eventfd-semaphore: %d", &semaphore);
	fclose(file);
	return semaphore != 0;
}

static int check(pid_t pid, int fd, const char *link, void *arg)
{
	uint32_t inner = 0;
	int ret;

	(void)arg;
	if (strcmp(link, "anon_inode:[eventfd]"))
		return 0;
	ret = is_semaphore(pid, fd);
	if (ret <= 0)
		return ret;
	task_inner_pid(pid, &inner);
	log_fail("unsupported",
		 "descriptor %d of process %u of the container is an eventfd that counts as a semaphore does (EFD_SEMAPHORE), which cannot be restored: use one without",
		 fd, inner);
	/* CRIU takes ENOTSUP for a hook that has nothing to do. */
	return -EPERM;
}

int eventfds_check(pid_t pid)
{
	int ret = task_each_fd(pid, check, NULL);

	if (ret && ret != -EPERM)
		log_fail("kernel", "the eventfds of process %d are not known: %s", pid, strerror(-ret));
	return ret;
}
