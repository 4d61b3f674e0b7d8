// SPDX-License-Identifier: GPL-2.0
/*
 * A process with memory regions over memory of every kind. On SIGUSR1 it looks whether the device reads and writes each as it did
 * before: by datagrams to itself, out of a region and into it.
 *
 * usage: regions DEVICE DIR NAME KIND...
 * Writes DIR/NAME.pid, then on SIGUSR1 DIR/NAME.fine. Exits with 3 if this node has no memory of a kind, and names it.
 * Files lie in DIR, those in memory in /dev/shm.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#define PAGE 4096UL
#define HUGE_PAGE (2UL << 20)
#define PAGES 8
#define MANY 1024 /* or as the environment's REGIONS says */
#define KINDS 16
#define QKEY 0x1ee7
#define GRH 40
#define LENGTH 200
#define NOT_HERE 3

#define MUST(condition) do { if (!(condition)) err(1, "%s, line %d", #condition, __LINE__); } while (0)

struct region {
	const char *kind;
	uint8_t *memory;
	uint8_t *alias;		/* the same memory at another address, or NULL */
	size_t length;
	int access;
	struct ibv_mr *mr;
	uint32_t key;
};

struct verbs {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_ah *ah;
	struct ibv_mr *scratch_mr;
	uint8_t *scratch;
};

static const char *directory;

