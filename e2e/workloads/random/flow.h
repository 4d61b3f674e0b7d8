/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of one direction of a pair: which one is the nth follows from the plan, so that both ends know it; and
 * the accounts of what has completed and what has come. There are no verbs in here.
 */
#ifndef RANDOM_FLOW_H
#define RANDOM_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "plan.h"

#define MAX_BYTES	3000	/* of a message */
#define MAX_DATAGRAM	1000
#define WRITES		16	/* places for messages that nobody is told of */
#define STOP		0x80000000u /* in an immediate: the sender ends */

enum op_kind {
	OP_SEND, OP_SEND_IMM, OP_SHOW, /* a region's content, in a SEND */
	OP_WRITE_IMM, OP_WRITE, OP_READ, OP_ADD, OP_SWAP, OP_KINDS,
};

struct op {
	uint64_t number;
	enum op_kind kind;
	uint32_t length;
	uint32_t offset; /* of what is read */
	int region; /* of OP_SHOW */
	bool signalled, inlined, fenced, solicited;
	uint64_t step; /* of OP_ADD */
};

/* One direction: what @from sends to the other side. */
struct flow {
	const struct plan *plan;
	unsigned int pair;
	enum side_name from;
	/* of the sender */
	uint64_t posted, completed;
	uint64_t sum, swaps; /* what the next atomic has to find */
	/* of the receiver */
	uint64_t next; /* the operation after the last message */
	uint64_t messages;
};

struct op flow_op(const struct flow *f, uint64_t number);
/* It takes a receive request. */
bool op_is_message(const struct op *op);
/* The content of a message, of what a pair reads, and of a region. */
uint8_t message_byte(const struct flow *f, uint64_t number, uint32_t i);
uint8_t source_byte(const struct plan *p, enum side_name owner, unsigned int pair, uint32_t i);
uint8_t region_byte(const struct plan *p, enum side_name owner, int region, uint32_t i);
/* The byte at @i of a message, of whatever kind. */
uint8_t op_byte(const struct flow *f, const struct op *op, uint32_t i);

/* A completion of request @number. Return: does it come in its turn, and does nothing signalled lie before it? */
bool flow_completed(struct flow *f, uint64_t number);
/* The next message of a connection. */
struct op flow_next_message(struct flow *f);
/* A datagram with this number has come. Return: is it newer than those before it, and a message? */
bool flow_datagram(struct flow *f, uint64_t number);
/* How many messages are among the first @posted operations. */
uint64_t flow_messages_in(const struct flow *f, uint64_t posted);
/* The last OP_WRITE into place @place among the first @posted operations. Return: is there one? */
bool flow_last_write(const struct flow *f, uint64_t posted, uint32_t place, struct op *op);

#endif
