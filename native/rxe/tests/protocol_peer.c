// SPDX-License-Identifier: GPL-2.0
/* A peer whose packets break the rules. */
#include "expect.h"
#include "protocol.h"
#include "scripted.h"

/* Send one packet of a WRITE. Return: the answer's syndrome, or -1 */
static int answer_to(struct scripted *s, uint8_t opcode, uint32_t length,
		     uint32_t nth)
{
	struct wire_packet p = scripted_request(s, opcode, nth);

	p.length = length;
	p.size = WIRE_MTU;
	wire_send(&s->wire, &p);
	while (wire_recv(&s->wire, &p, 500))
		if (p.opcode == WIRE_ACK)
			return p.syndrome;
	return -1;
}

/* There is no region to write it to. */
static void payload_of_nothing(void)
{
	struct scripted s;

	scripted_open(&s);
	expect(WIRE_NAK_INVALID, answer_to(&s, WIRE_WRITE_ONLY, 0, 0),
	       "a WRITE of 0 bytes with a payload");
}

/* What would be left is a WRITE without a rest, which no image may have. */
static void first_is_all(void)
{
	struct scripted s;

	scripted_open(&s);
	expect(WIRE_NAK_INVALID, answer_to(&s, WIRE_WRITE_FIRST, WIRE_MTU, 0),
	       "a first packet that has all of the message");
}

static void last_is_not_all(void)
{
	struct scripted s;

	scripted_open(&s);
	expect(WIRE_OK, answer_to(&s, WIRE_WRITE_FIRST, 3 * WIRE_MTU, 0) & 0x60 ?
	       0 : WIRE_OK, "a first packet");
	expect(WIRE_NAK_INVALID, answer_to(&s, WIRE_WRITE_LAST, 0, 1),
	       "a last packet that has not the rest of the message");
}

/*
 * An acknowledgment has no result, but the PSN of what was executed last. A
 * responder answers a repeated SEND or WRITE so.
 */
static void acknowledged_read(void)
{
	struct scripted s;
	uint64_t id = 0;

	scripted_open(&s);
	scripted_write(&s, 100, 1);
	scripted_post(&s, IBV_WR_RDMA_READ, 0, 8, 2);
	expect(1, scripted_count(&s, WIRE_READ, 300), "a READ is sent");
	scripted_answer(&s, WIRE_OK, 1);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 1000, &id),
	       "acknowledged: what is before the READ is done");
	expect(1, id, "acknowledged: it is the WRITE");
	expect(-1, scripted_completion(&s, 300, &id),
	       "acknowledged: the READ is not done without its result");
}

const struct protocol_case protocol_peer_cases[] = {
	{ "payload of nothing", payload_of_nothing },
	{ "first packet is all", first_is_all },
	{ "last packet is not all", last_is_not_all },
	{ "acknowledged READ", acknowledged_read },
	{ 0 },
};
