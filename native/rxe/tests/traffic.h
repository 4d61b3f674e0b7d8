/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One end of a reliable connection that sends SEND, WRITE with immediate,
 * READ, FETCH_ADD and CMP_SWAP in turn, and checks order, content and that
 * each was done once, at both ends.
 */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

#include "endpoint.h"

#define TRAFFIC_WINDOW	16	/* requests under way */
#define TRAFFIC_RECVS	32	/* receive requests posted */
#define TRAFFIC_BYTES	20000	/* longest message */

struct traffic_address {
	union ibv_gid gid;
	uint32_t qpn;
	uint32_t psn;
	uint32_t rkey;
	uint64_t va;
};

struct traffic {
	struct endpoint end;
	struct traffic_memory *mem;
	struct traffic_address local, remote;
	uint64_t seed, remote_seed;
	uint64_t total;		/* requests to send */
	uint64_t posted, completed;
	uint64_t messages;	/* of them SEND or WRITE: sent */
	uint64_t adds, swaps;	/* atomics completed */
	uint64_t received;	/* messages from the other end */
	uint64_t recvs;		/* receive requests posted */
	uint64_t events;	/* completion events read */
};

/* All exit the process on failure. */
void traffic_open(struct traffic *t, const char *device, uint64_t seed,
		  uint64_t total);
void traffic_connect(struct traffic *t, const struct traffic_address *remote,
		     uint64_t remote_seed);

/*
 * Do what can be done now.
 * Return: true once all requests are done and all messages are here.
 */
bool traffic_step(struct traffic *t);

/* Wait for a completion event, at most @ms. */
void traffic_wait(struct traffic *t, int ms);

/* The counters say that each of the other end's atomics was done once. */
void traffic_verify(const struct traffic *t);
void traffic_close(struct traffic *t);

#endif /* TRAFFIC_H */
