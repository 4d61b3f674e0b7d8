// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz every method of the driver for some time. What an epoch does follows from
 * its seed; the first one's is SEED, each next one's is one more. It stops at the
 * first report of the kernel, image accepted against a rule, or process that
 * ends otherwise than by itself, and says the epoch's seed.
 *
 * usage: fuzz DEVICE ADDRESS PEER_NETNS PEER_INTERFACE PEER_ADDRESS SECONDS SEED [EPOCHS]
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "expect.h"
#include "fuzz.h"
#include "random.h"
#include "send_ring.h"
#include "../src/rxe_sealift_invariants.h"

#define ROUNDS		60	/* of an epoch */
#define EPOCH_SECONDS	600	/* it takes 2, and 100 times that on a machine with other work */
#define SAY_SECONDS	30
#define HOLD_MS		10000

static void broken(struct fuzz *f, const char *what, const char *rule,
		   const struct sealift_rxe_qp *qp)
{
	printf("# %s: %s (state %u, restored as %u, READs %u of %u)\n", what, rule,
	       qp->state, f->v.qp.state, qp->req.rd_atomic,
	       qp->attr.max_rd_atomic);
	f->counts->broken++;
}

static const char *broken_rule(const struct sealift_rxe_qp *qp)
{
	const char *rule = rxe_image_broken_limit(qp);

	return rule ? rule : rxe_image_broken_rule(qp);
}

static void hold(struct fuzz *f)
{
	int ret = sl_hold(f->s.fd, any(32), HOLD_MS);

	if (ret)
		errx(1, "HOLD: %s", strerror(-ret));
}

/* What is dumped can be restored: it breaks no rule either. */
static void dump(struct fuzz *f, uint32_t handle)
{
	struct sealift_rxe_qp_buffers none = { 0 };
	struct sealift_rxe_qp qp;
	int ret = sl_dump_qp(f->s.fd, handle, &none, &qp);

	if (!ret && broken_rule(&qp))
		broken(f, "dumped", broken_rule(&qp), &qp);
}

/* The application changes the state; whether it may is not the question. */
static void modify(struct fuzz *f, uint32_t handle, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };

	/* the restored one has the number that the first one had */
	f->s.end.qp->handle = handle;
	ibv_modify_qp(f->s.end.qp, &attr, IBV_QP_STATE);
}

/* The process writes to its rings while the driver works on them. */
static void scribble(struct fuzz *f, uint32_t handle)
{
	static const enum ibv_qp_state states[] = {
		IBV_QPS_ERR, IBV_QPS_SQD, IBV_QPS_RESET, IBV_QPS_RTS,
	};
	struct sealift_rxe_qp_buffers none = { 0 };
	const struct sealift_rxe_ring *at;
	struct sealift_rxe_qp qp;
	unsigned int n;
	void *ring;

	if (sl_dump_qp(f->s.fd, handle, &none, &qp))
		return;
	at = any(4) || !qp.rq.size ? &qp.sq : &qp.rq;
	ring = mmap(NULL, at->mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		    f->s.fd, at->mmap_offset);
	if (ring == MAP_FAILED)
		return;
	sl_resume(f->s.fd);
	for (n = any(64); n; n--) {
		send_ring_poke(ring, at->size, any(2) ? any(1024) :
			       any(at->size), any(2) ? any(256) : any(20));
		if (any(8) == 0)
			send_ring_index(ring, any(8), any(2) ? interesting() :
					any(2 * at->index_mask));
		if (any(8) == 0)
			fuzz_packet(f);
		if (any(32) == 0)
			modify(f, handle, states[any(ARRAY_SIZE(states))]);
	}
	munmap(ring, at->mmap_size);
}

/* The application connects what was restored before RTR. */
static void go_on(struct fuzz *f, uint32_t handle)
{
	struct endpoint_path path = {
		.qpn = SCRIPTED_QPN,
		.sq_psn = f->v.qp.comp.psn,
		.rq_psn = f->v.qp.resp.psn,
		.timeout = any(20),
		.retry_cnt = any(8),
		.rnr_retry = any(8),
	};

	scripted_peer_gid(&f->s, &path.gid);
	f->s.end.qp->handle = handle;
	if (f->v.qp.state == RXE_IMAGE_RESET)
		endpoint_try_init(&f->s.end);
	if (any(2))
		endpoint_try_receive(&f->s.end, &path);
	else
		endpoint_try_connect(&f->s.end, &path);
}

