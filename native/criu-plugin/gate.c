// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "gate.h"
#include "log.h"

#define RETRY_US	500000
#define RETRY_SECONDS	110

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

/* One line; -ECONNRESET if the other side leaves before it is complete. */
static ssize_t receive_line(int fd, char *line, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = recv(fd, line + done, size - done, 0);

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
static int ask(const char *path, const char *request)
{
	int fd = connect_agent(path), ret;
	char line[4096];
	ssize_t n;

	if (fd < 0)
		return fd;
	ret = send_all(fd, request, strlen(request));
	n = ret ? ret : receive_line(fd, line, sizeof(line));
	close(fd);
	if (n < 0)
		return n;
	ret = gate_parse_reply(line, n);
	if (ret == 1)
		return 0;
	log_fail("gate", "the agent refused: %.*s", (int)n - 1, line);
	return -ECANCELED;
}

/* The token is the agent's own and goes into JSON as it is. */
static bool plain(const char *token)
{
	for (; *token; token++)
		if (*token < 0x20 || *token == '"' || *token == '\\')
			return false;
	return true;
}

int gate_wait(pid_t pid, uint64_t register_us)
{
	const char *path = getenv("SEALIFT_SOCKET"), *token = getenv("SEALIFT_GATE");
	time_t lost = 0;
	char request[512];
	int ret;

	if (!token || !plain(token) ||
	    snprintf(request, sizeof(request),
		     "{\"op\":\"gate\",\"token\":\"%s\",\"pid\":%d,\"registerUs\":%" PRIu64 "}\n",
		     token, pid, register_us) >= (int)sizeof(request)) {
		log_fail("gate", "SEALIFT_GATE is not set or malformed");
		return -EINVAL;
	}
	log_info("waiting at the gate");
	for (;;) {
		struct timespec before, after;

		clock_gettime(CLOCK_MONOTONIC, &before);
		ret = ask(path, request);
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
	if (!ret)
		log_info("the gate is open");
	return ret;
}