static uint8_t *map(size_t length, int protection, int flags, int fd)
{
	uint8_t *memory = mmap(NULL, length, protection, flags, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static uint8_t *anonymous(size_t length, int flags)
{
	return map(length, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1);
}

static bool both(struct region *r, int fd)
{
	if (fd < 0 || ftruncate(fd, r->length))
		return false;
	r->memory = map(r->length, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	r->alias = map(r->length, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	return r->memory && r->alias;
}

/* Each kind has a file of its own: what another one cut off it would take the pages of this one's mapping away. */
static int file_in(const char *where, const char *kind)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/sealift-regions.%s.%d", where, kind, getpid());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	MUST(fd >= 0);
	return fd;
}

/* The device may only read: the kernel pins no page of a disk's file for writing (mm/gup.c, writable_file_mapping_allowed()). */
static bool of_file(struct region *r, int flags)
{
	uint8_t pattern[PAGES * PAGE];
	int fd = file_in(directory, r->kind);

	memset(pattern, 0x5a, sizeof(pattern));
	MUST(write(fd, pattern, sizeof(pattern)) == sizeof(pattern));
	r->access = 0;
	r->memory = map(r->length, PROT_READ, flags, fd);
	return r->memory;
}

/* Anonymous memory, a memfd's and anonymous memory again, side by side under one region. */
static bool several(struct region *r)
{
	int fd = memfd_create("regions", MFD_CLOEXEC);

	r->memory = anonymous(r->length, MAP_PRIVATE);
	return r->memory && fd >= 0 && !ftruncate(fd, PAGE) &&
	       mmap(r->memory + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
}

/* As libibverbs does after ibv_fork_init(): the neighbours go with a fork. */
static bool without_fork(struct region *r)
{
	uint8_t *all = anonymous(r->length + 2 * PAGE, MAP_PRIVATE);

	if (!all)
		return false;
	r->memory = all + PAGE;
	return !madvise(r->memory, r->length, MADV_DONTFORK);
}

static bool transparent(struct region *r)
{
	uint8_t *all;

	r->length = HUGE_PAGE;
	all = anonymous(2 * HUGE_PAGE, MAP_PRIVATE);
	if (!all)
		return false;
	r->memory = (uint8_t *)(((uintptr_t)all + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	return !madvise(r->memory, HUGE_PAGE, MADV_HUGEPAGE);
}

static bool protected_memory(struct region *r)
{
	r->memory = anonymous(r->length, MAP_PRIVATE);
	if (!r->memory)
		return false;
	memset(r->memory, 0x5a, r->length);
	r->access = 0;
	return !mprotect(r->memory, r->length, PROT_READ);
}

static bool make_memory(struct region *r)
{
	r->length = PAGES * PAGE;
	r->access = IBV_ACCESS_LOCAL_WRITE;
	if (!strcmp(r->kind, "anonymous"))
		return (r->memory = anonymous(r->length, MAP_PRIVATE));
	if (!strcmp(r->kind, "shared"))
		return (r->memory = anonymous(r->length, MAP_SHARED));
	if (!strcmp(r->kind, "memfd"))
		return both(r, memfd_create("regions", MFD_CLOEXEC));
	if (!strcmp(r->kind, "tmpfs"))
		return both(r, file_in("/dev/shm", r->kind));
	if (!strcmp(r->kind, "file-private"))
		return of_file(r, MAP_PRIVATE);
	if (!strcmp(r->kind, "file-shared"))
		return of_file(r, MAP_SHARED);
	if (!strcmp(r->kind, "several"))
		return several(r);
	if (!strcmp(r->kind, "dontfork"))
		return without_fork(r);
	if (!strcmp(r->kind, "transparent"))
		return transparent(r);
	if (!strcmp(r->kind, "protected"))
		return protected_memory(r);
	r->length = HUGE_PAGE;
	if (!strcmp(r->kind, "huge"))
		return (r->memory = anonymous(r->length, MAP_PRIVATE | MAP_HUGETLB));
	if (!strcmp(r->kind, "huge-shared"))
		return (r->memory = anonymous(r->length, MAP_SHARED | MAP_HUGETLB));
	if (!strcmp(r->kind, "huge-memfd"))
		return both(r, memfd_create("regions", MFD_CLOEXEC | MFD_HUGETLB));
	errx(2, "kind %s?", r->kind);
}

static void make_region(struct verbs *v, struct region *r, const char *kind)
{
	r->kind = kind;
	if (!make_memory(r)) {
		warn("no memory of kind %s", kind);
		exit(NOT_HERE);
	}
	if (r->access)
		memset(r->memory, 0x5a, r->length);
	r->mr = ibv_reg_mr(v->pd, r->memory, r->length, r->access);
	if (!r->mr)
		err(1, "a region over memory of kind %s", kind);
	r->key = r->mr->lkey;
}

static void make_verbs(struct verbs *v, const char *name)
{
	struct ibv_qp_init_attr init = {
		.cap = { .max_send_wr = 4, .max_recv_wr = 4, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_UD,
	};
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT, .port_num = 1, .qkey = QKEY };
	struct ibv_ah_attr to = { .is_global = 1, .port_num = 1, .grh.hop_limit = 1 };
	struct ibv_device **list = ibv_get_device_list(NULL);

	for (struct ibv_device **d = list; d && *d && !v->ctx; d++)
		if (!strcmp(ibv_get_device_name(*d), name))
			v->ctx = ibv_open_device(*d);
	MUST(v->ctx);
	MUST((v->pd = ibv_alloc_pd(v->ctx)));
	MUST((v->cq = ibv_create_cq(v->ctx, 10, NULL, NULL, 0)));
	init.send_cq = v->cq;
	init.recv_cq = v->cq;
	MUST((v->qp = ibv_create_qp(v->pd, &init)));
	MUST(!ibv_modify_qp(v->qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY));
	attr.qp_state = IBV_QPS_RTR;
	MUST(!ibv_modify_qp(v->qp, &attr, IBV_QP_STATE));
	attr.qp_state = IBV_QPS_RTS;
	MUST(!ibv_modify_qp(v->qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN));
	while (ibv_query_gid(v->ctx, 1, to.grh.sgid_index, &to.grh.dgid) || to.grh.dgid.raw[10] != 0xff)
		MUST(to.grh.sgid_index++ < 16);
	MUST((v->ah = ibv_create_ah(v->pd, &to)));
	MUST((v->scratch = anonymous(2 * PAGE, MAP_PRIVATE)));
	MUST((v->scratch_mr = ibv_reg_mr(v->pd, v->scratch, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)));
}

/* A datagram to itself. The GRH comes before what is received. */
static void copy(struct verbs *v, struct ibv_sge from, struct ibv_sge to)
{
	struct ibv_recv_wr *bad_recv, recv = { .sg_list = &to, .num_sge = 1 };
	struct ibv_send_wr *bad, wr = {
		.sg_list = &from, .num_sge = 1, .opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED,
		.wr.ud = { v->ah, v->qp->qp_num, QKEY },
	};
	struct ibv_wc wc;

	MUST(!ibv_post_recv(v->qp, &recv, &bad_recv) && !ibv_post_send(v->qp, &wr, &bad));
	for (int done = 0, tries = 0; done < 2; tries++) {
		int n = ibv_poll_cq(v->cq, 1, &wc);

		MUST(n >= 0 && tries < 3000);
		MUST(!n || wc.status == IBV_WC_SUCCESS);
		done += n;
		usleep(1000);
	}
}

static void look_at(struct verbs *v, struct region *r, uint8_t *at)
{
	struct ibv_sge inside = { (uintptr_t)at, LENGTH, r->key };
	struct ibv_sge outside = { (uintptr_t)v->scratch, GRH + LENGTH, v->scratch_mr->lkey };

	memset(v->scratch, 0, 2 * PAGE);
	copy(v, inside, outside);
	for (int i = 0; i < LENGTH; i++)
		MUST(at[i] == 0x5a && v->scratch[GRH + i] == 0x5a);
	if (!r->access)
		return;
	memset(v->scratch + PAGE, 0xa5, LENGTH);
	outside.addr = (uintptr_t)v->scratch + PAGE;
	outside.length = LENGTH;
	inside.length = GRH + LENGTH;
	copy(v, outside, inside);
	for (int i = 0; i < LENGTH; i++) {
		MUST(at[GRH + i] == 0xa5);
		MUST(!r->alias || r->alias[at - r->memory + GRH + i] == 0xa5);
	}
}

/* Across the first two pages, across the last two, and in the middle, where `several` has another mapping. */
static void look_at_region(struct verbs *v, struct region *r)
{
	MUST(r->mr->lkey == r->key);
	look_at(v, r, r->memory + PAGE - LENGTH / 2);
	look_at(v, r, r->memory + 3 * PAGE - LENGTH / 2);
	look_at(v, r, r->memory + r->length - PAGE - LENGTH / 2);
	MUST(!ibv_dereg_mr(r->mr));
}

static void put(const char *name, const char *what)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.%s", directory, name, what);
	file = fopen(path, "we");
	if (!file || fprintf(file, "%d\n", getpid()) < 0 || fclose(file))
		err(1, "%s", path);
}

static int count_of_many(void)
{
	const char *text = getenv("REGIONS");
	int count = text ? atoi(text) : MANY;

	MUST(count > 0 && count <= 1 << 20);
	return count;
}

int main(int argc, char **argv)
{
	const int how_many = count_of_many();
	struct region regions[KINDS] = {}, *many;
	struct verbs v = {};
	uint8_t *memory;
	int count = argc - 4, got;
	sigset_t set;

	if (count < 1 || count > KINDS)
		errx(2, "usage: %s DEVICE DIR NAME KIND...", argv[0]);
	directory = argv[2];
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	MUST(!sigprocmask(SIG_BLOCK, &set, NULL));
	make_verbs(&v, argv[1]);
	/* One a page: a region may not need a mapping of its own. */
	MUST((memory = anonymous(how_many * PAGE, MAP_PRIVATE)) && (many = calloc(how_many, sizeof(*many))));
	memset(memory, 0x5a, how_many * PAGE);
	for (int i = 0; i < how_many; i++) {
		many[i] = (struct region){ .memory = memory + i * PAGE, .access = IBV_ACCESS_LOCAL_WRITE };
		many[i].mr = ibv_reg_mr(v.pd, many[i].memory, PAGE, many[i].access);
		MUST(many[i].mr);
		many[i].key = many[i].mr->lkey;
	}
	for (int i = 0; i < count; i++)
		make_region(&v, &regions[i], argv[4 + i]);
	put(argv[3], "pid");
	sigwait(&set, &got);
	for (int i = 0; i < count; i++)
		look_at_region(&v, &regions[i]);
	for (int i = 0; i < how_many; i++) {
		if (i % 512 == 0)
			look_at(&v, &many[i], many[i].memory);
		MUST(many[i].mr->lkey == many[i].key && !ibv_dereg_mr(many[i].mr));
	}
	put(argv[3], "fine");
	return 0;
}
