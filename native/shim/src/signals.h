/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting that ends when the process is asked to end, or when its parent is gone. */
#ifndef SHIM_SIGNALS_H
#define SHIM_SIGNALS_H

#include <poll.h>
#include <signal.h>
#include <sys/types.h>

struct signals {
	sigset_t mask;			/* as inherited */
	struct sigaction actions[4];
	pid_t parent;
};

/* Takes SIGTERM, SIGINT and SIGHUP, ignores SIGPIPE. */
void signals_take(struct signals *signals);
/* Puts everything back as it was: what is exec'd next inherits it. */
void signals_give_back(const struct signals *signals);

/*
 * Like poll() on one descriptor (or none if @fd is -1) with a time limit, -1 for none.
 * Returns 1: ready; 0: time is up; -1: asked to end, or the parent process is gone.
 */
int signals_wait(const struct signals *signals, int fd, short events, int timeout_ms);

#endif
