/* SPDX-License-Identifier: GPL-2.0 */
/* The two ends of a connection, each in a process and a namespace of its own. */
#ifndef PAIR_H
#define PAIR_H

#include <stdint.h>
#include <sys/types.h>

#include "traffic.h"

struct pair_end {
	const char *netns;	/* name below /run/netns */
	const char *device;
	uint64_t seed, peer_seed;
	int sock;		/* to the other end's process */
};

/* All exit the process on failure. */

/* Another process for the other end. Return: 0 there. @sock: to the other one */
pid_t pair_fork(int *sock);
/* The other end's process has ended well. */
void pair_join(pid_t pid);
/* Go to the namespace, with its own view of /sys/class/infiniband. */
void pair_enter(const char *netns);
/* Give the other end @out, and get as much. */
void pair_exchange(int sock, const void *out, void *in, size_t size);
void pair_open(const struct pair_end *end, struct traffic *t, uint64_t total);
/* Both ends have done their part, and what they did is right. */
void pair_close(const struct pair_end *end, struct traffic *t);

#endif /* PAIR_H */