static void use(struct fuzz *f, uint32_t handle, bool racing)
{
	unsigned int n;

	if (f->v.qp.state <= RXE_IMAGE_INIT && f->s.end.type == IBV_QPT_RC &&
	    any(4))
		go_on(f, handle);
	if (any(8) == 0) {
		scribble(f, handle);
		return;
	}
	for (n = any(3); n; n--)
		fuzz_packet(f);
	if (any(8))
		sl_resume(f->s.fd);
	for (n = any(6); n; n--)
		fuzz_packet(f);
	if (any(4) == 0)
		usleep(any(3000));
	if (any(2) == 0)
		fuzz_call(f);
	if (any(2) == 0) {
		hold(f);
		if (!racing)
			dump(f, handle);
	}
}

static void a_round(struct fuzz *f, bool racing)
{
	uint32_t handle;
	unsigned int n;

	f->counts->doing = "calls";
	hold(f);
	for (n = any(4); n; n--)
		fuzz_call(f);
	f->counts->doing = "other objects";
	if (any(4) == 0)
		fuzz_object(f);
	f->counts->doing = "restore";
	hold(f);
	victim_reset(&f->v);
	mutate(&f->v, &f->memory);
	f->counts->images++;
	if (victim_restore(&f->v, &handle))
		return;
	f->counts->accepted++;
	if (broken_rule(&f->v.qp))
		broken(f, "accepted", broken_rule(&f->v.qp), &f->v.qp);
	__atomic_store_n(&f->qp_handle, handle, __ATOMIC_RELAXED);
	f->counts->doing = "use";
	use(f, handle, racing);
	f->counts->doing = "destroy";
	victim_destroy(&f->v, handle);
}

/* Each round has a seed of its own, so that one that goes another way changes none after it. */
static void epoch(struct fuzz_counts *counts, uint64_t seed)
{
	static struct fuzz f;
	unsigned int i;
	bool racing;

	alarm(EPOCH_SECONDS);
	f.counts = counts;
	counts->round = 0;
	counts->racing = false;
	counts->doing = "take";
	random_seed(seed << 16);
	fuzz_take(&f);
	racing = any(4) == 0;
	counts->racing = racing;
	if (racing)
		fuzz_race(&f);
	for (i = 1; i <= ROUNDS; i++) {
		random_seed((seed << 16) + i);
		counts->round = i;
		a_round(&f, racing);
		counts->calls += sl_calls;
		sl_calls = 0;
	}
}

/* Return: did it end by itself? */
static bool run_epoch(struct fuzz_counts *counts, uint64_t seed)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		epoch(counts, seed);
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		err(1, "fork");
	if (status)
		printf("# the epoch's process ended with status %#x, in round %u, %s%s\n",
		       status, counts->round, counts->doing,
		       counts->racing ? ", beside the racing thread" : "");
	scripted_release();
	return !status;
}

static void say(const struct fuzz_counts *c, double seconds, uint64_t seed)
{
	printf("# %.0f s: %lu calls, %lu packets, %lu of %lu images accepted, seed %llu\n",
	       seconds, c->calls, c->packets, c->accepted, c->images,
	       (unsigned long long)seed);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	double start = now_ms(), seconds, said = 0, limit;
	unsigned long epochs = 0, most;
	struct fuzz_counts *counts;
	uint64_t first, seed;
	bool ok;
	int log;

	if (argc < 8)
		errx(2, "usage: %s DEVICE ADDRESS PEER_NETNS PEER_INTERFACE PEER_ADDRESS SECONDS SEED [EPOCHS]",
		     argv[0]);
	scripted_place = (struct scripted_place){
		argv[1], argv[2], argv[3], argv[4], argv[5]
	};
	limit = atof(argv[6]);
	first = seed = strtoull(argv[7], NULL, 0);
	most = argc > 8 ? strtoul(argv[8], NULL, 0) : -1UL;
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		err(1, "mmap");
	log = fuzz_log_open();
	do {
		ok = run_epoch(counts, seed);
		ok = !fuzz_log_reports(log) && ok && !counts->broken;
		seconds = (now_ms() - start) / 1e3;
		if (seconds - said > SAY_SECONDS) {
			said = seconds;
			say(counts, said, seed);
		}
	} while (ok && seconds < limit && ++epochs < most && ++seed);
	say(counts, seconds, seed);
	printf("%s fuzzer: %lu calls in %.0f s, seeds %llu to %llu\n",
	       ok ? "ok" : "not ok", counts->calls, seconds,
	       (unsigned long long)first, (unsigned long long)seed);
	return !ok;
}
