// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "family.h"

#define MOST_QUEUES 8
#define ROUNDS 500
/* struct rxe_queue_buf: the indices have a cache line each */
#define PRODUCER 128
#define CONSUMER 256

enum { CHILD, GRANDCHILD, CLOSED, MEMBERS };

struct member {
	pid_t pid;
	volatile uint64_t rounds, seen;
};

static struct member *members;
static const uint8_t *queues[MOST_QUEUES];
static int queue_count;

static void find_queues(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	unsigned long start;
	char line[512];

	queue_count = 0;
	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, "/dev/infiniband/uverbs") && queue_count < MOST_QUEUES &&
		    sscanf(line, "%lx", &start) == 1)
			queues[queue_count++] = (const uint8_t *)start;
	if (!file || fclose(file) || !queue_count)
		errx(1, "no queues are mapped");
}

static uint64_t look(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < queue_count; i++)
		sum = sum * 31 + *(const volatile uint32_t *)(queues[i] + PRODUCER) +
		      7 * *(const volatile uint32_t *)(queues[i] + CONSUMER);
	return sum;
}

static void stay(struct member *member)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		member->seen = look();
		__sync_synchronize();
		member->rounds++;
		usleep(20000);
	}
}

static pid_t member_of(int kind)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid)
		return pid;
	if (kind == CLOSED && syscall(SYS_close_range, 0, ~0U, 0))
		_exit(1);
	if (kind != GRANDCHILD || !fork())
		stay(&members[kind]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

void family_fork(void)
{
	find_queues();
	members = mmap(NULL, MEMBERS * sizeof(*members), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (members == MAP_FAILED)
		err(1, "mmap");
	for (int kind = 0; kind < MEMBERS; kind++)
		members[kind].pid = member_of(kind);
}

void family_verify(void)
{
	for (int kind = 0; kind < MEMBERS; kind++) {
		struct member *member = &members[kind];
		uint64_t from = member->rounds;
		int round = 0;

		/* what it sees from now on */
		while (member->rounds < from + 2 || member->seen != look()) {
			if (round++ == ROUNDS)
				errx(1, "forked process %d does not see the queues: %llu rounds", kind,
				     (unsigned long long)(member->rounds - from));
			usleep(20000);
		}
	}
	for (int kind = 0; kind < MEMBERS; kind++) {
		if (kill(members[kind].pid, SIGKILL) || waitpid(members[kind].pid, NULL, 0) < 0)
			err(1, "forked process %d", kind);
	}
}
