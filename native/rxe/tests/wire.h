/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A peer made by hand: it sends what packets it likes and sees each that is
 * sent to it. RoCE v2 over IPv4 (InfiniBand specification volume 1, chapter 9
 * and annex A17).
 */
#ifndef WIRE_H
#define WIRE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define WIRE_MTU 1024

/* opcodes of a reliable connection, and of datagrams */
enum wire_opcode {
	WIRE_SEND_FIRST, WIRE_SEND_MIDDLE, WIRE_SEND_LAST, WIRE_SEND_LAST_IMM,
	WIRE_SEND_ONLY, WIRE_SEND_ONLY_IMM, WIRE_WRITE_FIRST,
	WIRE_WRITE_MIDDLE, WIRE_WRITE_LAST, WIRE_WRITE_LAST_IMM,
	WIRE_WRITE_ONLY, WIRE_WRITE_ONLY_IMM, WIRE_READ, WIRE_READ_FIRST,
	WIRE_READ_MIDDLE, WIRE_READ_LAST, WIRE_READ_ONLY, WIRE_ACK,
	WIRE_ATOMIC_ACK, WIRE_CMP_SWAP, WIRE_FETCH_ADD, WIRE_FLUSH = 0x1c,
	WIRE_ATOMIC_WRITE,
	/* of datagrams */
	WIRE_UD_SEND = 0x64, WIRE_UD_SEND_IMM,
};

/* syndromes of an acknowledgment */
enum wire_syndrome {
	WIRE_OK = 0x1f,
	WIRE_RNR = 0x20,	/* | the timer's code */
	WIRE_NAK_SEQUENCE = 0x60,
	WIRE_NAK_INVALID,
	WIRE_NAK_ACCESS,
	WIRE_NAK_OPERATION,
};

struct wire_packet {
	uint8_t opcode;
	bool ack_req;
	uint32_t qpn;		/* of the receiver */
	uint32_t psn;
	uint8_t syndrome;	/* responses */
	uint32_t msn;
	uint64_t va;		/* READ, WRITE, atomics, FLUSH */
	uint32_t rkey;
	uint32_t length;	/* READ, WRITE, FLUSH: of the whole message */
	uint64_t swap_add, compare; /* atomics */
	uint32_t flush;		/* type | level << 4 */
	uint32_t qkey, src_qpn;	/* datagrams */
	uint32_t immediate;	/* of datagrams; else 0 is sent */
	uint32_t size;		/* payload, at most WIRE_MTU */
	uint8_t payload[WIRE_MTU];
};

struct wire {
	int tx, rx;
	struct in_addr from, to;
};

/*
 * Be the peer at address @from, on interface @dev of @netns, of a device at
 * address @to. Exits the process on failure.
 */
void wire_open(struct wire *w, const char *netns, const char *dev,
	       const char *from, const char *to);
void wire_send(const struct wire *w, const struct wire_packet *p);

/* Return: true and the next packet for the peer, false after @ms without one. */
bool wire_recv(const struct wire *w, struct wire_packet *p, int ms);
/* Forget what has arrived. */
void wire_drain(const struct wire *w);

#endif /* WIRE_H */
