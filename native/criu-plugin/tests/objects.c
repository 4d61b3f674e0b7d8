// SPDX-License-Identifier: GPL-2.0
/*
 * A process with one thing that can't be moved. A dump must say so, and leave
 * the process as it was: it counts.
 *
 * usage: objects DEVICE DIR NAME KIND
 * Kind `worker` looks on SIGUSR1 whether its worker's region is still in the
 * worker's memory alone, and writes DIR/NAME.fine if so.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "objects.h"

#define HIGH_HANDLE 40000

struct ibv_qp *create_qp(struct verbs *v, enum ibv_qp_type type, struct ibv_srq *srq)
{
	struct ibv_qp_init_attr init = {
		.send_cq = v->cq,
		.recv_cq = v->cq,
		.srq = srq,
		.cap = { .max_send_wr = 64, .max_recv_wr = srq ? 0 : 64, .max_send_sge = 1,
			 .max_recv_sge = srq ? 0 : 1 },
		.qp_type = type,
	};

	return ibv_create_qp(v->pd, &init);
}

static struct ibv_srq *create_srq(struct verbs *v, uint32_t max_wr)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = max_wr, .max_sge = 1 } };

	return ibv_create_srq(v->pd, &init);
}

static struct ibv_ah *create_ah(struct verbs *v)
{
	struct ibv_ah_attr attr = { .is_global = 1, .port_num = 1, .grh.hop_limit = 1 };

	for (int i = 0; i < 16; i++) {
		attr.grh.sgid_index = i;
		if (!ibv_query_gid(v->ctx, 1, i, &attr.grh.dgid) && attr.grh.dgid.raw[10] == 0xff)
			return ibv_create_ah(v->pd, &attr);
	}
	return NULL;
}

/* A UD queue pair in a multicast group. */
static bool join_group(struct verbs *v)
{
	union ibv_gid group = { .raw = { [10] = 0xff, 0xff, 239, 0, 0, 9 } };
	struct ibv_qp *qp = create_qp(v, IBV_QPT_UD, NULL);

	return qp && !ibv_attach_mcast(qp, &group, 0);
}

struct ibv_mr *reg_mr(struct verbs *v)
{
	return ibv_reg_mr(v->pd, v->memory, 8 * PAGE, IBV_ACCESS_LOCAL_WRITE);
}

/* A region whose handle is far from the others'. */
static bool high_handle(struct verbs *v)
{
	struct ibv_pd **pds = calloc(HIGH_HANDLE, sizeof(*pds));
	struct ibv_mr *mr;
	bool fine = pds;

	for (int i = 0; i < HIGH_HANDLE && fine; i++)
		fine = (pds[i] = ibv_alloc_pd(v->ctx));
	mr = fine ? reg_mr(v) : NULL;
	for (int i = 0; i < HIGH_HANDLE && fine; i++)
		fine = !ibv_dealloc_pd(pds[i]);
	free(pds);
	return fine && mr && mr->handle > HIGH_HANDLE;
}

/* The first mapping of a queue in /proc/self/maps. */
static int find_queue(unsigned long *start, unsigned long *end)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	int found = 0;

	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, "/dev/infiniband/uverbs") &&
			sscanf(line, "%lx-%lx", start, end) == 2;
	if (file)
		fclose(file);
	return found;
}

static bool half_a_queue(struct verbs *v)
{
	unsigned long start, end;

	return create_qp(v, IBV_QPT_RC, NULL) && find_queue(&start, &end) && end - start > PAGE &&
	       !munmap((void *)(end - PAGE), PAGE);
}

static volatile sig_atomic_t asked;
/* Of what USR1 asks for. */
static bool (*is_fine)(struct verbs *v);
static struct ibv_cq *overflown_cq[3];

/* A queue pair whose receive requests, flushed, overflow its completion queue: that is one event. */
static bool overflow(struct verbs *v, struct ibv_cq *cq)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT, .port_num = 1 };
	struct ibv_recv_wr wr = { 0 }, *bad;
	struct ibv_qp *qp;

	v->cq = cq;
	qp = create_qp(v, IBV_QPT_RC, NULL);

	if (!qp || ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				 IBV_QP_ACCESS_FLAGS))
		return false;
	for (int i = 0; i < 60; i++)
		if (ibv_post_recv(qp, &wr, &bad))
			return false;
	attr.qp_state = IBV_QPS_ERR;
	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE))
		return false;
	sleep(1);
	return true;
}

