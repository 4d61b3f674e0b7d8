// SPDX-License-Identifier: GPL-2.0
/* In whose memory regions are, as the driver says. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "dump_owner.h"
#include "tasks.h"
#include "unit.h"

#define PARENT 7
#define CHILD 8

/* One context, opened by the parent, with two regions of 4 and 2 pages. */
struct shared {
	PB(Context) context;
	PB(Descriptor) descriptor[2], *descriptors[2];
	PB(MemoryRegion) mr[2], *mrs[2];
	struct dumped dumped;
};

static void fill(struct shared *s)
{
	memset(s, 0, sizeof(*s));
	sealift__ibverbs__context__init(&s->context);
	for (int i = 0; i < 2; i++) {
		sealift__ibverbs__descriptor__init(&s->descriptor[i]);
		s->descriptor[i].pid = i ? CHILD : PARENT;
		s->descriptors[i] = &s->descriptor[i];
		sealift__ibverbs__memory_region__init(&s->mr[i]);
		s->mrs[i] = &s->mr[i];
	}
	s->mr[0].handle = 3;
	s->mr[0].start = 0x7f0000001800;
	s->mr[0].length = 3 * 4096;
	s->mr[1].start = 0x7f0000100000;
	s->mr[1].length = 2 * 4096;
	s->context.owner = PARENT;
	s->context.n_descriptors = 2;
	s->context.descriptors = s->descriptors;
	s->context.n_mrs = 2;
	s->context.mrs = s->mrs;
	s->dumped.context = &s->context;
}

static int look(struct shared *s)
{
	struct owner owners[2] = { { 1007, PARENT }, { 1008, CHILD } };

	unit_clear_log();
	return dump_owner_find(&s->dumped, 1, owners, 2);
}

/* The pids that the driver reports for the regions, as the host has them. */
static void driver_reports(struct shared *s, uint32_t first, uint32_t second)
{
	s->mr[0].has_pid = true;
	s->mr[0].pid = first;
	s->mr[1].has_pid = true;
	s->mr[1].pid = second;
}

static void regions_of_one_process(void)
{
	struct shared s;

	fill(&s);
	driver_reports(&s, 1007, 1007);
	CHECK(!look(&s));
	CHECK(s.mr[0].pid == PARENT && s.mr[1].pid == PARENT);
}

/* The child's region goes to the child, not over the parent's memory. */
static void regions_of_a_worker(void)
{
	struct shared s;

	fill(&s);
	driver_reports(&s, 1007, 1008);
	CHECK(!look(&s));
	CHECK(s.mr[0].pid == PARENT && s.mr[1].pid == CHILD);
	CHECK(image_region_owner(&s.context, &s.mr[1]) == CHILD);
}

static void region_of_nobody(void)
{
	struct shared s;

	/* The worker has ended. */
	fill(&s);
	driver_reports(&s, 1007, 0);
	CHECK(look(&s) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "sealift: unsupported: memory region 0 (handle 0, address 0x7f0000100000)"));

	/* It is not in the dump; a pid inside is none outside. */
	fill(&s);
	driver_reports(&s, 1007, CHILD);
	CHECK(look(&s) == -EOPNOTSUPP);

	/* It has closed the context: it could not register again. */
	fill(&s);
	s.context.n_descriptors = 1;
	driver_reports(&s, 1008, 1007);
	CHECK(look(&s) == -EOPNOTSUPP);
	CHECK(strstr(unit_log(), "handle 3, address 0x7f0000001800"));
}

/* A context without regions may be anybody's. */
static void no_regions(void)
{
	struct shared s;

	fill(&s);
	s.context.n_mrs = 0;
	CHECK(!look(&s));
}

/* The driver of these tests: whose thread has the credentials of the file. */
static pid_t opener;
static int asked, answer;

static int test_may_write(int fd, pid_t tid)
{
	(void)fd;
	asked++;
	return answer ? answer : tid == opener ? 0 : -EACCES;
}

static const struct driver test_driver = { .may_write = test_may_write };

static int choose(struct shared *s, pid_t who, pid_t parent)
{
	struct owner owners[2] = { { parent, PARENT }, { getpid(), CHILD } };

	s->dumped.driver = &test_driver;
	opener = who;
	unit_clear_log();
	return dump_owner_choose(&s->dumped, owners, 2);
}

static void owner_of_forked(void)
{
	PB(Mapping) mapping, *mappings[1] = { &mapping };
	struct shared s;

	fill(&s);
	sealift__ibverbs__mapping__init(&mapping);
	mapping.pid = CHILD;
	/* The opener, whichever of them it is. */
	CHECK(!choose(&s, getppid(), getppid()) && s.context.owner == PARENT);
	CHECK(!choose(&s, getpid(), getppid()) && s.context.owner == CHILD);
	/* It has ended: the oldest, but one that has queues. */
	CHECK(!choose(&s, 1, getppid()) && s.context.owner == PARENT);
	s.context.mappings = mappings;
	s.context.n_mappings = 1;
	CHECK(!choose(&s, 1, getppid()) && s.context.owner == CHILD);
	mapping.pid = PARENT;
	CHECK(!choose(&s, 1, getppid()) && s.context.owner == PARENT);
	/* Who has closed the context is not asked, and does not get it. */
	s.descriptors[0] = &s.descriptor[1];
	s.context.n_descriptors = 1;
	asked = 0;
	CHECK(!choose(&s, getppid(), getppid()) && s.context.owner == CHILD && asked == 1);
	answer = -EPERM;
	CHECK(choose(&s, getppid(), getppid()) == -EPERM);
	CHECK(strstr(unit_log(), "sealift: kernel: "));
	answer = 0;
}

static void reads_the_kernel(void)
{
	uint32_t inner = 0;

	CHECK(!task_inner_pid(getpid(), &inner) && inner == (uint32_t)getpid());
}

void unit_owner(void)
{
	regions_of_one_process();
	regions_of_a_worker();
	region_of_nobody();
	no_regions();
	owner_of_forked();
	reads_the_kernel();
}
