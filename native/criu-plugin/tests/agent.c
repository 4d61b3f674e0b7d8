// SPDX-License-Identifier: GPL-2.0
/*
 * Stands at the gate as the node agent does: for each request it runs a
 * command, and opens the gate if that succeeds.
 *
 * usage: agent SOCKET TOKEN COMMAND...
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(char **command)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execvp(command[0], command);
		_exit(127);
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid ? -1 : status;
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char line[512], wanted[128];
	int listener;

	if (argc < 4 || strlen(argv[1]) >= sizeof(address.sun_path))
		errx(2, "usage: %s SOCKET TOKEN COMMAND...", argv[0]);
	strcpy(address.sun_path, argv[1]);
	unlink(argv[1]);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(listener, 4))
		err(1, "%s", argv[1]);
	snprintf(wanted, sizeof(wanted), "{\"op\":\"gate\",\"token\":\"%s\",\"container\":\"main\",\"pid\":", argv[2]);

	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
		const char *reply = "{\"ok\":false,\"code\":\"Aborted\",\"message\":\"no\"}\n";

		if (n > 0) {
			line[n] = 0;
			if (!strncmp(line, wanted, strlen(wanted)) && !run(argv + 3))
				reply = "{\"ok\":true}\n";
			if (write(fd, reply, strlen(reply)) < 0)
				warn("reply");
		}
		close(fd);
	}
}
