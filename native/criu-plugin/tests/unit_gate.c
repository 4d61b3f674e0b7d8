// SPDX-License-Identifier: GPL-2.0
/* The gate against an agent that answers, refuses, and goes away in the middle. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate.h"
#include "unit.h"

/* Serve one connection after the other with these answers; "" closes without one. */
static pid_t serve(const char *path, const char *const *answers)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	pid_t pid;

	strcpy(address.sun_path, path);
	unlink(path);
	CHECK(!bind(listener, (struct sockaddr *)&address, sizeof(address)));
	CHECK(!listen(listener, 4));
	pid = fork();
	if (pid) {
		close(listener);
		return pid;
	}
	for (; *answers; answers++) {
		int fd = accept(listener, NULL, NULL);
		char request[256] = "", expected[256];

		snprintf(expected, sizeof(expected),
			 "{\"op\":\"gate\",\"token\":\"abc\",\"container\":\"main\",\"pid\":%d,"
			 "\"registerUs\":1500}\n", getppid());
		if (read(fd, request, sizeof(request) - 1) < 0 || strcmp(request, expected))
			_exit(1);
		/* Silence, until the other side leaves. */
		if (!strcmp(*answers, "-")) {
			if (read(fd, request, 1) != 0)
				_exit(1);
			close(fd);
			continue;
		}
		if (**answers && write(fd, *answers, strlen(*answers)) < 0)
			_exit(1);
		close(fd);
	}
	_exit(0);
}

static int wait_for(pid_t pid)
{
	return gate_wait(&pid, 1, 1500);
}

static void one(const char *path, const char *const *answers, int expected)
{
	pid_t pid = serve(path, answers);
	int status;

	CHECK(wait_for(getpid()) == expected);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* A restored process is dead, or runc is, or the marker is gone. */
static void given_up(const char *path)
{
	static const char *const silent[] = { "-", NULL };
	static const char *const yes[] = { "{\"ok\":true}\n", NULL };
	char marker[80], number[16];
	pid_t pid, agent;
	int status;

	unit_clear_log();
	setenv("SEALIFT_RUNC_PID", "1", 1);
	CHECK(wait_for(getpid()) == -ECANCELED);
	CHECK(strstr(unit_log(), "sealift: gate: runc was killed"));
	snprintf(number, sizeof(number), "%d", getppid());
	setenv("SEALIFT_RUNC_PID", number, 1);
	one(path, yes, 0);

	snprintf(marker, sizeof(marker), "%s.marker", path);
	setenv("SEALIFT_WHILE", marker, 1);
	fclose(fopen(marker, "w"));
	one(path, yes, 0);
	agent = serve(path, silent);
	pid = fork();
	if (!pid) {
		usleep(200000);
		unlink(marker);
		_exit(0);
	}
	unit_clear_log();
	CHECK(wait_for(getpid()) == -ECANCELED);
	CHECK(strstr(unit_log(), "creation was given up"));
	CHECK(waitpid(pid, &status, 0) == pid && waitpid(agent, &status, 0) == agent && !status);
	unsetenv("SEALIFT_WHILE");
	unsetenv("SEALIFT_RUNC_PID");

	pid = fork();
	if (!pid)
		_exit(0);
	/* A zombie is as dead as one that is gone. */
	usleep(100000);
	unit_clear_log();
	CHECK(wait_for(pid) == -ECANCELED);
	CHECK(strstr(unit_log(), "a restored process was killed"));
	CHECK(waitpid(pid, &status, 0) == pid);
}

void unit_gate(void)
{
	static const char *const yes[] = { "{\"ok\":true}\n", NULL };
	static const char *const no[] = { "{\"ok\":false,\"code\":\"Aborted\"}\n", NULL };
	/* Nothing opens the gate but the one line. */
	static const char *const other[] = {
		"\n", "true\n", "{}\n", " {\"ok\":true}\n", "{\"ok\":true} \n", "{\"ok\":true,\"a\":1}\n",
		"{\"message\":\"\",\"ok\":true}\n", "{\"ok\":\"true\"}\n", "{\"ok\":true\n",
	};
	static char long_line[5000];
	const char *const without_end[] = { long_line, "{\"ok\":true}\n", NULL };
	static const char *const lost[] = { "", "{\"ok\":tr", "{\"ok\":true}\n", NULL };
	char path[64];

	memset(long_line, 'x', sizeof(long_line) - 1);
	snprintf(path, sizeof(path), "/tmp/sealift-gate-%d", getpid());
	setenv("SEALIFT_SOCKET", path, 1);
	setenv("SEALIFT_GATE", "a\"c", 1);
	CHECK(wait_for(getpid()) == -EINVAL);
	setenv("SEALIFT_GATE", "abc", 1);
	CHECK(wait_for(getpid()) == -EINVAL);
	setenv("SEALIFT_CONTAINER", "main", 1);
	one(path, yes, 0);
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		const char *const answers[] = { other[i], NULL };

		unit_clear_log();
		one(path, answers, -ECANCELED);
		CHECK(strstr(unit_log(), "sealift: gate: the agent refused: "));
	}
	one(path, without_end, 0);
	unit_clear_log();
	one(path, no, -ECANCELED);
	CHECK(strstr(unit_log(), "sealift: gate: the agent refused: {\"ok\":false"));
	one(path, lost, 0);
	given_up(path);
	unlink(path);
}
