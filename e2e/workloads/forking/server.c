// SPDX-License-Identifier: Apache-2.0
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exchange.h"
#include "worker.h"

int serve_forking(unsigned int workers)
{
	struct worker *all = calloc(workers, sizeof(*all));
	unsigned int started = 0;
	int ret = 0, status;
	pid_t pid;

	if (!all || ibv_fork_init()) {
		free(all);
		return 3;
	}
	for (; started < workers && !ret; started++) {
		struct worker *w = &all[started];

		w->number = started;
		w->control.fd = -1;
		if (endpoint_open_device(&w->endpoint, NULL, -1))
			break;
		pid = fork();
		if (!pid)
			_exit(work(w));
		if (pid < 0)
			break;
	}
	if (started < workers)
		ret = 3;
	/* The parent keeps every context open, and has no queue. Without one of the workers the client breaks off. */
	while ((pid = wait(&status)) > 0) {
		int exited = WIFEXITED(status) ? WEXITSTATUS(status) : 3;

		if (exited > ret)
			ret = exited;
	}
	for (unsigned int i = 0; i < started; i++)
		endpoint_close(&all[i].endpoint);
	free(all);
	return ret;
}
