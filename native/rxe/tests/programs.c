// SPDX-License-Identifier: GPL-2.0
/*
 * Random programmes of verbs, and moves at random moments of them. What the list
 * of the device's objects allows to move must be dumped and restored whatever it
 * is; what it does not allow is destroyed first.
 *
 * usage: programs NETNS_A DEVICE_A NETNS_B DEVICE_B [NUMBER [SEED]]
 *   Programme n has the seed SEED + n - 1: `programs ... 1 SEED` runs one again,
 *   and says what it does.
 */
#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "apart.h"
#include "clutter.h"
#include "expect.h"
#include "match.h"
#include "random.h"

#define PROGRAM_SECONDS	120
#define STEPS		9

/* Of all programmes. */
struct counts {
	unsigned int operations, moves, refused;
};

struct program {
	struct match m;
	struct clutter clutter[2];
	struct counts *counts;
};

/* What a programme is made of. */
struct draw {
	uint64_t seed;
	struct counts *counts;
};

static bool talks;

static void say(const char *fmt, ...)
{
	va_list ap;

	if (!talks)
		return;
	va_start(ap, fmt);
	printf("#   ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	fflush(stdout);
}

static unsigned int room(const struct match_end *own)
{
	unsigned int left = MATCH_OPS - own->posted;
	unsigned int queue = MATCH_DEPTH - (own->posted - own->completed);

	/* the last place is for the operation that ends the programme */
	return left ? any((left - 1 < queue ? left - 1 : queue) + 1) : 0;
}

static struct match_op some_op(const struct match *m)
{
	bool ud = m->type == IBV_QPT_UD;
	struct match_op op = {
		.kind = any(ud ? MATCH_WRITE : MATCH_KINDS),
		.silent = any(3) == 0,
	};

	if (op.kind <= MATCH_WRITE_IMM && any(4) == 0)
		op.flags |= IBV_SEND_INLINE;
	if (!ud && any(4) == 0)
		op.flags |= IBV_SEND_FENCE;
	if (match_is_message(op.kind) && any(4) == 0)
		op.flags |= IBV_SEND_SOLICITED;
	return op;
}

static void post_some(struct program *p, int end)
{
	unsigned int n = room(&p->m.end[end]);

	struct match_op op;

	p->counts->operations += n;
	while (n--) {
		op = some_op(&p->m);
		say("end %d posts %s%s, flags %#x", end, match_kind_name(op.kind),
		    op.silent ? ", unsignalled" : "", op.flags);
		match_post(&p->m, end, op);
	}
}

/* As the agent: look before the hold, and name what cannot be moved. */
static void move(struct program *p)
{
	int end;

	p->m.moving = 1 + any(3);
	say("moves: %u", p->m.moving);
	for (end = 0; end < 2; end++) {
		if (!(p->m.moving & 1 << end))
			continue;
		while (clutter_refused(&p->m.end[end].e)) {
			p->counts->refused++;
			clutter_remove_refused(&p->clutter[end]);
		}
	}
	/* a datagram under way may be lost */
	if (p->m.type == IBV_QPT_UD)
		match_wait(&p->m);
	match_move(&p->m);
	p->counts->moves++;
}

static void move_queued(struct program *p)
{
	int end = any(2);

	/* the other end's hold would lose what this one sends before its own */
	if (p->m.type == IBV_QPT_UD)
		match_wait(&p->m);
	say("end %d is held", end);
	match_hold(&p->m, end);
	post_some(p, end);
	p->m.moving = 1 + any(3);
	if (p->m.type == IBV_QPT_RC && !clutter_refused(&p->m.end[0].e) &&
	    !clutter_refused(&p->m.end[1].e)) {
		say("moves: %u", p->m.moving);
		match_move(&p->m);
		p->counts->moves++;
	}
	match_resume(&p->m, end);
}

static void move_silent(struct program *p)
{
	if (p->m.type == IBV_QPT_UD)
		return;
	match_silence(&p->m, any(2));
	say("end %d hears nothing", p->m.silent);
	post_some(p, 0);
	post_some(p, 1);
	usleep(any(MATCH_TIMEOUT_MS * 1500));
	move(p);
	match_hear(&p->m);
	match_wait(&p->m);
}

static void move_draining(struct program *p)
{
	int end = any(2);

	post_some(p, end);
	/* what is not sent yet stays in the queue, and move() waits for datagrams */
	if (p->m.type == IBV_QPT_UD)
		match_wait(&p->m);
	say("end %d drains its send queue", end);
	match_state(&p->m, end, IBV_QPS_SQD);
	move(p);
	match_drained(&p->m, end);
	match_state(&p->m, end, IBV_QPS_RTS);
}

static void step(struct program *p)
{
	switch (any(9)) {
	case 0:
	case 1:
	case 2:
		post_some(p, any(2));
		break;
	case 3:
		match_poll(&p->m, any(2));
		break;
	case 4:
		usleep(any(20000));
		break;
	case 5:
	case 6:
		move(p);
		break;
	case 7:
		move_queued(p);
		break;
	default:
		if (any(2))
			move_silent(p);
		else
			move_draining(p);
	}
}

static void run(const void *arg)
{
	const struct draw *draw = arg;
	static const enum ibv_qp_state states[] = {
		IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS,
	};
	static struct program p;
	enum ibv_qp_state early;
	unsigned int n, traits;

	dup2(1, 2);
	random_seed(draw->seed);
	p.counts = draw->counts;
	early = states[any(ARRAY_SIZE(states))];
	traits = (any(3) ? 0 : MATCH_SHARED) | (any(3) ? 0 : MATCH_EXTENDED);
	match_open(&p.m, any(6) ? IBV_QPT_RC : IBV_QPT_UD, traits, 0);
	say("type %d, traits %u, first moved in state %d", p.m.type, traits, early);
	clutter_make(&p.clutter[0], &p.m.end[0].e, &p.m.end[1].e.gid);
	clutter_make(&p.clutter[1], &p.m.end[1].e, &p.m.end[0].e.gid);
	match_connect(&p.m, IBV_QPS_RESET, early);
	if (early != IBV_QPS_RTS)
		move(&p);
	match_connect(&p.m, early, IBV_QPS_RTS);
	for (n = 3 + any(STEPS - 2); n; n--)
		step(&p);
	if (!p.m.moves)
		move(&p);
	match_wait(&p.m);
	match_post(&p.m, 0, (struct match_op){ .kind = MATCH_SEND });
	match_post(&p.m, 1, (struct match_op){ .kind = MATCH_SEND });
	match_validate(&p.m);
}

static void run_apart(uint64_t seed, struct counts *counts)
{
	struct draw draw = { seed, counts };
	int status = apart(PROGRAM_SECONDS, run, &draw);

	expect(0, status, "programme with seed %llu", (unsigned long long)seed);
	if (status)
		match_clean();
}

int main(int argc, char **argv)
{
	unsigned long n, number = argc > 5 ? strtoul(argv[5], NULL, 0) : 60;
	uint64_t seed = argc > 6 ? strtoull(argv[6], NULL, 0) : 1;
	struct counts *counts;

	if (argc < 5)
		errx(2, "usage: %s NETNS_A DEVICE_A NETNS_B DEVICE_B [NUMBER [SEED]]",
		     argv[0]);
	match_place[0] = (struct match_place){ argv[1], argv[2] };
	match_place[1] = (struct match_place){ argv[3], argv[4] };
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		err(1, "mmap");
	talks = number == 1;
	match_prepare();
	for (n = 0; n < number; n++)
		run_apart(seed + n, counts);
	printf("# %lu programmes from seed %llu: %u operations, %u moves, %u refused before the hold\n",
	       number, (unsigned long long)seed, counts->operations,
	       counts->moves, counts->refused);
	return expect_failed;
}
