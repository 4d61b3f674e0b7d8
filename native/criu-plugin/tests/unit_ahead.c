// SPDX-License-Identifier: GPL-2.0
/* A dump that was started ahead: waits for its file, says so, and does not outlive who has started it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ahead.h"
#include "unit.h"

static char directory[64], path[96], waits[112];

static void make(const char *file)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	close(fd);
}

static void until_there(const char *file)
{
	for (int i = 0; i < 500 && access(file, F_OK); i++)
		usleep(10000);
	CHECK(!access(file, F_OK));
}

/* What a wait that has ended returned: 0..255 of -errno. */
static int ended(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static pid_t start(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(-ahead_wait());
	return pid;
}

static void waits_for_its_file(void)
{
	int status;
	pid_t pid = start();

	until_there(waits);
	/* Other files are none. */
	snprintf(path + strlen(path), 8, ".other");
	make(path);
	unlink(path);
	path[strlen(path) - 6] = 0;
	usleep(50000);
	CHECK(!waitpid(pid, &status, WNOHANG));
	make(path);
	CHECK(ended(pid) == 0);
	/* It is there already. */
	CHECK(ended(start()) == 0);
	unlink(path);
	unlink(waits);
}

static void ends_with_runc(void)
{
	int said[2];
	int result = -1;
	pid_t runc;

	CHECK(!pipe(said));
	runc = fork();
	if (!runc) {
		if (!fork()) {
			int ret = -ahead_wait();

			_exit(write(said[1], &ret, sizeof(ret)) != sizeof(ret));
		}
		pause();
	}
	until_there(waits);
	kill(runc, SIGKILL);
	CHECK(waitpid(runc, NULL, 0) == runc);
	close(said[1]);
	CHECK(read(said[0], &result, sizeof(result)) == sizeof(result));
	CHECK(result == ECANCELED);
	close(said[0]);
	unlink(waits);
}

void unit_ahead(void)
{
	unsetenv("SEALIFT_DUMP_WHEN");
	CHECK(!ahead_wait());
	setenv("SEALIFT_DUMP_WHEN", "", 1);
	CHECK(!ahead_wait());
	snprintf(directory, sizeof(directory), "/tmp/sealift-ahead-%d", getpid());
	snprintf(path, sizeof(path), "%s/dump", directory);
	snprintf(waits, sizeof(waits), "%s.waits", path);
	setenv("SEALIFT_DUMP_WHEN", path, 1);
	CHECK(ahead_wait() == -ENOENT);
	CHECK(!mkdir(directory, 0700));
	waits_for_its_file();
	ends_with_runc();
	setenv("SEALIFT_DUMP_WHEN", "no-directory", 1);
	CHECK(ahead_wait() == -EINVAL);
	rmdir(directory);
	unsetenv("SEALIFT_DUMP_WHEN");
}
