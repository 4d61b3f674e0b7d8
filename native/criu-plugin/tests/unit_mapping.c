// SPDX-License-Identifier: GPL-2.0
/*
 * Queues are mapped in a traced child, over the stand-ins that CRIU has left; a memfd is the
 * context's file. What one queue costs does not depend on how many there are.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "late_task.h"
#include "unit.h"

#define PAGE 4096UL
#define FEW 256
#define MANY 4096

/* CQs with even handles, and send queues with odd ones. */
struct queues {
	PB(Context) context;
	PB(CompletionQueue) *cqs, **cq_list;
	PB(QueuePair) *qps, **qp_list;
	PB(Mapping) *mappings, **mapping_list;
	struct built built;
	struct restored restored;
	uint8_t *places;	/* of the child */
	int file;
};

static void fill(struct queues *q, size_t count)
{
	size_t half = count / 2;

	memset(q, 0, sizeof(*q));
	sealift__ibverbs__context__init(&q->context);
	q->cqs = calloc(half, sizeof(*q->cqs));
	q->cq_list = calloc(half, sizeof(*q->cq_list));
	q->qps = calloc(half, sizeof(*q->qps));
	q->qp_list = calloc(half, sizeof(*q->qp_list));
	q->mappings = calloc(count, sizeof(*q->mappings));
	q->mapping_list = calloc(count, sizeof(*q->mapping_list));
	q->built.cq_offset = calloc(half, sizeof(*q->built.cq_offset));
	q->built.qp_offset = calloc(half, sizeof(*q->built.qp_offset));
	q->file = memfd_create("context", MFD_CLOEXEC);
	CHECK(!ftruncate(q->file, count * PAGE));
	/* a hole between neighbours, as no mapping of uverbs is joined with another */
	q->places = mmap(NULL, 2 * count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(q->places != MAP_FAILED);
	for (size_t i = 0; i < count; i++) {
		PB(Mapping) *mapping = q->mapping_list[i] = &q->mappings[count - 1 - i];
		uint64_t offset = (count - 1 - i) * PAGE;

		sealift__ibverbs__mapping__init(mapping);
		mapping->pid = 7;
		mapping->address = (uintptr_t)q->places + 2 * i * PAGE;
		mapping->length = PAGE;
		mapping->protection = PROT_READ | PROT_WRITE;
		mapping->handle = i;
		mapping->ring = i % 2 ? SEALIFT__IBVERBS__RING__SQ : SEALIFT__IBVERBS__RING__CQ;
		CHECK(pwrite(q->file, &i, sizeof(i), offset) == sizeof(i));
		if (i % 2) {
			q->qp_list[i / 2] = &q->qps[i / 2];
			sealift__ibverbs__queue_pair__init(&q->qps[i / 2]);
			q->qps[i / 2].handle = i;
			q->built.qp_offset[i / 2][0] = offset;
		} else {
			q->cq_list[i / 2] = &q->cqs[i / 2];
			sealift__ibverbs__completion_queue__init(&q->cqs[i / 2]);
			q->cqs[i / 2].handle = i;
			q->built.cq_offset[i / 2] = offset;
		}
	}
	q->context.n_mappings = count;
	q->context.mappings = q->mapping_list;
	q->context.n_cqs = q->context.n_qps = half;
	q->context.cqs = q->cq_list;
	q->context.qps = q->qp_list;
	q->restored.context = &q->context;
	q->restored.built = &q->built;
}

static void forget(struct queues *q, size_t count)
{
	munmap(q->places, 2 * count * PAGE);
	close(q->file);
	free(q->cqs);
	free(q->cq_list);
	free(q->qps);
	free(q->qp_list);
	free(q->mappings);
	free(q->mapping_list);
	free(q->built.cq_offset);
	free(q->built.qp_offset);
}

/* As CRIU leaves it: with a stand-in for each queue, and stopped. */
static pid_t child_of(const struct queues *q, size_t count)
{
	int ready[2];
	pid_t pid;
	char c;

	CHECK(!pipe(ready));
	pid = fork();
	if (!pid) {
		int fd = memfd_create(PLACEHOLDER_NAME, MFD_CLOEXEC);
		bool fine = !ftruncate(fd, PAGE);

		for (size_t i = 0; i < count && fine; i++)
			fine = mmap(q->places + 2 * i * PAGE, PAGE, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
		if (!fine || write(ready[1], "+", 1) != 1)
			_exit(1);
		for (;;)
			usleep(1000);
	}
	close(ready[1]);
	CHECK(read(ready[0], &c, 1) == 1);
	close(ready[0]);
	unit_seize(pid);
	return pid;
}

static bool has(pid_t pid, const PB(Mapping) *mapping, size_t value)
{
	size_t got = ~0UL;
	struct iovec local = { &got, sizeof(got) };
	struct iovec remote = { (void *)(uintptr_t)mapping->address, sizeof(got) };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == sizeof(got) && got == value;
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Returns the seconds of this process that a queue takes. */
static double map(size_t count)
{
	struct late_task task = { .inner = 7 };
	struct queues q;
	double began;

	fill(&q, count);
	task.pid = child_of(&q, count);
	CHECK(!inject_begin(&task.inject, task.pid));
	began = cpu_seconds();
	CHECK(!mapping_restore(&task, &q.restored, q.file));
	began = cpu_seconds() - began;
	for (size_t i = 0; i < count; i += 85)
		CHECK(has(task.pid, q.mapping_list[i], i));
	CHECK(has(task.pid, q.mapping_list[count - 1], count - 1));

	/* What is no stand-in stays. */
	unit_clear_log();
	q.context.n_mappings = 1;
	CHECK(mapping_restore(&task, &q.restored, q.file) == -EINVAL);
	CHECK(strstr(unit_log(), "sealift: image-damaged: "));
	mapping_forget_places(&task);
	CHECK(mapping_restore(&task, &q.restored, q.file) == -EINVAL);
	mapping_forget_places(&task);
	CHECK(!inject_end(&task.inject));
	kill(task.pid, SIGKILL);
	waitpid(task.pid, NULL, 0);
	forget(&q, count);
	return began / count;
}

void unit_mapping(void)
{
	double few = map(FEW), many = map(MANY);

	CHECK(many < 4 * few);
	if (many >= 4 * few)
		fprintf(stderr, "%.1f us a queue of %d, %.1f us of %d\n", few * 1e6, FEW, many * 1e6, MANY);
}
