// SPDX-License-Identifier: Apache-2.0
/* The generator and the accounts, without verbs: `make check`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dice.h"
#include "flow.h"
#include "plan.h"

#define SEEDS 3000

static unsigned int passed, failed;

static void check(const char *what, bool fine)
{
	if (fine)
		passed++;
	else
		failed++;
	printf("%s - %s\n", fine ? "ok" : "not ok", what);
}

/* Breaks off: what follows would be as wrong. */
static void must(bool fine, uint64_t seed, const char *what)
{
	if (fine)
		return;
	printf("not ok - seed %llu: %s\n", (unsigned long long)seed, what);
	exit(1);
}

static bool in(int index, unsigned int count)
{
	return index >= 0 && (unsigned int)index < count;
}

static int context(const struct plan_side *s, int pd)
{
	return s->pd[pd].context;
}

static void look_at_queues(const struct plan *p, const struct plan_side *s)
{
	must(s->cqs <= MAX_CQS && s->srqs <= MAX_SRQS && s->pds <= MAX_PDS, p->seed, "too many objects");
	for (unsigned int i = 0; i < s->pds; i++)
		must(in(s->pd[i].context, s->contexts), p->seed, "a PD without a context");
	for (unsigned int i = 0; i < s->cqs; i++) {
		must(in(s->cq[i].context, s->contexts), p->seed, "a CQ without a context");
		must(s->cq[i].armed == ARMED_NOT || s->cq[i].events, p->seed, "armed without a channel");
	}
	for (unsigned int i = 0; i < s->srqs; i++) {
		must(in(s->srq[i].pd, s->pds) && s->srq[i].entries < MAX_RECEIVES, p->seed, "an SRQ");
		must(s->srq[i].posted < s->srq[i].entries && s->srq[i].limit < s->srq[i].entries, p->seed,
		     "requests or limit of an SRQ");
	}
}

static void look_at_idles(const struct plan *p, const struct plan_side *s)
{
	must(s->idles <= MAX_IDLES, p->seed, "too many queue pairs");
	for (unsigned int i = 0; i < s->idles; i++) {
		const struct plan_idle *q = &s->idle[i];

		must(in(q->pd, s->pds) && in(q->send_cq, s->cqs) && in(q->receive_cq, s->cqs), p->seed,
		     "an object of an idle queue pair");
		must(s->cq[q->receive_cq].quiet && s->cq[q->send_cq].quiet, p->seed,
		     "somebody takes an idle queue pair's completions");
		must(s->cq[q->receive_cq].context == context(s, q->pd), p->seed, "a CQ of another context");
		must(q->posted <= q->receives && (q->state != IDLE_RESET || !q->posted), p->seed,
		     "receive requests in RESET");
		must(q->srq == NONE || (s->srq[q->srq].quiet && s->srq[q->srq].pd == q->pd &&
					q->state != IDLE_ERR), p->seed, "an idle queue pair's SRQ");
	}
}

static void look_at_end(const struct plan *p, const struct plan_side *s, const struct plan_end *e)
{
	must(in(e->pd, s->pds) && in(e->send_cq, s->cqs) && in(e->receive_cq, s->cqs), p->seed,
	     "an object of a pair");
	must(!s->cq[e->send_cq].quiet && !s->cq[e->receive_cq].quiet, p->seed, "a quiet CQ of a pair");
	must(s->cq[e->send_cq].context == context(s, e->pd) &&
	     s->cq[e->receive_cq].context == context(s, e->pd), p->seed, "a CQ of another context");
	must(e->srq == NONE || (s->srq[e->srq].pd == e->pd && !s->srq[e->srq].quiet), p->seed,
	     "an SRQ of another PD");
	/* Each fourth request is signalled: with fewer places none might come free. */
	must(e->window >= 4 && e->window <= MAX_WINDOW && e->burst >= 1 && e->burst <= e->window, p->seed,
	     "window");
	must(e->receives >= 1 && e->receives <= MAX_RECEIVES, p->seed, "receives");
	must(e->arena < MEMORY_WRITABLE && e->inbox < MEMORY_WRITABLE, p->seed, "memory that cannot be written");
	must(e->first_psn < 1u << 24 && e->timeout < 32 && e->rnr_timer < 32, p->seed, "PSN or timer");
}

