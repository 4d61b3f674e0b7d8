/* SPDX-License-Identifier: GPL-2.0 */
/* The multicast groups that a socket has joined, with the sources that it hears or does not hear. */
#ifndef SEALIFT_MULTICAST_H
#define SEALIFT_MULTICAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/types.h>

#include "image.h"

/* Sources of one group: net.ipv4.igmp_max_msf is 10, net.ipv6.mld_max_msf 64. */
#define MULTICAST_MAX_SOURCES 64U

/* A group on an interface that somebody, or the kernel itself, has joined. */
struct multicast_group {
	int family;
	unsigned int interface;
	struct in6_addr address;	/* of AF_INET in its first four bytes */
};

/* All groups of the process's network, in *@groups for free(). Their number or -errno. */
int multicast_groups(pid_t pid, struct multicast_group **groups);

/* Which of them @socket has joined, added to @options. 0 or -errno. */
int multicast_read(int socket, const struct multicast_group *groups, size_t count,
		   PB(SocketOptions) *options);

/* Join again. 0, also if the socket has joined, or -errno. */
int multicast_join(int socket, const PB(Membership) *membership);

/* Of an image: is it whole? */
bool multicast_is_sane(const PB(Membership) *membership);

/* The interface's index in @socket's network, 0: none has the name; and the name of an index, or -errno. */
unsigned int interface_index(int socket, const char *name);
int interface_name(int socket, unsigned int index, char name[16]);

#endif
