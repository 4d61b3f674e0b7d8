/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a socket has that CRIU would restore it without, and that makes it safe: TLS in the kernel, keys of TCP-AO and TCP MD5. The
 * agent looks for the same before the hold (native/addon/src/sockets.cc).
 */
#ifndef SEALIFT_SOCKETS_H
#define SEALIFT_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* An option that is a number; -1: the kernel does not tell. */
int socket_number(int fd, int level, int name);

/* Is it a TCP socket, and no other that happens to be one of the Internet? */
bool socket_is_tcp(int fd);

/* The inode number that the link of a descriptor says, `socket:[123]`; 0: it is no socket. */
uint32_t socket_of_link(const char *link);

/* Of a frozen process, during the dump. 0; -EPERM: there is such a socket, and the log names it; or -errno with a line in the log. */
int sockets_check(pid_t pid);

/* At the end of a dump. */
void sockets_forget(void);

#endif
