// SPDX-License-Identifier: GPL-2.0
/* Kinds of which there are many, or whose number is high. */
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "objects.h"

#define HIGH_DESCRIPTOR 600000

/* So many queue pairs, and a completion queue for each four. */
bool queues(struct verbs *v, int count)
{
	for (int i = 0; i < count; i++) {
		if (i % 4 == 0 && !(v->cq = ibv_create_cq(v->ctx, 16, NULL, NULL, 0)))
			return false;
		if (!create_qp(v, IBV_QPT_RC, NULL))
			return false;
	}
	return true;
}

static bool allow_files(rlim_t count)
{
	struct rlimit files = { .rlim_cur = count, .rlim_max = count };

	return !setrlimit(RLIMIT_NOFILE, &files);
}

/* A descriptor in the upper half of those that the kernel has. */
bool high_descriptor(struct verbs *v)
{
	return create_qp(v, IBV_QPT_RC, NULL) && reg_mr(v) && allow_files(HIGH_DESCRIPTOR + 1) &&
	       dup2(STDIN_FILENO, HIGH_DESCRIPTOR) == HIGH_DESCRIPTOR;
}

/* So many completion channels, each with a queue of its own. */
bool channels(struct verbs *v, int count)
{
	if (!allow_files(count + 1024))
		return false;
	for (int i = 0; i < count; i++) {
		struct ibv_comp_channel *channel = ibv_create_comp_channel(v->ctx);

		if (!channel || !ibv_create_cq(v->ctx, 1, NULL, channel, 0))
			return false;
	}
	return true;
}

/* So many regions, of a page each. */
bool regions(struct verbs *v, int count)
{
	uint8_t *memory = mmap(NULL, (size_t)count * PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; memory != MAP_FAILED && i < count; i++)
		if (!ibv_reg_mr(v->pd, memory + (size_t)i * PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE))
			return false;
	return memory != MAP_FAILED;
}