/* All of them in their order, then those of the GID table. A move is no event of the port. */
static bool overflows_come_back(struct verbs *v)
{
	static unsigned int of_queues, of_gids, wrong;
	struct ibv_async_event event;

	if (fcntl(v->ctx->async_fd, F_SETFL, O_NONBLOCK))
		return false;
	while (!ibv_get_async_event(v->ctx, &event)) {
		if (event.event_type == IBV_EVENT_GID_CHANGE && of_queues == 3)
			of_gids++;
		else if (event.event_type == IBV_EVENT_CQ_ERR && of_queues < 3 &&
			 event.element.cq == overflown_cq[of_queues])
			of_queues++;
		else
			wrong++;
		ibv_ack_async_event(&event);
	}
	if (of_queues != 3 || !of_gids || wrong)
		printf("events: %u of queues, %u of GIDs, %u wrong\n", of_queues, of_gids, wrong);
	fflush(stdout);
	return of_queues == 3 && of_gids && !wrong;
}

/* Three events of two completion queues, which no task reads before it is asked. */
static bool overflown(struct verbs *v)
{
	struct ibv_cq *one = ibv_create_cq(v->ctx, 1, NULL, NULL, 0);
	struct ibv_cq *other = ibv_create_cq(v->ctx, 1, NULL, NULL, 0);

	is_fine = overflows_come_back;
	overflown_cq[0] = overflown_cq[2] = one;
	overflown_cq[1] = other;
	return one && other && overflow(v, one) && overflow(v, other) && overflow(v, one);
}

static bool closed_context(struct verbs *v)
{
	return !close(v->ctx->cmd_fd);
}

static bool region_without_memory(struct verbs *v)
{
	return reg_mr(v) && !munmap(v->memory + 4 * PAGE, PAGE);
}

/* A restore would put the region over the new page, and nobody would notice. */
static bool region_remapped(struct verbs *v)
{
	return reg_mr(v) && mmap(v->memory + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
}

/* As an allocator gives free memory back. */
static bool region_given_up(struct verbs *v)
{
	return reg_mr(v) && !madvise(v->memory + 4 * PAGE, PAGE, MADV_DONTNEED);
}

static pid_t worker_pid;

static void on_usr1(int signal)
{
	(void)signal;
	asked = 1;
}

/* What the kernel has pinned in a process's memory, in KiB; -1: not known. */
static long pinned(pid_t pid)
{
	char path[64], line[256];
	long kib = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "VmPin: %ld", &kib);
	if (file)
		fclose(file);
	return kib;
}

static bool has_own_memory(struct verbs *v)
{
	(void)v;
	return !pinned(getpid()) && pinned(worker_pid) == 8 * PAGE / 1024;
}

/*
 * A worker registers memory of its own through its parent's context, then stays or ends: the region is as large
 * as the parent's, at the same address, and another process's.
 */
static bool worker(struct verbs *v, bool stays)
{
	int ready[2], status;
	pid_t pid;
	char c;

	if (pipe(ready) || !create_qp(v, IBV_QPT_RC, NULL))
		return false;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		c = reg_mr(v) ? 'y' : 'n';
		if (write(ready[1], &c, 1) != 1 || !stays)
			_exit(0);
		for (;;)
			pause();
	}
	if (pid < 0 || read(ready[0], &c, 1) != 1 || c != 'y')
		return false;
	close(ready[0]);
	close(ready[1]);
	worker_pid = pid;
	is_fine = has_own_memory;
	return stays || waitpid(pid, &status, 0) == pid;
}

/* The process that has opened the context has ended; its child goes on. */
static bool opener_gone(struct verbs *v)
{
	pid_t pid, parent = getpid();

	if (!create_qp(v, IBV_QPT_RC, NULL))
		return false;
	pid = fork();
	if (pid > 0)
		_exit(0);
	if (pid < 0 || setsid() < 0)
		return false;
	while (getppid() == parent)
		usleep(1000);
	return true;
}

