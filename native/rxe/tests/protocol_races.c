// SPDX-License-Identifier: GPL-2.0
/* Concurrent calls: a dump and a replacement of what it reads, a caller that stalls. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "expect.h"
#include "protocol.h"
#include "scripted.h"
#include "victim.h"

#define RACE_ROUNDS 400

struct stall {
	_Atomic int ret;
	struct scripted s;
	void *page;
};

static void *dump_into_page(void *arg)
{
	struct stall *stall = arg;
	struct sealift_rxe_qp_buffers bufs = {
		.sq = sl_buffer(stall->page, 1 << 20),
	};
	struct sealift_rxe_qp qp;

	stall->ret = sl_dump_qp(stall->s.fd, stall->s.end.qp->handle, &bufs,
				&qp);
	return NULL;
}

/* Memory whose first touch waits until somebody has filled it. */
static int stalling_pages(void *page, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)page, size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) ||
	    ioctl(fd, UFFDIO_REGISTER, &reg))
		err(1, "userfaultfd");
	return fd;
}

/* A dump that stalls on user memory does not keep others from a RESUME. */
static void stalled_dump(void)
{
	size_t size = 1 << 20;
	struct uffdio_zeropage zero;
	struct stall stall = { .ret = 1 };
	pthread_t thread;
	double start;
	int fd;

	scripted_open(&stall.s);
	stall.page = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fd = stalling_pages(stall.page, size);
	scripted_hold(&stall.s);
	if (pthread_create(&thread, NULL, dump_into_page, &stall))
		errx(1, "pthread_create");
	usleep(200000);
	expect(1, stall.ret, "the dump is stalled");

	/* the resume would wait for the lock until it is killed */
	start = now_ms();
	alarm(10);
	scripted_release();
	alarm(0);
	expect(1, now_ms() - start < 2000, "a resume does not wait for it");

	zero = (struct uffdio_zeropage){
		.range = { (uintptr_t)stall.page, size },
	};
	if (ioctl(fd, UFFDIO_ZEROPAGE, &zero))
		err(1, "UFFDIO_ZEROPAGE");
	pthread_join(thread, NULL);
	expect(0, stall.ret, "and the dump ends");
}

struct race {
	struct scripted s;
	_Atomic int stop;
	_Atomic unsigned int done;
};

/* To RESET and back: the cache is replaced each time. */
static void *modify(void *arg)
{
	struct endpoint_path path = { .qpn = SCRIPTED_QPN, .timeout = 20 };
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };
	struct race *race = arg;
	struct ibv_qp *qp = race->s.end.qp;

	path.gid = race->s.end.gid;
	while (!race->stop) {
		/* a dump may have it for a moment */
		if (ibv_modify_qp(qp, &attr, IBV_QP_STATE))
			continue;
		endpoint_try_init(&race->s.end);
		endpoint_try_connect(&race->s.end, &path);
		race->done++;
	}
	return NULL;
}

static void dump_against_modify(void)
{
	struct sealift_rxe_qp_buffers bufs;
	unsigned int dumped = 0, busy = 0, other = 0, i;
	static unsigned char sq[1 << 16], rq[1 << 16];
	static struct sealift_rxe_res res[128];
	struct race race = { .stop = 0 };
	struct sealift_rxe_qp qp;
	pthread_t thread;
	int ret;

	scripted_open(&race.s);
	scripted_hold(&race.s);
	if (pthread_create(&thread, NULL, modify, &race))
		errx(1, "pthread_create");
	for (i = 0; i < RACE_ROUNDS || race.done < 20; i++) {
		bufs = (struct sealift_rxe_qp_buffers){
			.sq = sl_buffer(sq, sizeof(sq)),
			.rq = sl_buffer(rq, sizeof(rq)),
			.res = sl_buffer(res, sizeof(res)),
		};
		ret = sl_dump_qp(race.s.fd, race.s.end.qp->handle, &bufs, &qp);
		dumped += !ret;
		busy += ret == -EBUSY;
		if (ret && ret != -EBUSY)
			other = -ret;
	}
	race.stop = 1;
	pthread_join(thread, NULL);
	expect(0, other, "dump against modify: %u dumped, %u busy, %u modified",
	       dumped, busy, race.done);
}

static void *resize(void *arg)
{
	struct race *race = arg;
	unsigned int n = 0;

	while (!race->stop)
		if (!ibv_resize_cq(race->s.end.cq, n++ % 2 ? 100 : 5000))
			race->done++;
	return NULL;
}

static void dump_against_resize(void)
{
	unsigned int dumped = 0, busy = 0, other = 0, i;
	static unsigned char ring[1 << 21];
	struct race race = { .stop = 0 };
	struct sealift_rxe_cq cq;
	pthread_t thread;
	int ret;

	scripted_open(&race.s);
	scripted_hold(&race.s);
	if (pthread_create(&thread, NULL, resize, &race))
		errx(1, "pthread_create");
	for (i = 0; i < RACE_ROUNDS || race.done < 20; i++) {
		ret = sl_dump_cq(race.s.fd, race.s.end.cq->handle, ring,
				 sizeof(ring), &cq);
		dumped += !ret;
		busy += ret == -EBUSY;
		if (ret && ret != -EBUSY)
			other = -ret;
	}
	race.stop = 1;
	pthread_join(thread, NULL);
	expect(0, other, "dump against resize: %u dumped, %u busy, %u resized",
	       dumped, busy, race.done);
}

/* A queue pair is destroyed at once, though a hold waits for its device. */
static void *hold_again_and_again(void *arg)
{
	struct race *race = arg;

	while (!race->stop)
		if (!sl_hold(race->s.fd, SCRIPTED_TIMER, 1000))
			sl_resume(race->s.fd);
	return NULL;
}

static void hold_against_destroy(void)
{
	struct race race = { .stop = 0 };
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	struct ibv_qp *qp;
	pthread_t thread;
	double start, worst = 0;
	unsigned int i;

	scripted_open(&race.s);
	if (ibv_query_qp(race.s.end.qp, &attr, IBV_QP_CAP, &init))
		err(1, "ibv_query_qp");
	init.sq_sig_all = 0;
	if (pthread_create(&thread, NULL, hold_again_and_again, &race))
		errx(1, "pthread_create");
	for (i = 0; i < 100; i++) {
		qp = ibv_create_qp(race.s.end.pd, &init);
		if (!qp)
			err(1, "ibv_create_qp");
		start = now_ms();
		if (ibv_destroy_qp(qp))
			err(1, "ibv_destroy_qp");
		if (now_ms() - start > worst)
			worst = now_ms() - start;
	}
	race.stop = 1;
	pthread_join(thread, NULL);
	expect(1, worst < 5000, "a queue pair is destroyed in a hold");
}

const struct protocol_case protocol_races_cases[] = {
	{ "stalled dump", stalled_dump },
	{ "dump against modify", dump_against_modify },
	{ "dump against resize", dump_against_resize },
	{ "hold against destroy", hold_against_destroy },
	{ 0 },
};
