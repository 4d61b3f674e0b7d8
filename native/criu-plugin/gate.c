// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "gate.h"
#include "log.h"

#define RETRY_US	500000
#define RETRY_SECONDS	110
#define WATCH_MS	500

static int connect_agent(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

static int send_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= n;
	}
	return 0;
}

/* Without these nobody would know of the tasks that were let go. */
struct watch {
	int root;		/* pidfd of the container's first task */
	pid_t runc;		/* 0: not told */
	const char *mark;	/* path, NULL: none */
};

static int watch_begin(struct watch *watch, pid_t root)
{
	const char *runc = getenv("SEALIFT_RUNC_PID");

	watch->runc = runc ? atoi(runc) : 0;
	watch->mark = getenv("SEALIFT_WHILE");
	watch->root = syscall(SYS_pidfd_open, root, 0);
	return watch->root < 0 ? -errno : 0;
}

/* 0, or -ECANCELED with the reason logged. */
static int watch_check(const struct watch *watch)
{
	struct pollfd root = { .fd = watch->root, .events = POLLIN };
	const char *what = NULL;

	if (poll(&root, 1, 0) > 0)
		what = "the restored process was killed";
	else if (watch->runc && getppid() != watch->runc)
		what = "runc was killed";
	else if (watch->mark && access(watch->mark, F_OK) && errno == ENOENT)
		what = "the container's creation was given up";
	if (!what)
		return 0;
	log_fail("gate", "%s", what);
	return -ECANCELED;
}

/* Until there is something to read. */
static int watch_wait(const struct watch *watch, int fd)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
				{ .fd = watch->root, .events = POLLIN } };

	for (;;) {
		int ret = watch_check(watch);

		if (ret)
			return ret;
		if (poll(fds, 2, WATCH_MS) < 0 && errno != EINTR)
			return -errno;
		if (fds[0].revents)
			return 0;
	}
}

/* One line; -ECONNRESET if the other side leaves before it is complete. */
static ssize_t receive_line(const struct watch *watch, int fd, char *line, size_t size)
{
	size_t done = 0;

	while (done < size) {
		int ret = watch_wait(watch, fd);
		ssize_t n;

		if (ret)
			return ret;
		n = recv(fd, line + done, size - done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -ECONNRESET;
		done += n;
		if (memchr(line, '\n', done))
			return done;
	}
	return -EMSGSIZE;
}

/* 0, -ECANCELED, or another -errno: ask again. */
static int ask(const struct watch *watch, const char *path, const char *request)
{
	int fd = connect_agent(path), ret;
	char line[4096];
	ssize_t n;

	if (fd < 0)
		return fd;
	ret = send_all(fd, request, strlen(request));
	n = ret ? ret : receive_line(watch, fd, line, sizeof(line));
	close(fd);
	if (n < 0)
		return n;
	ret = gate_parse_reply(line, n);
	if (ret == 1)
		return 0;
	log_fail("gate", "the agent refused: %.*s", (int)n - 1, line);
	return -ECANCELED;
}

/* These are the agent's own and go into JSON as they are. */
static bool plain(const char *word)
{
	if (!word || !*word)
		return false;
	for (; *word; word++)
		if (*word < 0x20 || *word == '"' || *word == '\\')
			return false;
	return true;
}

static int wait_open(const struct watch *watch, const char *request)
{
	const char *path = getenv("SEALIFT_SOCKET");
	time_t lost = 0;
	int ret;

	for (;;) {
		struct timespec before, after;

		clock_gettime(CLOCK_MONOTONIC, &before);
		ret = watch_check(watch);
		if (!ret)
			ret = ask(watch, path, request);
		if (!ret || ret == -ECANCELED)
			break;
		clock_gettime(CLOCK_MONOTONIC, &after);
		/* A wait that was long had an agent at its other end. */
		if (!lost || after.tv_sec - before.tv_sec > 1)
			lost = after.tv_sec;
		if (after.tv_sec - lost >= RETRY_SECONDS) {
			log_fail("gate", "no answer from %s: %s", path, strerror(-ret));
			return -ETIMEDOUT;
		}
		usleep(RETRY_US);
	}
	return ret;
}

int gate_wait(pid_t pid, uint64_t register_us)
{
	const char *token = getenv("SEALIFT_GATE"), *container = getenv("SEALIFT_CONTAINER");
	char request[1024];
	struct watch watch;
	int ret;

	if (!plain(token) || !plain(container) ||
	    snprintf(request, sizeof(request),
		     "{\"op\":\"gate\",\"token\":\"%s\",\"container\":\"%s\",\"pid\":%d,"
		     "\"registerUs\":%" PRIu64 "}\n",
		     token, container, pid, register_us) >= (int)sizeof(request)) {
		log_fail("gate", "SEALIFT_GATE or SEALIFT_CONTAINER is not set or malformed");
		return -EINVAL;
	}
	ret = watch_begin(&watch, pid);
	if (ret) {
		log_fail("gate", "process %d is gone: %s", pid, strerror(-ret));
		return ret;
	}
	log_info("waiting at the gate");
	ret = wait_open(&watch, request);
	/* It may have come just before the answer. */
	if (!ret)
		ret = watch_check(&watch);
	if (!ret)
		log_info("the gate is open");
	close(watch.root);
	return ret;
}
