/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Options of sockets that CRIU 4.1.1 leaves out (criu/sockets.c, dump_socket_opts(); criu/sk-inet.c, dump_ip_opts(); criu/sk-tcp.c,
 * dump_tcp_opts()), and their multicast groups: read at the dump, compared with the restored sockets and put back before the gate.
 */
#ifndef SEALIFT_SOCKET_OPTIONS_H
#define SEALIFT_SOCKET_OPTIONS_H

#include <sys/types.h>

#include "image.h"

/* Of a frozen process. 0 or -errno. */
int socket_options_read(pid_t pid, PB(Settings) *settings);

/* Of a restored one, in the network of the container. 0 or -errno with a line in the log. */
int socket_options_restore(pid_t pid, const PB(Settings) *settings);

/* May they be read further? 0 or -EINVAL. */
int socket_options_check(const PB(Settings) *settings);

#endif