static bool make(struct verbs *v, const char *kind)
{
	if (!strcmp(kind, "srq"))
		return create_srq(v, 16);
	if (!strcmp(kind, "srq-qp"))
		return create_qp(v, IBV_QPT_RC, create_srq(v, 16));
	if (!strcmp(kind, "huge-srq"))
		return create_srq(v, 1 << 20);
	if (!strcmp(kind, "ah"))
		return create_ah(v);
	if (!strcmp(kind, "mw"))
		return ibv_alloc_mw(v->pd, IBV_MW_TYPE_1);
	if (!strcmp(kind, "ud"))
		return create_qp(v, IBV_QPT_UD, NULL);
	if (!strcmp(kind, "group"))
		return join_group(v);
	if (!strcmp(kind, "uc"))
		return create_qp(v, IBV_QPT_UC, NULL);
	if (!strcmp(kind, "rdma-cm"))
		return open("/dev/infiniband/rdma_cm", O_RDWR | O_CLOEXEC) >= 0;
	if (!strcmp(kind, "half-a-queue"))
		return half_a_queue(v);
	if (!strcmp(kind, "closed-context"))
		return closed_context(v);
	if (!strcmp(kind, "region-without-memory"))
		return region_without_memory(v);
	if (!strcmp(kind, "region-remapped"))
		return region_remapped(v);
	if (!strcmp(kind, "region-given-up"))
		return region_given_up(v);
	if (!strcmp(kind, "overflown"))
		return overflown(v);
	if (!strcmp(kind, "worker"))
		return worker(v, true);
	if (!strcmp(kind, "worker-gone"))
		return worker(v, false);
	/* What can be moved: that the others fail is not this program's fault. */
	if (!strcmp(kind, "high-handle"))
		return high_handle(v);
	if (!strncmp(kind, "queues-", 7))
		return queues(v, atoi(kind + 7));
	if (!strcmp(kind, "high-descriptor"))
		return high_descriptor(v);
	if (!strncmp(kind, "channels-", 9))
		return channels(v, atoi(kind + 9));
	if (!strncmp(kind, "regions-", 8))
		return regions(v, atoi(kind + 8));
	if (!strcmp(kind, "opener-gone"))
		return opener_gone(v);
	if (!strcmp(kind, "rc"))
		return create_qp(v, IBV_QPT_RC, NULL) && reg_mr(v);
	errx(2, "kind %s?", kind);
}

static struct ibv_context *open_device(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);

	for (struct ibv_device **d = list; d && *d; d++)
		if (!strcmp(ibv_get_device_name(*d), name))
			return ibv_open_device(*d);
	return NULL;
}

static void put(const char *dir, const char *name, const char *what, unsigned long number)
{
	char path[512], part[520];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.%s", dir, name, what);
	snprintf(part, sizeof(part), "%s.part", path);
	file = fopen(part, "we");
	if (!file || fprintf(file, "%lu\n", number) < 0 || fclose(file) || rename(part, path))
		err(1, "%s", path);
}

int main(int argc, char **argv)
{
	struct verbs v = { 0 };

	if (argc != 5)
		errx(2, "usage: %s DEVICE DIR NAME KIND", argv[0]);
	v.ctx = open_device(argv[1]);
	if (!v.ctx)
		errx(1, "%s: no such device", argv[1]);
	v.memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	v.pd = ibv_alloc_pd(v.ctx);
	v.cq = v.memory == MAP_FAILED || !v.pd ? NULL : ibv_create_cq(v.ctx, 64, NULL, NULL, 0);
	if (!v.cq || !make(&v, argv[4]))
		err(1, "%s", argv[4]);
	signal(SIGUSR1, on_usr1);
	for (unsigned long n = 0;; n++) {
		put(argv[2], argv[3], "progress", n);
		if (asked && is_fine && is_fine(&v))
			put(argv[2], argv[3], "fine", n);
		if (!n)
			put(argv[2], argv[3], "pid", getpid());
		usleep(50000);
	}
}
