// SPDX-License-Identifier: Apache-2.0
/*
 * The sandbox container's only process: keeps the pod's namespaces, reaps
 * what is re-parented to it, leaves when asked to.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int signal)
{
	(void)signal;
	_exit(0);
}

static void reap(int signal)
{
	(void)signal;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(void)
{
	struct sigaction on_leave = { .sa_handler = leave };
	struct sigaction on_child = { .sa_handler = reap,
				      .sa_flags = SA_NOCLDSTOP | SA_RESTART };

	if (sigaction(SIGTERM, &on_leave, NULL) ||
	    sigaction(SIGINT, &on_leave, NULL) ||
	    sigaction(SIGCHLD, &on_child, NULL))
		return EXIT_FAILURE;
	for (;;)
		pause();
}