/* What can be under way at once has a place in its CQ. */
static void look_at_room(const struct plan *p, const struct plan_side *s, int side)
{
	uint32_t need[MAX_CQS] = { 0 };

	for (unsigned int i = 0; i < p->pairs; i++) {
		const struct plan_end *e = &p->pair[i].end[side];

		need[e->send_cq] += e->window;
		need[e->receive_cq] += e->srq == NONE ? e->receives : s->srq[e->srq].entries;
	}
	for (unsigned int i = 0; i < s->idles; i++)
		need[s->idle[i].receive_cq] += s->idle[i].posted;
	for (unsigned int i = 0; i < s->cqs; i++)
		must(s->cq[i].entries >= need[i] && (!s->cq[i].resized || s->cq[i].resized > need[i]), p->seed,
		     "a CQ may overflow");
}

static void look_at(const struct plan *p)
{
	must(p->pairs >= 1 && p->pairs <= MAX_PAIRS, p->seed, "pairs");
	must(p->pair[0].transport == TRANSPORT_RC, p->seed, "the first pair says the end");
	must(!p->side[!p->moves].refused, p->seed, "what stays has something that cannot be moved");
	for (int side = 0; side < SIDES; side++) {
		const struct plan_side *s = &p->side[side];

		look_at_queues(p, s);
		look_at_idles(p, s);
		for (unsigned int i = 0; i < p->pairs; i++)
			look_at_end(p, s, &p->pair[i].end[side]);
		look_at_room(p, s, side);
		for (unsigned int i = 0; i < s->regions; i++)
			must(s->region[i].offset + s->region[i].length <= DEVICE_PAGES * PAGE &&
			     s->region[i].length >= 300, p->seed, "a region beyond its memory");
	}
}

static void look_at_op(const struct plan *p, const struct flow *f, const struct op *op)
{
	const struct plan_end *e = &p->pair[f->pair].end[f->from];
	const struct plan_side *s = &p->side[f->from];

	must(op->length >= 1 && op->length <= MAX_BYTES && op->length < SLOT, p->seed, "length of a message");
	must(!op->inlined || op->length <= e->inline_bytes, p->seed, "too much of it inline");
	must(op->kind != OP_READ || op->offset + op->length <= DEVICE_PAGES * PAGE, p->seed,
	     "a READ beyond its region");
	must(op->kind != OP_SHOW || (in(op->region, s->regions) && s->region[op->region].pd == e->pd &&
				     op->length <= s->region[op->region].length), p->seed,
	     "a region of another PD");
	must(op->number % 4 != 3 || op->signalled, p->seed, "no completion among four");
	if (p->pair[f->pair].transport == TRANSPORT_UD)
		must(op->kind <= OP_SEND_IMM && op->length >= 8 && op->length <= MAX_DATAGRAM && !op->fenced,
		     p->seed, "what a datagram cannot be");
}

