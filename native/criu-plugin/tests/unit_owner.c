// SPDX-License-Identifier: GPL-2.0
/* In whose memory regions are: as the driver says, or, if it does not, as far as what the kernel has pinned shows. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dump_owner.h"
#include "tasks.h"
#include "unit.h"

#define PARENT 7
#define CHILD 8

/* One context, opened by the parent, with two regions of 4 and 2 pages. */
struct shared {
	PB(Context) context;
	PB(Holder) holder[2], *holders[2];
	PB(MemoryRegion) mr[2], *mrs[2];
	struct dumped dumped;
};

static void fill(struct shared *s)
{
	memset(s, 0, sizeof(*s));
	sealift__ibverbs__context__init(&s->context);
	for (int i = 0; i < 2; i++) {
		sealift__ibverbs__holder__init(&s->holder[i]);
		s->holder[i].pid = i ? CHILD : PARENT;
		s->holders[i] = &s->holder[i];
		sealift__ibverbs__memory_region__init(&s->mr[i]);
		s->mrs[i] = &s->mr[i];
	}
	s->mr[0].handle = 3;
	s->mr[0].start = 0x7f0000001800;
	s->mr[0].length = 3 * 4096;
	s->mr[1].start = 0x7f0000100000;
	s->mr[1].length = 2 * 4096;
	s->context.owner = PARENT;
	s->context.n_holders = 2;
	s->context.holders = s->holders;
	s->context.n_mrs = 2;
	s->context.mrs = s->mrs;
	s->dumped.context = &s->context;
}

static int look(struct shared *s, uint64_t parent, uint64_t child)
{
	struct owner owners[2] = { { 1007, PARENT, parent }, { 1008, CHILD, child } };

	unit_clear_log();
	return dump_owner_find(&s->dumped, 1, owners, 2);
}

static void regions_of_one_process(void)
{
	struct shared s;

	fill(&s);
	CHECK(!look(&s, 6, 0));
	/* More may be pinned by io_uring and the like, if no other process has the context. */
	s.context.n_holders = 1;
	CHECK(!look(&s, 100, 0));
	s.context.n_holders = 2;
	s.holder[1].pid = PARENT;
	CHECK(!look(&s, 100, 0));
	s.mr[1].length = 0;
	CHECK(!look(&s, 4, 0));
}

static void regions_of_a_worker(void)
{
	struct shared s;

	fill(&s);
	CHECK(look(&s, 4, 2) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "sealift: unsupported: process 7 "));
	CHECK(strstr(unit_log(), "handle 3, address 0x7f0000001800"));
	CHECK(look(&s, 0, 6) == -EOPNOTSUPP);
	/* The parent's other pinned memory hides that a region is missing; the child's count shows it. */
	CHECK(look(&s, 100, 0) == -EOPNOTSUPP);
	CHECK(look(&s, 6, 2) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "sealift: unsupported: process 8 shares a verbs context with process 7"));
	/* The worker has ended. */
	s.context.n_holders = 1;
	CHECK(look(&s, 4, 0) == -EOPNOTSUPP);
	/* A context without regions may be any process's. */
	s.context.n_mrs = 0;
	s.context.n_holders = 2;
	CHECK(!look(&s, 4, 2));
}

/* A worker with a context of its own beside its parent's: as movable as any. */
static void own_contexts(void)
{
	struct shared parent, child;
	struct dumped both[2];
	struct owner owners[2] = { { 1007, PARENT, 6 }, { 1008, CHILD, 6 } };

	fill(&parent);
	fill(&child);
	child.context.owner = CHILD;
	child.holder[0].pid = CHILD;
	both[0] = parent.dumped;
	both[1] = child.dumped;
	unit_clear_log();
	CHECK(!dump_owner_find(both, 2, owners, 2));
	owners[1].pinned = 7;
	CHECK(dump_owner_find(both, 2, owners, 2) == -EOPNOTSUPP);
	owners[1].pinned = 5;
	CHECK(dump_owner_find(both, 2, owners, 2) == -EOPNOTSUPP);
}

/* The driver says whose memory each region is in: nothing is guessed. */
static void known(void)
{
	struct shared s;

	fill(&s);
	s.mr[0].has_pid = true;
	s.mr[0].pid = 1007;
	s.mr[1].has_pid = true;
	s.mr[1].pid = 1008;
	CHECK(!look(&s, 100, 0));
	CHECK(s.mr[0].pid == PARENT && s.mr[1].pid == CHILD);
	CHECK(image_region_owner(&s.context, &s.mr[1]) == CHILD);

	/* Of a process that has ended, or is not in the dump. */
	s.mr[0].pid = 1007;
	s.mr[1].pid = 0;
	CHECK(look(&s, 100, 0) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "sealift: unsupported: memory region 0 (handle 0, address 0x7f0000100000)"));
	s.mr[0].pid = 1007;
	s.mr[1].pid = CHILD;
	CHECK(look(&s, 100, 0) == -EOPNOTSUPP);

	/* Of one that has closed the context: it could not register again. */
	fill(&s);
	s.context.n_holders = 1;
	s.mr[0].has_pid = true;
	s.mr[0].pid = 1008;
	CHECK(look(&s, 100, 0) == -EOPNOTSUPP);
}

static void reads_the_kernel(void)
{
	uint64_t pages = 1;
	uint32_t inner = 0;

	CHECK(!task_pinned_pages(getpid(), &pages) && pages == 0);
	CHECK(task_pinned_pages(0, &pages) < 0);
	CHECK(!task_inner_pid(getpid(), &inner) && inner == (uint32_t)getpid());
}

void unit_owner(void)
{
	regions_of_one_process();
	regions_of_a_worker();
	own_contexts();
	known();
	reads_the_kernel();
}
