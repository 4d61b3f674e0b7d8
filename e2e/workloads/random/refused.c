// SPDX-License-Identifier: Apache-2.0
/* What Sealift has to refuse, by name, before it holds anything; and how a program gets rid of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failure.h"
#include "side.h"

static struct ibv_qp *queue_pair(struct refused_thing *r, struct ibv_pd *pd, enum ibv_qp_type type)
{
	struct ibv_qp_init_attr init = {
		.send_cq = r->cq, .recv_cq = r->cq, .cap = { 4, 4, 1, 1, 0 }, .qp_type = type,
	};

	return ibv_create_qp(pd, &init);
}

/* A UD queue pair in a multicast group. */
static bool join(struct refused_thing *r, struct ibv_pd *pd)
{
	r->group = (union ibv_gid){ .raw = { [10] = 0xff, 0xff, 239, 7, 7, 7 } };
	r->qp = queue_pair(r, pd, IBV_QPT_UD);
	return r->qp && !ibv_attach_mcast(r->qp, &r->group, 0);
}

static bool free_under_region(struct refused_thing *r, struct ibv_pd *pd, const char *directory)
{
	memory_make(&r->memory, MEMORY_ANONYMOUS, DEVICE_PAGES * PAGE, directory, NULL, NULL);
	r->mr = ibv_reg_mr(pd, r->memory.at, r->memory.length, IBV_ACCESS_LOCAL_WRITE);
	return r->mr && !munmap(r->memory.at + 2 * PAGE, PAGE);
}

/* A worker registers memory of its own, and ends. The context is one that nothing else is in. */
static bool orphan(struct refused_thing *r, const char *directory)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_pd *pd;
	int status = 1;
	pid_t pid;

	for (struct ibv_device **d = list; d && *d && !r->context; d++)
		r->context = ibv_open_device(*d);
	ibv_free_device_list(list);
	pd = r->context ? ibv_alloc_pd(r->context) : NULL;
	if (!pd)
		return false;
	pid = fork();
	if (!pid) {
		memory_make(&r->memory, MEMORY_ANONYMOUS, DEVICE_PAGES * PAGE, directory, NULL, NULL);
		_exit(!ibv_reg_mr(pd, r->memory.at, r->memory.length, IBV_ACCESS_LOCAL_WRITE));
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

static bool make(struct side *s, struct refused_thing *r, struct ibv_pd *pd)
{
	switch (s->plan->refused) {
	case REFUSED_UC:
		return (r->qp = queue_pair(r, pd, IBV_QPT_UC));
	case REFUSED_WINDOW:
		return (r->window = ibv_alloc_mw(pd, IBV_MW_TYPE_1));
	case REFUSED_GROUP:
		return join(r, pd);
	case REFUSED_CM:
		r->fd = open("/dev/infiniband/rdma_cm", O_RDWR | O_CLOEXEC);
		return r->fd >= 0;
	case REFUSED_FREED:
		return free_under_region(r, pd, s->directory);
	case REFUSED_ORPHAN:
		return orphan(r, s->directory);
	default:
		return true;
	}
}

void refused_make(struct side *s)
{
	struct refused_thing *r = &s->refused;
	struct ibv_pd *pd = s->pd[0];

	r->fd = -1;
	r->kind = s->plan->refused;
	MUST((r->cq = ibv_create_cq(pd->context, 4, NULL, NULL, 0)));
	if (make(s, r, pd))
		return;
	/* A container has rdma_cm only if its pod asks for it. */
	MUST(r->kind == REFUSED_CM && (errno == ENOENT || errno == EPERM || errno == EACCES || errno == ENXIO));
	r->kind = REFUSED_NOTHING;
}

void refused_drop(struct side *s)
{
	struct refused_thing *r = &s->refused;

	switch (r->kind) {
	case REFUSED_UC:
		MUST(!ibv_destroy_qp(r->qp));
		break;
	case REFUSED_WINDOW:
		MUST(!ibv_dealloc_mw(r->window));
		break;
	case REFUSED_GROUP:
		MUST(!ibv_detach_mcast(r->qp, &r->group, 0) && !ibv_destroy_qp(r->qp));
		break;
	case REFUSED_CM:
		MUST(!close(r->fd));
		break;
	case REFUSED_FREED:
		MUST(!ibv_dereg_mr(r->mr));
		break;
	case REFUSED_ORPHAN:
		/* libibverbs forgets what is still in it; the kernel takes it apart. */
		MUST(!ibv_close_device(r->context));
		break;
	default:
		break;
	}
	if (r->cq)
		MUST(!ibv_destroy_cq(r->cq));
	if (r->kind != REFUSED_NOTHING) {
		printf("dropped %s\n", refused_word(r->kind));
		fflush(stdout);
	}
	*r = (struct refused_thing){ .fd = -1 };
}
