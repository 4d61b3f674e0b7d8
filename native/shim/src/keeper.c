// SPDX-License-Identifier: Apache-2.0
/*
 * create ── keeper ── runc ── criu
 *
 * The keeper is in a session of its own and stays until runc has ended. It knows by a pipe whether the
 * create has been killed. All that it can do to a restore is to remove the bundle's marker: the plugin then
 * kills what was restored, and CRIU and runc clean up as after any failure. A CRIU whose runc is killed leaves
 * its mounts.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault.h"
#include "marker.h"
#include "outcome.h"
#include "pidfd.h"
#include "signals.h"

/* A restore that has been given up ends at its gate, which it has to reach first. */
#define END_LIMIT_MS	60000

static void to_null(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, fd);
	if (null != fd)
		close(null);
}

/* Until @fd is readable or closed. Returns whether it is. */
static int wait_for(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int ready;

	do {
		ready = poll(&poll_fd, 1, timeout_ms);
	} while (ready < 0 && errno == EINTR);
	return ready > 0;
}

static pid_t start_runc(const struct kept_restore *order)
{
	pid_t pid = fork();

	if (!pid)
		_exit(order->become(order->argv));
	return pid;
}

/* Waits for runc. Gives the restore up when the create has ended before. */
static void keep(const struct kept_restore *order, pid_t runc, int created)
{
	int ended = pidfd_of(runc);
	struct pollfd fds[] = { { .fd = ended, .events = POLLIN }, { .fd = created, .events = POLLIN } };

	while (ended >= 0) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[0].revents)
			break;
		if (!fds[1].revents)
			continue;
		marker_clear_waiting(order->args->bundle);
		if (!wait_for(ended, END_LIMIT_MS))
			kill(runc, SIGKILL);
		break;
	}
	if (ended >= 0)
		close(ended);
}

static void keeper(const struct kept_restore *order, int created)
{
	pid_t runc;
	int status;

	setsid();
	runc = start_runc(order);
	if (runc < 0)
		_exit(1);
	/* The container's output ends with its last writer. */
	to_null(STDIN_FILENO);
	to_null(STDOUT_FILENO);
	to_null(STDERR_FILENO);
	fault("shim.keep.before");
	keep(order, runc, created);
	while (waitpid(runc, &status, 0) < 0)
		if (errno != EINTR)
			_exit(1);
	fault("shim.keep.after");
	outcome_end(order->state, status);
	marker_clear_waiting(order->args->bundle);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* How runc has ended: 0, or -1 with @why filled or its code empty. */
static int judge(int status, struct reason *why)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) < 128)
		why->code[0] = '\0';
	else
		reason_set(why, "RestoreFailed", "runc was killed");
	return -1;
}

/* Waits until runc has ended or this process is asked to end. */
static int finished(pid_t child, int ended, struct reason *why)
{
	struct signals signals;
	int ready, status;

	signals_take(&signals);
	ready = signals_wait(&signals, ended, POLLIN, -1);
	signals_give_back(&signals);
	if (ready < 0) {
		reason_set(why, "Cancelled", "asked to end while the container is restored");
		return -1;
	}
	if (waitpid(child, &status, 0) != child) {
		reason_set(why, "RestoreFailed", "cannot wait for runc: %s", strerror(errno));
		return -1;
	}
	return judge(status, why);
}

int keeper_restore(const struct kept_restore *order, struct reason *why)
{
	int created[2], ended, result = -1;
	pid_t child;

	if (pipe2(created, O_CLOEXEC) < 0) {
		reason_set(why, "OutOfMemory", "no pipe: %s", strerror(errno));
		goto clear;
	}
	child = fork();
	if (child == 0) {
		close(created[1]);
		keeper(order, created[0]);
	}
	close(created[0]);
	ended = child < 0 ? -1 : pidfd_of(child);
	if (ended < 0) {
		reason_set(why, "OutOfMemory", "no process for the restore: %s", strerror(errno));
		goto out;
	}
	result = finished(child, ended, why);
	close(ended);
out:
	close(created[1]);
clear:
	/* The keeper does it, if it was not killed. */
	if (result < 0)
		marker_clear_waiting(order->args->bundle);
	return result;
}
