// SPDX-License-Identifier: Apache-2.0
/*
 * create ── keeper ── runc ── criu
 *
 * The keeper is in a session of its own and stays until runc has ended. It knows by a pipe whether the
 * create has succeeded or has been killed. All that it can do to a restore is to remove the bundle's marker:
 * the plugin then kills what was restored, and CRIU and runc clean up as after any failure. A CRIU whose
 * runc is killed leaves its mounts.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
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

	if (pid)
		return pid;
	/* With a terminal these are not the container's but the caller's, who would wait for their end. */
	if (order->at_gate && order->args->console_socket) {
		to_null(STDOUT_FILENO);
		to_null(STDERR_FILENO);
	}
	_exit(order->become(order->argv));
}

/* Waits for runc, and for the create's message until it has come or the create has ended. */
static void keep(const struct kept_restore *order, pid_t runc, int word)
{
	int ended = pidfd_of(runc);
	struct pollfd fds[] = { { .fd = ended, .events = POLLIN }, { .fd = word, .events = POLLIN } };
	char kept;

	while (ended >= 0) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[0].revents)
			break;
		if (!fds[1].revents)
			continue;
		if (read(word, &kept, 1) != 1) {
			marker_clear_waiting(order->args->bundle);
			if (!wait_for(ended, END_LIMIT_MS))
				kill(runc, SIGKILL);
		}
		fds[1].fd = -1;
		fds[1].revents = 0;
	}
	if (ended >= 0)
		close(ended);
}

static void keeper(const struct kept_restore *order, int word, int marked)
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
	/* The create will have returned: without a name in it the marker would refuse nothing. */
	fault("shim.keep.before");
	if (marker_set_waiting(order->args->bundle, runc) < 0)
		marker_clear_waiting(order->args->bundle);
	fault("shim.keep.after");
	/* The create may return now; if it is killed it does not read. */
	close(marked);
	keep(order, runc, word);
	while (waitpid(runc, &status, 0) < 0)
		if (errno != EINTR)
			_exit(1);
	/* Write the outcome before the marker goes: a restore with neither looks as if it still ran. */
	outcome_end(order->state, status);
	marker_clear_waiting(order->args->bundle);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* containerd reads it as soon as create has ended; another reader must not see half of it. */
static int write_pid_file(const char *path, long long pid, struct reason *why)
{
	char unfinished[PATH_MAX], text[32];
	int fd, size = snprintf(text, sizeof(text), "%lld", pid);

	if (snprintf(unfinished, sizeof(unfinished), "%s.sealift", path) >= (int)sizeof(unfinished)) {
		reason_set(why, "PidFileFailed", "the path of the pid file is too long");
		return -1;
	}
	fd = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, text, size) != size) {
		reason_set(why, "PidFileFailed", "cannot write %s: %s", unfinished, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	close(fd);
	if (rename(unfinished, path) == 0)
		return 0;
	reason_set(why, "PidFileFailed", "cannot write %s: %s", path, strerror(errno));
	unlink(unfinished);
	return -1;
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

/*
 * The process that a restore in the background has made. Returns 0 with @why filled, or with no code in it
 * if runc has failed: the reason is in its log then.
 */
static long long restored_pid(const struct kept_restore *order, pid_t child, int ended, struct reason *why)
{
	long long pid = 0;
	int status = 0;
	json_t *reply;

	fault("shim.atGate.before");
	reply = agent_ask_while(order->at_gate, AGENT_LIMIT_MS, ended, why);
	fault("shim.atGate.after");
	if (reply) {
		pid = json_integer_value(json_object_get(reply, "pid"));
		json_decref(reply);
		if (pid <= 0)
			reason_set(why, "BadReply", "the agent's reply names no process");
		return pid;
	}
	/* A restore that was refused ends at its gate: no mount of its own is left behind then. */
	if (strcmp(why->code, "Cancelled"))
		wait_for(ended, END_LIMIT_MS);
	if (waitpid(child, &status, WNOHANG) != child)
		return 0;
	if (!status) {
		/* The gate has been opened meanwhile. */
		pid = marker_init_pid(order->args->root, order->args->id, why);
	} else if (!strcmp(why->code, "Cancelled")) {
		judge(status, why);
	}
	return pid;
}

/*
 * Leaves the restore at its gate: containerd learns the process, and no process waits for runc. The marker must name
 * the keeper before that: it counts only while one of those that it names is there.
 */
static int leave(const struct kept_restore *order, pid_t child, int ended, int marked,
		 struct reason *why)
{
	long long pid = restored_pid(order, child, ended, why);

	/* Closed by the keeper: when it has marked, or has ended. */
	wait_for(marked, -1);
	if (pid <= 0)
		return -1;
	if (!order->args->pid_file)
		return 0;
	return write_pid_file(order->args->pid_file, pid, why);
}

int keeper_restore(const struct kept_restore *order, struct reason *why)
{
	int word[2], marked[2], ended, result = -1;
	pid_t child;

	if (pipe2(word, O_CLOEXEC) < 0) {
		reason_set(why, "OutOfMemory", "no pipe: %s", strerror(errno));
		return -1;
	}
	if (pipe2(marked, O_CLOEXEC) < 0) {
		reason_set(why, "OutOfMemory", "no pipe: %s", strerror(errno));
		close(word[0]);
		close(word[1]);
		return -1;
	}
	child = fork();
	if (child == 0) {
		close(word[1]);
		close(marked[0]);
		keeper(order, word[0], marked[1]);
	}
	close(word[0]);
	close(marked[1]);
	ended = child < 0 ? -1 : pidfd_of(child);
	if (ended < 0) {
		reason_set(why, "OutOfMemory", "no process for the restore: %s", strerror(errno));
		goto out;
	}
	result = order->at_gate ? leave(order, child, ended, marked[0], why) : finished(child, ended, why);
	if (result < 0 || !order->at_gate)
		goto out;
	/* EPIPE: the keeper has ended, and needs no word any more. */
	signal(SIGPIPE, SIG_IGN);
	if (write(word[1], "k", 1) < 0 && errno != EPIPE) {
		reason_set(why, "OutOfMemory", "cannot keep the restore: %s", strerror(errno));
		result = -1;
	}
out:
	close(word[1]);
	close(marked[0]);
	/* The keeper does it, if it was not killed. */
	if (result < 0)
		marker_clear_waiting(order->args->bundle);
	if (ended >= 0)
		close(ended);
	return result;
}
