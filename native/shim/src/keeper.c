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
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ahead.h"
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
		_exit(order->become(order));
	return pid;
}

/* The create has ended: the plugin gives the restore up when the bundle's marker is gone. */
static void give_up(const struct kept_restore *order, pid_t runc, int ended, int fifo)
{
	marker_clear_waiting(order->args->bundle);
	ahead_stop(order->images, fifo);
	if (!wait_for(ended, END_LIMIT_MS))
		kill(runc, SIGKILL);
}

/* Whether the create has begun the restore, as far as it has said. */
static int is_begun(int created)
{
	char byte;

	return recv(created, &byte, 1, MSG_DONTWAIT) == 1;
}

/* Waits for runc. Gives the restore up when the create has ended before. Returns whether it was begun. */
static int keep(const struct kept_restore *order, pid_t runc, int created)
{
	int ended = pidfd_of(runc), fifo = order->fifo, begun = 0;
	struct pollfd fds[] = { { .fd = ended, .events = POLLIN }, { .fd = created, .events = POLLIN } };

	while (ended >= 0) {
		if (poll(fds, 2, -1) < 0) {
			if (errno != EINTR)
				break;
			continue;
		}
		if (fds[1].revents && is_begun(created)) {
			begun = 1;
			/* runc has what it waited for, and its end when the create closes it too. */
			if (fifo >= 0)
				close(fifo);
			fifo = -1;
			fault("shim.keep.before");
			continue;
		}
		if (fds[0].revents)
			break;
		if (!fds[1].revents)
			continue;
		give_up(order, runc, ended, fifo);
		break;
	}
	if (ended >= 0)
		close(ended);
	return begun;
}

static void keeper(const struct kept_restore *order, int created)
{
	int status, begun;
	pid_t runc;

	setsid();
	if (order->unused_fd >= 0)
		close(order->unused_fd);
	runc = start_runc(order);
	if (runc < 0)
		_exit(1);
	/* The container's output ends with its last writer. */
	to_null(STDIN_FILENO);
	to_null(STDOUT_FILENO);
	to_null(STDERR_FILENO);
	begun = keep(order, runc, created);
	while (waitpid(runc, &status, 0) < 0)
		if (errno != EINTR)
			_exit(1);
	fault("shim.keep.after");
	if (begun || is_begun(created))
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
static int finished(const struct kept *kept, struct reason *why)
{
	struct signals signals;
	int ready, status;

	signals_take(&signals);
	ready = signals_wait(&signals, kept->ended, POLLIN, -1);
	signals_give_back(&signals);
	if (ready < 0) {
		reason_set(why, "Cancelled", "asked to end while the container is restored");
		return -1;
	}
	if (waitpid(kept->keeper, &status, 0) != kept->keeper) {
		reason_set(why, "RestoreFailed", "cannot wait for runc: %s", strerror(errno));
		return -1;
	}
	return judge(status, why);
}

int keeper_start(const struct kept_restore *order, struct kept *kept, struct reason *why)
{
	int created[2];

	/* No pipe: a byte to a keeper that was killed must not kill this process. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, created) < 0) {
		reason_set(why, "OutOfMemory", "no socket: %s", strerror(errno));
		return -1;
	}
	kept->keeper = fork();
	if (kept->keeper == 0) {
		close(created[1]);
		keeper(order, created[0]);
	}
	close(created[0]);
	kept->created = created[1];
	kept->ended = kept->keeper < 0 ? -1 : pidfd_of(kept->keeper);
	if (kept->ended >= 0)
		return 0;
	reason_set(why, "OutOfMemory", "no process for the restore: %s", strerror(errno));
	close(created[1]);
	return -1;
}

int keeper_is_there(const struct kept *kept)
{
	return !wait_for(kept->ended, 0);
}

int keeper_begin(const struct kept *kept)
{
	return send(kept->created, "b", 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

int keeper_finish(const struct kept_restore *order, struct kept *kept, struct reason *why)
{
	int result = finished(kept, why);

	close(kept->ended);
	close(kept->created);
	/* The keeper does it, if it was not killed. */
	if (result < 0)
		marker_clear_waiting(order->args->bundle);
	return result;
}

void keeper_give_up(struct kept *kept)
{
	int status;

	close(kept->created);
	wait_for(kept->ended, END_LIMIT_MS);
	waitpid(kept->keeper, &status, WNOHANG);
	close(kept->ended);
}
