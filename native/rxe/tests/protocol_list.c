// SPDX-License-Identifier: GPL-2.0
/* LIST and DUMP_MR: the objects of a device and their owners. */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "datagram.h"
#include "expect.h"
#include "listed.h"
#include "protocol.h"
#include "scripted.h"

static unsigned int count_kind(const struct listed *l, uint32_t kind,
			       uint32_t context)
{
	unsigned int n = 0;
	uint32_t i;

	for (i = 0; i < l->count; i++)
		n += l->objects[i].kind == kind &&
		     l->objects[i].context == context;
	return n;
}

static void whole_device(void)
{
	const struct sealift_rxe_device_object *o;
	struct sealift_rxe_context ctx;
	struct ibv_ah_attr ah = { .is_global = 1, .port_num = 1 };
	struct ibv_srq_init_attr srq = { .attr = { 16, 1, 0 } };
	struct sealift_rxe_device_object two[2];
	struct sealift_rxe_list out;
	struct listed l;
	struct scripted s;
	uint32_t i;

	scripted_open(&s);
	scripted_peer_gid(&s, &ah.grh.dgid);
	ah.grh.sgid_index = endpoint_sgid_index(&s.end);
	ah.grh.hop_limit = 64;
	if (!ibv_create_ah(s.end.pd, &ah))
		err(1, "ibv_create_ah");
	if (!ibv_create_srq(s.end.pd, &srq))
		err(1, "ibv_create_srq");
	if (!ibv_alloc_mw(s.end.pd, IBV_MW_TYPE_1))
		err(1, "ibv_alloc_mw");
	if (sl_context(s.fd, NULL, 0, &ctx))
		errx(1, "DUMP_CONTEXT");

	listed_take(&l, s.fd);
	o = listed_find(&l, SEALIFT_RXE_KIND_CONTEXT, ctx.number);
	expect(getpid(), o ? (int)o->owner : -1, "the context is its creator's");
	o = listed_find(&l, SEALIFT_RXE_KIND_QP, s.end.qp->qp_num);
	expect(1, o && o->handle == s.end.qp->handle &&
	       o->context == ctx.number && o->type == IBV_QPT_RC &&
	       (pid_t)o->owner == getpid(), "the queue pair is listed");
	o = listed_find(&l, SEALIFT_RXE_KIND_MR, s.end.mr->rkey);
	expect(1, o && o->handle == s.end.mr->handle &&
	       o->context == ctx.number && (pid_t)o->owner == getpid(),
	       "the memory region is listed");
	expect(1, o && o->start == (uintptr_t)s.mem &&
	       o->length == SCRIPTED_BYTES && o->access & 1, "with its memory");
	for (i = SEALIFT_RXE_KIND_PD; i <= SEALIFT_RXE_KIND_MW; i++)
		expect(1, count_kind(&l, i, ctx.number),
		       "objects of kind %u in the context", i);
	/* ib_mad's, for the special queue pair */
	expect(1, count_kind(&l, SEALIFT_RXE_KIND_QP, SEALIFT_RXE_NONE),
	       "queue pairs of the kernel");
	expect(-ENOSPC, sl_list(s.fd, two, 2, &out), "a list of 2");
	expect(l.count, out.count, "it says how many there are");
}

/* A child registers memory of its own through its parent's context. */
static void region_of_a_child(void)
{
	struct sealift_rxe_mr mr, own;
	uint32_t handle, lkey, rkey;
	struct scripted s;
	int go[2], told[2];
	pid_t pid;
	char c;

	scripted_open(&s);
	if (sl_dump_mr(s.fd, s.end.mr->handle, &own))
		errx(1, "DUMP_MR");
	expect(getpid(), own.owner, "a region is its process's");
	if (pipe(go) || pipe(told))
		err(1, "pipe");
	pid = fork();
	if (!pid) {
		own.start = (uintptr_t)aligned_alloc(4096, 4096);
		own.iova = own.start;
		own.length = 4096;
		if (raw_reg_mr(s.fd, &own, &handle, &lkey, &rkey) ||
		    write(told[1], &handle, sizeof(handle)) < 0 ||
		    read(go[0], &c, 1) < 0)
			err(1, "child");
		_exit(0);
	}
	if (read(told[0], &handle, sizeof(handle)) != sizeof(handle))
		errx(1, "the child is gone");
	expect(0, sl_dump_mr(s.fd, handle, &mr), "dump of the child's region");
	expect(pid, mr.owner, "the child's region is the child's");
	if (write(go[1], "", 1) != 1 || waitpid(pid, NULL, 0) != pid)
		err(1, "wait");
	expect(0, sl_dump_mr(s.fd, handle, &mr), "dump when the child is gone");
	expect(0, mr.owner, "it is nobody's then");
}

