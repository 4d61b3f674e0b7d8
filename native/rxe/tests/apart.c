// SPDX-License-Identifier: GPL-2.0
#include "apart.h"

#include <err.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"

int apart(unsigned int seconds, void (*run)(const void *arg), const void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(seconds);
		expect_failed = 0;
		run(arg);
		fflush(stdout);
		_exit(expect_failed);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		err(1, "a process for a case");
	return status;
}
