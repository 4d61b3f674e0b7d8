// SPDX-License-Identifier: GPL-2.0
/* Concurrent calls: a dump and a replacement of what it reads, a caller that stalls. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "expect.h"
#include "protocol.h"
#include "recv_ring.h"
#include "scripted.h"
#include "victim.h"

#define RACE_ROUNDS 400
#define WRITER_ROUNDS 60

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

/*
 * Memory whose first touch waits until somebody has filled it.
 * Return: descriptor, or -1 where the kernel has no such memory
 */
static int stalling_pages(void *page, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)page, size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd;

	if (access("/proc/sys/vm/unprivileged_userfaultfd", F_OK))
		return -1;
	fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) ||
	    ioctl(fd, UFFDIO_REGISTER, &reg))
		err(1, "userfaultfd");
	return fd;
}

/* A dump that stalls on user memory keeps nobody waiting. */
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
	if (fd < 0) {
		printf("# skipped: a stalled dump, as the kernel has no userfaultfd\n");
		return;
	}
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
	expect(-EBUSY, raw_destroy(stall.s.fd, UVERBS_OBJECT_QP,
				   stall.s.end.qp->handle),
	       "nor does a destroy, which is refused");

	zero = (struct uffdio_zeropage){
		.range = { (uintptr_t)stall.page, size },
	};
	if (ioctl(fd, UFFDIO_ZEROPAGE, &zero))
		err(1, "UFFDIO_ZEROPAGE");
	pthread_join(thread, NULL);
	expect(0, stall.ret, "and the dump ends");
	expect(0, raw_destroy(stall.s.fd, UVERBS_OBJECT_QP,
			      stall.s.end.qp->handle),
	       "then it can be destroyed");
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

/* What two threads have left can be taken through every state again, and works in both directions. */
static void works_again(struct scripted *s)
{
	struct endpoint_path path = {
		.qpn = SCRIPTED_QPN,
		.sq_psn = SCRIPTED_SQ_PSN,
		.rq_psn = SCRIPTED_RQ_PSN,
		.timeout = 20,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.min_rnr_timer = 1,
	};
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };
	struct wire_packet p;

	scripted_peer_gid(s, &path.gid);
	expect(0, ibv_modify_qp(s->end.qp, &attr, IBV_QP_STATE), "then RESET");
	expect(0, endpoint_try_init(&s->end), "then INIT");
	expect(0, endpoint_try_connect(&s->end, &path), "then RTR and RTS");
	wire_drain(&s->wire);

	memset(s->mem, 0, 64);
	p = scripted_request(s, WIRE_WRITE_ONLY, 0);
	p.length = 64;
	p.size = 64;
	memset(p.payload, 'w', 64);
	wire_send(&s->wire, &p);
	expect(1, scripted_count(s, WIRE_ACK, 300),
	       "then a WRITE of the peer's is acknowledged");
	expect('w', s->mem[63], "and is in the memory");
	scripted_write(s, 64, 1);
}

/* Two threads modify one queue pair: each call does all of its work, or none. */
static void modify_against_modify(void)
{
	struct race race = { .stop = 0 };
	pthread_t threads[2];
	struct wire_packet p;

	scripted_open(&race.s);
	if (pthread_create(&threads[0], NULL, modify, &race) ||
	    pthread_create(&threads[1], NULL, modify, &race))
		errx(1, "pthread_create");
	while (race.done < RACE_ROUNDS) {
		p = scripted_request(&race.s, WIRE_WRITE_FIRST, 0);
		p.psn = 0;
		p.size = WIRE_MTU;
		p.length = 2 * WIRE_MTU;
		wire_send(&race.s.wire, &p);
		usleep(500);
	}
	race.stop = 1;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	works_again(&race.s);
}

struct writer {
	void *ring;
	uint32_t index;
	int stop;
};

static void *write_elements(void *arg)
{
	struct writer *w = arg;

	recv_ring_flip(w->ring, &w->index, RECV_RING_FAR, RECV_RING_FAR,
		       &w->stop);
	return NULL;
}

/* Restore while a thread writes to the last request of the new ring. */
static int restore_against_writer(const struct victim *v, uint32_t last)
{
	struct sealift_rxe_qp_buffers b = victim_buffers(v), none = { 0 };
	struct writer w = { .index = last };
	uint32_t handle = victim_create(v);
	struct sealift_rxe_qp qp;
	pthread_t thread;
	int ret;

	if (sl_dump_qp(v->fd, handle, &none, &qp))
		errx(1, "DUMP_QP");
	w.ring = mmap(NULL, qp.rq.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      v->fd, qp.rq.mmap_offset);
	if (w.ring == MAP_FAILED || pthread_create(&thread, NULL, write_elements, &w))
		err(1, "mmap");
	usleep(1000);
	ret = sl_restore_qp(v->fd, handle, &v->qp, &b);
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	munmap(w.ring, qp.rq.mmap_size);
	victim_destroy(v, handle);
	return ret;
}

/* What is checked is the image, not what a process has written over it. */
static void ring_written_in_restore(void)
{
	static const struct ibv_qp_cap cap = {
		.max_send_wr = 16, .max_recv_wr = 16000,
		.max_send_sge = 2, .max_recv_sge = 2,
	};
	unsigned int i, refused = 0;
	struct scripted s;
	struct victim v;
	uint32_t last;

	scripted_open_end(&s, IBV_QPT_RC);
	s.end.qp = endpoint_create_qp(&s.end, &cap);
	scripted_hold(&s);
	victim_take(&v, s.fd, s.end.qp->handle);
	last = recv_ring_fill(v.rq);
	for (i = 0; i < WRITER_ROUNDS; i++)
		refused += restore_against_writer(&v, last) != 0;
	expect(0, refused, "images refused for what a process has written");
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
	{ "modify against modify", modify_against_modify },
	{ "ring written during a restore", ring_written_in_restore },
	{ "hold against destroy", hold_against_destroy },
	{ 0 },
};
