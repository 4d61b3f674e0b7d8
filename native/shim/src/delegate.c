// SPDX-License-Identifier: Apache-2.0
#include "delegate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_LIMIT (4 * 1024 * 1024)

static int find_plugin(const char *type, char path[PATH_MAX], struct reason *why)
{
	const char *folder = getenv("CNI_PATH");

	while (folder && *folder) {
		size_t length = strcspn(folder, ":");
		int written = snprintf(path, PATH_MAX, "%.*s/%s", (int)length, folder, type);

		if (length && written < PATH_MAX && access(path, X_OK) == 0)
			return 0;
		folder += length + (folder[length] == ':');
	}
	reason_set(why, "NoDelegate", "no plugin %s in CNI_PATH", type);
	return -1;
}

static pid_t start(const char *path, const char *command, int in, int out)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setenv("CNI_COMMAND", command, 1);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(125);
	execl(path, path, (char *)NULL);
	fprintf(stderr, "sealift: cannot run %s: %s\n", path, strerror(errno));
	_exit(127);
}

struct gathered {
	char *text;
	size_t used;
	size_t size;
};

/* Returns 1 for more to come, 0 at the end, -1 if there is no room. */
static int gather(int fd, struct gathered *into)
{
	ssize_t got;

	if (into->used + 1 >= into->size) {
		size_t size = into->size ? into->size * 2 : 4096;
		char *text = size <= OUTPUT_LIMIT ? realloc(into->text, size) : NULL;

		if (!text)
			return -1;
		into->text = text;
		into->size = size;
	}
	got = read(fd, into->text + into->used, into->size - into->used - 1);
	if (got < 0)
		return errno == EINTR ? 1 : -1;
	into->used += got;
	into->text[into->used] = '\0';
	return got > 0;
}

/* Writes and reads in turns, so that neither side waits for the other with a full pipe. */
static int converse(int to, int from, const char *input, struct gathered *output)
{
	size_t left = strlen(input);
	int more = 1;

	fcntl(to, F_SETFL, O_NONBLOCK);
	while (more > 0) {
		struct pollfd polls[] = {
			{ .fd = from, .events = POLLIN },
			{ .fd = to, .events = POLLOUT },
		};

		if (poll(polls, to >= 0 ? 2 : 1, -1) < 0 && errno != EINTR)
			break;
		if (to >= 0 && polls[1].revents) {
			ssize_t sent = write(to, input, left);

			if (sent > 0) {
				input += sent;
				left -= sent;
			}
			/* A plugin that does not read its input is free to. */
			if (!left || (sent < 0 && errno != EAGAIN && errno != EINTR)) {
				close(to);
				to = -1;
			}
		}
		if (polls[0].revents)
			more = gather(from, output);
	}
	if (to >= 0)
		close(to);
	return more;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int delegate_run(const json_t *conf, const char *command, char **output, struct reason *why)
{
	const char *type = json_string_value(json_object_get(conf, "type"));
	struct gathered gathered = { 0 };
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };
	char path[PATH_MAX];
	void (*on_pipe)(int);
	int status = -1, complete;
	char *input = NULL;
	pid_t pid;

	*output = NULL;
	if (find_plugin(type, path, why) < 0)
		return -1;
	input = json_dumps(conf, JSON_COMPACT);
	if (!input || pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
		reason_set(why, "DelegateFailed", "no pipes for %s", type);
		goto out;
	}
	on_pipe = signal(SIGPIPE, SIG_DFL);
	pid = start(path, command, in[0], out[1]);
	signal(SIGPIPE, SIG_IGN);
	close(in[0]);
	close(out[1]);
	in[0] = out[1] = -1;
	if (pid < 0) {
		reason_set(why, "DelegateFailed", "cannot fork for %s: %s", type, strerror(errno));
		signal(SIGPIPE, on_pipe);
		goto out;
	}
	complete = converse(in[1], out[0], input, &gathered) == 0;
	in[1] = -1;
	close(out[0]);
	out[0] = -1;
	signal(SIGPIPE, on_pipe);
	status = wait_for(pid);
	if (status < 0) {
		reason_set(why, "DelegateFailed", "%s was killed", type);
	} else if (!complete) {
		reason_set(why, "DelegateFailed", "%s printed more than %d bytes", type, OUTPUT_LIMIT);
		status = -1;
	} else {
		*output = gathered.text;
		gathered.text = NULL;
	}
out:
	if (in[0] >= 0)
		close(in[0]);
	if (in[1] >= 0)
		close(in[1]);
	if (out[0] >= 0)
		close(out[0]);
	if (out[1] >= 0)
		close(out[1]);
	free(gathered.text);
	free(input);
	return status;
}