/* Everything that a plan may have is in one of so many. */
static void test_coverage(void)
{
	static unsigned int memory[MEMORY_KINDS], states[IDLE_STATES], families[FAMILIES],
		refused[REFUSED_KINDS], kinds[OP_KINDS], shared[TRANSPORT_UD + 1], datagrams, paths[PATHS], extended, read, moves[SIDES];
	unsigned int missing = 0;
	static struct plan p;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		plan_make(&p, seed);
		look_at(&p);
		moves[p.moves]++;
		refused[p.side[p.moves].refused]++;
		for (int side = 0; side < SIDES; side++) {
			const struct plan_side *s = &p.side[side];

			families[s->family]++;
			for (unsigned int i = 0; i < s->regions; i++)
				memory[s->region[i].memory]++;
			for (unsigned int i = 0; i < s->idles; i++)
				states[s->idle[i].state]++;
			for (unsigned int i = 0; i < s->cqs; i++)
				read += s->cq[i].extended && !s->cq[i].quiet;
			for (unsigned int i = 0; i < p.pairs; i++) {
				struct flow f = { .plan = &p, .pair = i, .from = (enum side_name)side };

				shared[p.pair[i].transport] += p.pair[i].end[side].srq != NONE;
				extended += p.pair[i].end[side].extended;
				datagrams += p.pair[i].transport == TRANSPORT_UD;
				paths[p.pair[i].path]++;
				for (uint64_t n = 0; n < 40; n++) {
					struct op op = flow_op(&f, n);

					look_at_op(&p, &f, &op);
					kinds[op.kind]++;
				}
			}
		}
	}
	for (int i = 0; i < MEMORY_KINDS; i++)
		missing += !memory[i];
	for (int i = 0; i < IDLE_STATES; i++)
		missing += !states[i];
	for (int i = 0; i < FAMILIES; i++)
		missing += !families[i];
	for (int i = 0; i < REFUSED_KINDS; i++)
		missing += !refused[i];
	for (int i = 0; i < OP_KINDS; i++)
		missing += !kinds[i];
	for (int i = 0; i < PATHS; i++)
		missing += !paths[i];
	missing += !shared[TRANSPORT_RC] + !shared[TRANSPORT_UD] + !extended + !read + !datagrams + !moves[SERVER] + !moves[CLIENT];
	check("plans of 3000 seeds can be carried out, and have everything", !missing);
	check("about half of them have something that cannot be moved",
	      refused[REFUSED_NOTHING] > SEEDS * 2 / 5 && refused[REFUSED_NOTHING] < SEEDS * 3 / 5);
}

static void test_same_plan(void)
{
	static struct plan a, b, c;
	unsigned int same = 0, different = 0;

	for (uint64_t seed = 1; seed <= 100; seed++) {
		plan_make(&a, seed);
		memset(&b, 0xff, sizeof(b));
		plan_make(&b, seed);
		plan_make(&c, seed + 1);
		same += !memcmp(&a, &b, sizeof(a));
		c.seed = seed;
		different += memcmp(&a, &c, sizeof(a)) != 0;
	}
	check("a seed always stands for the same plan", same == 100);
	check("seeds side by side stand for different ones", different == 100);
}

static void test_completions(void)
{
	static struct plan p;
	struct flow f = { .plan = &p, .from = CLIENT, .posted = 12 };
	uint64_t first = 0, second;

	plan_make(&p, 4);
	p.pair[0].end[CLIENT].signals_all = false;
	while (!flow_op(&f, first).signalled)
		first++;
	for (second = first + 1; !flow_op(&f, second).signalled; second++)
		;
	check("a completion is not before its turn", !flow_completed(&f, second));
	check("a completion in its turn", flow_completed(&f, first));
	check("no completion comes twice", !flow_completed(&f, first));
	check("the next one", flow_completed(&f, second) && f.completed == second + 1);
	check("none of what is not posted", !flow_completed(&f, 15));
	p.pair[0].end[CLIENT].signals_all = true;
	check("with all signalled, none is left out", !flow_completed(&f, second + 2));
}

static void test_messages(void)
{
	static struct plan p;
	struct flow f = { .plan = &p, .from = SERVER };
	uint64_t count = 0;
	struct op op;

	plan_make(&p, 9);
	while (f.next < 500) {
		op = flow_next_message(&f);
		count += op_is_message(&op);
	}
	check("as many messages as there are", count == flow_messages_in(&f, f.next) && count == f.messages);
	check("a write is found by its place",
	      flow_last_write(&f, 500, 3, &op) && op.kind == OP_WRITE && op.number % WRITES == 3);
	check("no write before there is one", !flow_last_write(&f, 0, 3, &op));
	f = (struct flow){ .plan = &p, .from = SERVER };
	check("datagrams with a gap", flow_datagram(&f, 0) && flow_datagram(&f, 7));
	check("a datagram that comes twice", !flow_datagram(&f, 7));
	check("a datagram that comes late", !flow_datagram(&f, 3));
	check("messages differ", message_byte(&f, 1, 20) != message_byte(&f, 2, 20) ||
	      message_byte(&f, 1, 21) != message_byte(&f, 3, 21));
}

int main(void)
{
	test_same_plan();
	test_coverage();
	test_completions();
	test_messages();
	printf("%u passed, %u failed\n", passed, failed);
	return failed ? 1 : 0;
}
