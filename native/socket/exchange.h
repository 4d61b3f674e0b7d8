/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * The clients' side of the agent's socket, for the shim and for CRIU's plugin: a line each way, then the agent
 * closes. What the lines say is the callers' business (docs/architecture.md, "The agent's socket").
 */
#ifndef SOCKET_EXCHANGE_H
#define SOCKET_EXCHANGE_H

#include <stddef.h>

/*
 * Waits until @fd is ready for @events, as of poll(). Returns 0, or -errno to give up, which exchange_line()
 * then returns.
 */
typedef int (*exchange_wait)(int fd, short events, void *arg);

/* A descriptor that does not block, or -errno: no process listens at @path. */
int exchange_connect(const char *path);

/*
 * exchange_line - send @request, which ends with a newline, and receive a line
 * @limit: bytes of a reply, its newline included
 * @reply: the caller's to free, without its newline
 *
 * 0, or what @wait gave up with, or
 * -ECONNRESET: the other side closed before the line was complete
 * -EMSGSIZE: @limit bytes without a newline
 * another -errno of a system call.
 */
int exchange_line(int fd, const char *request, size_t limit, char **reply, exchange_wait wait,
		  void *arg);

#endif
