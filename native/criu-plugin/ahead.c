// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "ahead.h"
#include "log.h"

/* The agent itself gives up a dump earlier. */
#define LIMIT_SECONDS	110
/* How often it looks whether runc is still there. */
#define LOOK_MS		500

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* Of changes of the directory that @path is in: a descriptor, or -errno. */
static int watch_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX];
	int fd;

	if (!slash || slash == path || slash - path >= (ptrdiff_t)sizeof(directory))
		return -EINVAL;
	memcpy(directory, path, slash - path);
	directory[slash - path] = 0;
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (inotify_add_watch(fd, directory, IN_CREATE | IN_MOVED_TO) < 0) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	return fd;
}

static int say_that_it_waits(const char *path)
{
	char waits[PATH_MAX];
	int fd;

	if (snprintf(waits, sizeof(waits), "%s.waits", path) >= (int)sizeof(waits))
		return -ENAMETOOLONG;
	fd = open(waits, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int wait_for(const char *path, int watch)
{
	struct pollfd changes = { .fd = watch, .events = POLLIN };
	const pid_t runc = getppid();
	const time_t end = seconds() + LIMIT_SECONDS;
	char events[4096];

	for (;;) {
		if (!access(path, F_OK))
			return 0;
		if (errno != ENOENT)
			return -errno;
		if (getppid() != runc)
			return -ECANCELED;
		if (seconds() >= end)
			return -ETIMEDOUT;
		if (poll(&changes, 1, LOOK_MS) < 0 && errno != EINTR)
			return -errno;
		while (read(watch, events, sizeof(events)) > 0)
			;
	}
}

int ahead_wait(void)
{
	const char *path = getenv("SEALIFT_DUMP_WHEN");
	int watch, ret;

	if (!path || !*path)
		return 0;
	/* The file may be made as soon as somebody knows that this waits. */
	watch = watch_directory(path);
	ret = watch < 0 ? watch : say_that_it_waits(path);
	if (!ret)
		ret = wait_for(path, watch);
	if (watch >= 0)
		close(watch);
	if (ret)
		log_fail("ahead", "a dump that was started ahead was not begun: %s", strerror(-ret));
	return ret;
}
