// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../socket/exchange.h"
#include "gate.h"
#include "log.h"

#define RETRY_US	500000
#define RETRY_SECONDS	110
#define WATCH_MS	500
#define REPLY_LIMIT	4096

/* If one of these is gone, nothing keeps track of the restored tasks, or a task is missing. */
struct watch {
	const pid_t *tasks;
	size_t n_tasks;
	pid_t runc;		/* 0: not given */
	const char *marker;	/* path, NULL: none */
};

/*
 * Looks at each thread: the kernel does not report the end of an init, or of a thread group's leader, while
 * other tasks of it wait for their tracer.
 */
static bool one_has_died(const struct watch *watch)
{
	for (size_t i = 0; i < watch->n_tasks; i++) {
		siginfo_t info = {};

		if (!waitid(P_PID, watch->tasks[i], &info, WEXITED | WNOHANG | WNOWAIT | __WALL) &&
		    info.si_pid)
			return true;
	}
	return false;
}

/* 0, or -ECANCELED with the reason logged. */
static int watch_check(const struct watch *watch)
{
	const char *what = NULL;

	if (one_has_died(watch))
		what = "a restored process was killed";
	else if (watch->runc && getppid() != watch->runc)
		what = "runc was killed";
	else if (watch->marker && access(watch->marker, F_OK) && errno == ENOENT)
		what = "the container's creation was given up";
	if (!what)
		return 0;
	log_fail("gate", "%s", what);
	return -ECANCELED;
}

static int watch_wait(int fd, short events, void *watch)
{
	struct pollfd ready = { .fd = fd, .events = events };

	for (;;) {
		int ret = watch_check(watch);

		if (ret)
			return ret;
		ret = poll(&ready, 1, WATCH_MS);
		if (ret > 0)
			return 0;
		if (ret < 0 && errno != EINTR)
			return -errno;
	}
}

/* 0, -ECANCELED, or another -errno: ask again. */
static int ask(struct watch *watch, const char *path, const char *request)
{
	int fd = exchange_connect(path), ret;
	char *line;

	if (fd < 0)
		return fd;
	ret = exchange_line(fd, request, REPLY_LIMIT, &line, watch_wait, watch);
	close(fd);
	/* Byte for byte: after anything else the tasks may not be frozen. */
	if (!ret && strcmp(line, "{\"ok\":true}")) {
		log_fail("gate", "the agent refused: %s", line);
		ret = -ECANCELED;
	}
	free(line);
	return ret;
}

/* The agent chose these words: they need no quoting in JSON. */
static bool plain(const char *word)
{
	if (!word || !*word)
		return false;
	for (; *word; word++)
		if (*word < 0x20 || *word == '"' || *word == '\\')
			return false;
	return true;
}

static int wait_open(struct watch *watch, const char *request)
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
		/* A long wait had an agent at its other end. */
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

int gate_wait(const pid_t *tasks, size_t n_tasks, uint64_t register_us)
{
	const char *token = getenv("SEALIFT_GATE"), *container = getenv("SEALIFT_CONTAINER");
	const char *runc = getenv("SEALIFT_RUNC_PID");
	struct watch watch = {
		.tasks = tasks,
		.n_tasks = n_tasks,
		.runc = runc ? atoi(runc) : 0,
		.marker = getenv("SEALIFT_WHILE"),
	};
	char request[1024];
	int ret;

	if (!plain(token) || !plain(container) ||
	    snprintf(request, sizeof(request),
		     "{\"op\":\"gate\",\"token\":\"%s\",\"container\":\"%s\",\"pid\":%d,"
		     "\"registerUs\":%" PRIu64 "}\n",
		     token, container, tasks[0], register_us) >= (int)sizeof(request)) {
		log_fail("gate", "SEALIFT_GATE or SEALIFT_CONTAINER is not set or malformed");
		return -EINVAL;
	}
	log_info("waiting at the gate");
	ret = wait_open(&watch, request);
	/* A process may have been killed just before the reply. */
	if (!ret)
		ret = watch_check(&watch);
	if (!ret)
		log_info("the agent has frozen the tasks");
	return ret;
}
