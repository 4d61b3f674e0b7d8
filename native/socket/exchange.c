// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
#include "exchange.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_SIZE 4096

int exchange_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	error = errno;
	close(fd);
	return -error;
}

static int send_all(int fd, const char *text, exchange_wait wait, void *arg)
{
	size_t left = strlen(text);
	int ret;

	while (left) {
		ssize_t sent = send(fd, text, left, MSG_NOSIGNAL);

		if (sent >= 0) {
			text += sent;
			left -= sent;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		ret = wait(fd, POLLOUT, arg);
		if (ret)
			return ret;
	}
	return 0;
}

/* Room for one more byte and a NUL at least. */
static int grow(char **text, size_t *size, size_t used, size_t limit)
{
	size_t wanted = *size ? *size * 2 : FIRST_SIZE;
	char *grown;

	if (used + 1 < *size)
		return 0;
	if (used >= limit)
		return -EMSGSIZE;
	if (wanted > limit + 1)
		wanted = limit + 1;
	grown = realloc(*text, wanted);
	if (!grown)
		return -ENOMEM;
	*text = grown;
	*size = wanted;
	return 0;
}

int exchange_line(int fd, const char *request, size_t limit, char **reply, exchange_wait wait,
		  void *arg)
{
	size_t size = 0, used = 0;
	char *text = NULL;
	int ret;

	*reply = NULL;
	ret = send_all(fd, request, wait, arg);
	while (!ret) {
		ssize_t got;
		char *end;

		ret = grow(&text, &size, used, limit);
		if (!ret)
			ret = wait(fd, POLLIN, arg);
		if (ret)
			break;
		got = recv(fd, text + used, size - used - 1, 0);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0) {
			ret = got ? -errno : -ECONNRESET;
			break;
		}
		end = memchr(text + used, '\n', got);
		used += got;
		if (!end)
			continue;
		*end = '\0';
		*reply = text;
		return 0;
	}
	free(text);
	return ret;
}
