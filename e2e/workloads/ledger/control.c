// SPDX-License-Identifier: Apache-2.0
#include "control.h"

#include "verify.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int resolve(const char *host, int port, bool passive, struct addrinfo **out)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	char service[16];

	hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
	snprintf(service, sizeof(service), "%d", port);
	return getaddrinfo(host, service, &hints, out) ? -EADDRNOTAVAIL : 0;
}

static void ready(struct control *c, int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->fd = fd;
	c->have = 0;
}

int control_listen(struct control *c, const char *bind_address, int port, int seconds)
{
	struct addrinfo *ai;
	struct pollfd p = { .events = POLLIN };
	int one = 1, fd, ret;

	ret = resolve(bind_address, port, true, &ai);
	if (ret)
		return ret;
	p.fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p.fd < 0) {
		ret = -errno;
		goto out;
	}
	setsockopt(p.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(p.fd, ai->ai_addr, ai->ai_addrlen) || listen(p.fd, 1)) {
		ret = -errno;
		goto out;
	}
	ret = poll(&p, 1, seconds * 1000);
	if (ret <= 0) {
		ret = ret ? -errno : -ETIMEDOUT;
		goto out;
	}
	fd = accept(p.fd, NULL, NULL);
	ret = fd < 0 ? -errno : 0;
	if (!ret)
		ready(c, fd);
out:
	if (p.fd >= 0)
		close(p.fd);
	freeaddrinfo(ai);
	return ret;
}

int control_connect(struct control *c, const char *peer, int port, int seconds)
{
	struct addrinfo *ai;
	int fd, ret = -ETIMEDOUT;

	/* The peer may not be there yet: pods of one manifest start in any order. */
	for (int tried = 0; tried < 2 * seconds; tried++) {
		if (tried)
			usleep(500000);
		ret = resolve(peer, port, false, &ai);
		if (ret)
			continue;
		fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ret = fd < 0 || connect(fd, ai->ai_addr, ai->ai_addrlen) ? -errno : 0;
		freeaddrinfo(ai);
		if (!ret) {
			ready(c, fd);
			return 0;
		}
		if (fd >= 0)
			close(fd);
	}
	return ret;
}

int control_send(struct control *c, const char *format, ...)
{
	char line[CONTROL_LINE];
	size_t size, sent = 0;
	ssize_t n;
	va_list ap;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line) - 16, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line) - 16)
		return -EMSGSIZE;
	size = (size_t)n;
	size += (size_t)snprintf(line + size, 16, " %08x\n", crc32c(0, line, size));
	while (sent < size) {
		n = send(c->fd, line + sent, size - sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		sent += (size_t)n;
	}
	return 0;
}

/* Returns 1 with a line from the buffer, 0 when there is none yet. */
static int take_line(struct control *c, char line[CONTROL_LINE])
{
	char *end = memchr(c->in, '\n', c->have);
	size_t size;
	char crc[16];

	if (!end)
		return c->have >= CONTROL_LINE ? -EBADMSG : 0;
	size = (size_t)(end - c->in);
	if (size < 9 || size >= CONTROL_LINE)
		return -EBADMSG;
	memcpy(line, c->in, size);
	line[size] = 0;
	c->have -= size + 1;
	memmove(c->in, end + 1, c->have);
	snprintf(crc, sizeof(crc), " %08x", crc32c(0, line, size - 9));
	if (strcmp(line + size - 9, crc))
		return -EBADMSG;
	line[size - 9] = 0;
	return 1;
}

int control_receive(struct control *c, char line[CONTROL_LINE], int timeout_ms)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	ssize_t n;
	int ret = take_line(c, line);

	while (!ret) {
		ret = poll(&p, 1, timeout_ms);
		if (ret <= 0)
			return ret < 0 && errno != EINTR ? -errno : 0;
		n = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return n ? -errno : -EPIPE;
		c->have += (size_t)n;
		ret = take_line(c, line);
	}
	return ret;
}

void control_close(struct control *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}