#define REGIONS		1000	/* of two processes, in turns */
#define IDLE		600	/* other processes */
#define MEASURES	9

static void register_some(int fd, const struct sealift_rxe_mr *like)
{
	uint32_t handle, lkey, rkey;
	int ret = raw_reg_mr(fd, like, &handle, &lkey, &rkey);

	if (ret)
		errx(1, "REG_MR: %s", strerror(-ret));
}

/* Register one region for each byte, say so, and end with the pipe. */
static pid_t start_child(int fd, struct sealift_rxe_mr like, int from, int to)
{
	pid_t pid = fork();
	char c;

	if (pid < 0)
		err(1, "fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	like.start = (uintptr_t)aligned_alloc(4096, 4096);
	like.iova = like.start;
	like.length = 4096;
	while (read(from, &c, 1) == 1) {
		register_some(fd, &like);
		if (write(to, &c, 1) != 1)
			break;
	}
	_exit(0);
}

static pid_t idle[IDLE];

/* They stand before those that have regions in the list of tasks. */
static void start_idle(void)
{
	unsigned int i;

	for (i = 0; i < IDLE; i++) {
		idle[i] = fork();
		if (idle[i] < 0)
			err(1, "fork");
		if (!idle[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
			_exit(0);
		}
	}
}

/* Their parent waits for none of them: they go at once. */
static void stop_idle(void)
{
	unsigned int i;

	for (i = 0; i < IDLE; i++)
		kill(idle[i], SIGKILL);
	for (i = 0; i < IDLE; i++)
		while (!kill(idle[i], 0))
			usleep(1000);
}

/* Return: ms, the best of some measures */
static double time_list(const struct scripted *s,
			struct sealift_rxe_device_object *all,
			struct sealift_rxe_list *out)
{
	double start, best = 1e9;
	unsigned int i;

	for (i = 0; i < MEASURES; i++) {
		start = now_ms();
		if (sl_list(s->fd, all, REGIONS + LISTED_MAX, out))
			errx(1, "LIST");
		if (now_ms() - start < best)
			best = now_ms() - start;
	}
	return best;
}

static void time_regions(void)
{
	struct sealift_rxe_device_object *all;
	unsigned int i, own = 0, others = 0;
	struct sealift_rxe_list out;
	struct sealift_rxe_mr like;
	double few, many;
	int go[2], told[2];
	struct scripted s;
	pid_t pid;
	char c = 0;

	scripted_open_end(&s, IBV_QPT_RC);
	if (sl_dump_mr(s.fd, s.end.mr->handle, &like) || pipe(go) || pipe(told))
		err(1, "DUMP_MR");
	pid = start_child(s.fd, like, go[0], told[1]);
	for (i = 0; i < REGIONS / 2; i++) {
		register_some(s.fd, &like);
		if (write(go[1], &c, 1) != 1 || read(told[0], &c, 1) != 1)
			errx(1, "the child is gone");
	}
	all = calloc(REGIONS + LISTED_MAX, sizeof(*all));
	if (!all)
		err(1, "calloc");
	many = time_list(&s, all, &out);
	stop_idle();
	few = time_list(&s, all, &out);
	expect(1, many < 3 * few + 2,
	       "LIST takes as long beside other processes (%.1f ms, %.1f ms)",
	       few, many);
	for (i = 0; i < out.count; i++) {
		if (all[i].kind != SEALIFT_RXE_KIND_MR)
			continue;
		own += (pid_t)all[i].owner == getpid();
		others += (pid_t)all[i].owner == pid;
	}
	expect(REGIONS / 2 + 1, own, "regions of the parent");
	expect(REGIONS / 2, others, "regions of the child");
	kill(pid, SIGKILL);
}

/* How long LIST takes does not grow with regions times processes. */
static void many_regions(void)
{
	int failed[2];
	pid_t pid;

	if (pipe(failed))
		err(1, "pipe");
	signal(SIGCHLD, SIG_IGN);
	start_idle();
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		time_regions();
		fflush(stdout);
		if (write(failed[1], &expect_failed, sizeof(int)) < 0)
			err(1, "write");
		_exit(0);
	}
	close(failed[1]);
	if (pid < 0 || read(failed[0], &expect_failed, sizeof(int)) != sizeof(int))
		expect(0, 1, "regions of two processes end");
}

#define ADDRESS "10.99.0.99"

static void run_ip(const char *verb)
{
	char path[128], dev[32] = "", cmd[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/parent",
		 scripted_place.device);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%31s", dev) != 1)
		err(1, "%s", path);
	fclose(f);
	snprintf(cmd, sizeof(cmd), "ip addr %s " ADDRESS "/24 dev %s", verb, dev);
	if (system(cmd))
		errx(1, "%s", cmd);
}

/* The device's table follows the interface some time later. */
static bool has_gid(const struct scripted *s, const union ibv_gid *gid)
{
	struct ibv_gid_entry entry;
	int i, tries;

	for (tries = 0; tries < 300; tries++) {
		for (i = 0; i < 16; i++)
			if (!ibv_query_gid_ex(s->end.ctx, 1, i, &entry, 0) &&
			    entry.gid_type == IBV_GID_TYPE_ROCE_V2 &&
			    !memcmp(&entry.gid, gid, sizeof(*gid)))
				return true;
		usleep(10000);
	}
	return false;
}

static uint32_t flags_of(const struct scripted *s, uint32_t kind,
			 uint32_t handle, uint32_t context)
{
	const struct sealift_rxe_device_object *o;
	struct listed l;

	listed_take(&l, s->fd);
	o = listed_find_handle(&l, kind, context, handle);
	return o ? o->flags : ~0U;
}

/*
 * A queue pair and an address handle whose source address the interface has
 * lost: no target can restore them, and LIST says so before the hold.
 */
static void lost_source(void)
{
	struct endpoint_path to = { .qpn = SCRIPTED_QPN };
	union ibv_gid gid = { .raw = { [10] = 0xff, 0xff, 10, 99, 0, 99 } };
	struct sealift_rxe_context ctx;
	struct sealift_rxe_ah ah;
	struct ibv_ah *handle;
	uint32_t number, other;
	struct scripted s;
	int tries;

	scripted_open_end(&s, IBV_QPT_RC);
	run_ip("add");
	expect(1, has_gid(&s, &gid), "the address is in the table");
	s.end.gid = gid;
	scripted_peer_gid(&s, &to.gid);
	endpoint_init(&s.end);
	endpoint_connect(&s.end, &to);
	handle = datagram_handle(&s.end, &to.gid);
	if (sl_context(s.fd, NULL, 0, &ctx))
		errx(1, "DUMP_CONTEXT");
	expect(SEALIFT_RXE_OBJECT_HAS_SOURCE,
	       flags_of(&s, SEALIFT_RXE_KIND_AH, handle->handle, ctx.number),
	       "a handle with a source address");
	expect(SEALIFT_RXE_OBJECT_HAS_SOURCE,
	       flags_of(&s, SEALIFT_RXE_KIND_QP, s.end.qp->handle, ctx.number),
	       "a queue pair with a source address");
	run_ip("del");
	for (tries = 0; tries < 300 &&
	     !(flags_of(&s, SEALIFT_RXE_KIND_AH, handle->handle, ctx.number) &
	       SEALIFT_RXE_OBJECT_NO_SOURCE); tries++)
		usleep(10000);
	expect(SEALIFT_RXE_OBJECT_HAS_SOURCE | SEALIFT_RXE_OBJECT_NO_SOURCE,
	       flags_of(&s, SEALIFT_RXE_KIND_AH, handle->handle, ctx.number),
	       "a handle whose source address has left");
	expect(SEALIFT_RXE_OBJECT_HAS_SOURCE | SEALIFT_RXE_OBJECT_NO_SOURCE,
	       flags_of(&s, SEALIFT_RXE_KIND_QP, s.end.qp->handle, ctx.number),
	       "a queue pair whose source address has left");
	expect(0, flags_of(&s, SEALIFT_RXE_KIND_MR, s.end.mr->handle, ctx.number),
	       "nothing is said of a region");
	scripted_hold(&s);
	if (sl_dump_ah(s.fd, handle->handle, &ah))
		errx(1, "DUMP_AH");
	ah.av.sgid_index = 0;
	ah.number = 0;
	if (raw_create_ah(s.fd, &ah, &other, &number))
		errx(1, "CREATE_AH");
	expect(-EADDRNOTAVAIL, sl_restore_ah(s.fd, other, &ah),
	       "as RESTORE_AH would");
	scripted_resume(&s);
}

const struct protocol_case protocol_list_cases[] = {
	{ "list of a device", whole_device },
	{ "region of a child", region_of_a_child },
	{ "regions of two processes", many_regions },
	{ "source address lost", lost_source },
	{ 0 },
};
