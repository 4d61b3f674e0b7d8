// SPDX-License-Identifier: Apache-2.0
#include "signals.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define PARENT_CHECK_MS 2000

static const int taken[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE };
static volatile sig_atomic_t asked_to_end;

static void on_end(int signal)
{
	(void)signal;
	asked_to_end = 1;
}

void signals_take(struct signals *signals)
{
	struct sigaction action = { .sa_handler = on_end };
	sigset_t block;
	size_t i;

	signals->parent = getppid();
	sigemptyset(&block);
	for (i = 0; i < 3; i++)
		sigaddset(&block, taken[i]);
	/* Blocked outside of ppoll(), so that none slips in between a check and a wait. */
	sigprocmask(SIG_BLOCK, &block, &signals->mask);
	for (i = 0; i < 4; i++) {
		action.sa_handler = taken[i] == SIGPIPE ? SIG_IGN : on_end;
		sigaction(taken[i], &action, &signals->actions[i]);
	}
}

void signals_give_back(const struct signals *signals)
{
	size_t i;

	for (i = 0; i < 4; i++)
		sigaction(taken[i], &signals->actions[i], NULL);
	sigprocmask(SIG_SETMASK, &signals->mask, NULL);
}

int signals_wait(const struct signals *signals, int fd, short events, int timeout_ms)
{
	/* A negative descriptor is skipped. */
	struct pollfd poll_fd = { .fd = fd, .events = events };
	long long end = clock_ms() + timeout_ms;
	sigset_t open;

	sigprocmask(SIG_SETMASK, NULL, &open);
	sigdelset(&open, SIGTERM);
	sigdelset(&open, SIGINT);
	sigdelset(&open, SIGHUP);

	for (;;) {
		long long left = timeout_ms < 0 ? PARENT_CHECK_MS : end - clock_ms();
		struct timespec step;
		int ready;

		if (asked_to_end || getppid() != signals->parent)
			return -1;
		if (left <= 0)
			return 0;
		if (left > PARENT_CHECK_MS)
			left = PARENT_CHECK_MS;
		step.tv_sec = left / 1000;
		step.tv_nsec = left % 1000 * 1000000;
		ready = ppoll(&poll_fd, 1, &step, &open);
		if (ready > 0)
			return 1;
		if (ready < 0 && errno != EINTR)
			return 1;	/* let the caller's read() or write() say why */
	}
}
