// SPDX-License-Identifier: Apache-2.0
#include "flow.h"

#include "dice.h"

/* Kinds of random content. */
enum salt { SALT_OP = 1, SALT_MESSAGE, SALT_SOURCE, SALT_REGION };

static uint64_t direction(const struct flow *f)
{
	return (uint64_t)f->pair << 1 | f->from;
}

/* Some region of this PD; NONE: there is none. */
static int some_region(const struct plan_side *s, int pd, struct dice *d)
{
	int found = NONE;

	for (unsigned int i = 0; i < s->regions; i++)
		if (s->region[i].pd == pd && (found == NONE || dice_once_in(d, 2)))
			found = (int)i;
	return found;
}

static void choose_content(const struct flow *f, struct op *op, struct dice *d)
{
	const struct plan_side *s = &f->plan->side[f->from];
	const struct plan_end *e = &f->plan->pair[f->pair].end[f->from];
	bool datagram = f->plan->pair[f->pair].transport == TRANSPORT_UD;
	/* Every fourth is short; a datagram has its number in it. */
	uint32_t least = datagram ? 8 : 1, most = datagram ? MAX_DATAGRAM : MAX_BYTES;

	op->length = dice_once_in(d, 4) ? dice_between(d, least, 64) : dice_between(d, least, most);
	if (op->kind == OP_SHOW) {
		op->region = some_region(s, e->pd, d);
		if (op->region == NONE)
			op->kind = OP_SEND;
		else if (op->length > s->region[op->region].length)
			op->length = s->region[op->region].length;
	}
	if (op->kind == OP_ADD || op->kind == OP_SWAP)
		op->length = 8;
	if (op->kind == OP_READ)
		op->offset = dice_any(d, DEVICE_PAGES * PAGE - op->length);
	if (op->kind == OP_ADD)
		op->step = 1 + dice_any(d, 1000);
}

struct op flow_op(const struct flow *f, uint64_t number)
{
	const struct plan_pair *pair = &f->plan->pair[f->pair];
	struct dice d = { dice_mix(f->plan->seed, (uint64_t)SALT_OP << 32 | direction(f), number) };
	bool datagram = pair->transport == TRANSPORT_UD;
	struct op op = { .number = number, .region = NONE };

	op.kind = (enum op_kind)dice_any(&d, datagram ? OP_SEND_IMM + 1 : OP_KINDS);
	choose_content(f, &op, &d);
	/* Each fourth one, so that places come free, and the last one is among them. */
	op.signalled = pair->end[f->from].signals_all || number % 4 == 3 || dice_once_in(&d, 3);
	op.inlined = dice_once_in(&d, 2) && op.kind <= OP_WRITE && op.kind != OP_SHOW &&
		     op.length <= pair->end[f->from].inline_bytes;
	op.fenced = !datagram && dice_once_in(&d, 5);
	op.solicited = op_is_message(&op) && dice_once_in(&d, 3);
	return op;
}

bool op_is_message(const struct op *op)
{
	return op->kind <= OP_WRITE_IMM;
}

static uint8_t byte_of(uint64_t key, uint32_t i)
{
	return (uint8_t)(key + i + (i >> 8) * 7);
}

uint8_t message_byte(const struct flow *f, uint64_t number, uint32_t i)
{
	if (f->plan->pair[f->pair].transport == TRANSPORT_UD && i < 8)
		return (uint8_t)(number >> 8 * i);
	return byte_of(dice_mix(f->plan->seed, (uint64_t)SALT_MESSAGE << 32 | direction(f), number), i);
}

uint8_t source_byte(const struct plan *p, enum side_name owner, unsigned int pair, uint32_t i)
{
	return byte_of(dice_mix(p->seed, (uint64_t)SALT_SOURCE << 32 | owner, pair), i);
}

uint8_t region_byte(const struct plan *p, enum side_name owner, int region, uint32_t i)
{
	return byte_of(dice_mix(p->seed, (uint64_t)SALT_REGION << 32 | owner, (uint64_t)region), i);
}

uint8_t op_byte(const struct flow *f, const struct op *op, uint32_t i)
{
	return op->kind == OP_SHOW ? region_byte(f->plan, f->from, op->region, i) :
				     message_byte(f, op->number, i);
}

bool flow_completed(struct flow *f, uint64_t number)
{
	bool fine = number >= f->completed && number < f->posted && flow_op(f, number).signalled;

	for (uint64_t n = f->completed; fine && n < number; n++)
		fine = !flow_op(f, n).signalled;
	if (fine)
		f->completed = number + 1;
	return fine;
}

struct op flow_next_message(struct flow *f)
{
	struct op op = flow_op(f, f->next++);

	while (!op_is_message(&op))
		op = flow_op(f, f->next++);
	f->messages++;
	return op;
}

bool flow_datagram(struct flow *f, uint64_t number)
{
	if (number < f->next)
		return false;
	f->next = number + 1;
	f->messages++;
	return true;
}

uint64_t flow_messages_in(const struct flow *f, uint64_t posted)
{
	uint64_t count = 0;

	for (uint64_t n = 0; n < posted; n++) {
		struct op op = flow_op(f, n);

		count += op_is_message(&op);
	}
	return count;
}

bool flow_last_write(const struct flow *f, uint64_t posted, uint32_t place, struct op *op)
{
	for (uint64_t n = posted; n; n--) {
		*op = flow_op(f, n - 1);
		if (op->kind == OP_WRITE && op->number % WRITES == place)
			return true;
	}
	return false;
}
