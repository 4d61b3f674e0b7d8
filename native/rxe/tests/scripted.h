/* SPDX-License-Identifier: GPL-2.0 */
/* A connection with a peer that does what a test tells it to do. */
#ifndef SCRIPTED_H
#define SCRIPTED_H

#include "endpoint.h"
#include "method.h"
#include "wire.h"

#define SCRIPTED_BYTES	65536
#define SCRIPTED_QPN	0x4321		/* the peer's */
#define SCRIPTED_SQ_PSN	0xfffff0	/* first of the device's own requests */
#define SCRIPTED_RQ_PSN	0xfffff8	/* first of the peer's */
#define SCRIPTED_TIMER	14		/* the hold's RNR timer, 1.92 ms */

struct scripted {
	struct endpoint end;
	struct wire wire;
	unsigned char *mem;	/* SCRIPTED_BYTES, all in end.mr */
	int fd;
};

/* Where the tests run; the program's arguments. */
struct scripted_place {
	const char *device, *address;
	const char *peer_netns, *peer_dev, *peer_address;
};

extern struct scripted_place scripted_place;

/* All exit the process on failure. */
void scripted_open(struct scripted *s);
/* The same with fields of @path other than gid, qpn and PSNs. */
void scripted_open_path(struct scripted *s, struct endpoint_path path);
/* Only the objects; the queue pair is in RESET. */
void scripted_open_end(struct scripted *s, enum ibv_qp_type type);
void scripted_peer_gid(const struct scripted *s, union ibv_gid *gid);
void scripted_hold(const struct scripted *s);
void scripted_resume(const struct scripted *s);
/* Dump, destroy and restore the queue pair of a held device. */
void scripted_move(struct scripted *s, uint32_t *handle);
/* Resume the device, whoever has held it. */
void scripted_release(void);
/* Post a receive request of @size bytes at the start of the memory. */
void scripted_post_recv(struct scripted *s, uint32_t size);
/* Post a request, whose data is at @offset of the memory. */
void scripted_post(struct scripted *s, enum ibv_wr_opcode opcode,
		   uint32_t offset, uint32_t size, uint64_t wr_id);

/* Post a WRITE, and expect that the peer sees it. */
void scripted_write(struct scripted *s, uint32_t size, uint64_t wr_id);

/* A packet for the device, PSN @nth of the peer's own requests. */
struct wire_packet scripted_request(const struct scripted *s, uint8_t opcode,
				    uint32_t nth);
/* An answer to the @nth PSN of the device's requests. */
void scripted_answer(const struct scripted *s, uint8_t syndrome, uint32_t nth);

/*
 * Wait for a completion, at most @ms.
 * Return: its status, or -1
 */
int scripted_completion(struct scripted *s, int ms, uint64_t *wr_id);
/* Wait for an asynchronous event. Return: its type, or -1 */
int scripted_event(struct scripted *s, int ms);
/* Number of packets of @opcode that arrive within @ms */
unsigned int scripted_count(struct scripted *s, uint8_t opcode, int ms);

#endif /* SCRIPTED_H */
