// SPDX-License-Identifier: GPL-2.0
/*
 * How soon does a connection resume after a hold? One end is held in the middle
 * of its traffic (and restored, if asked), and is resumed. Its own requests must
 * be answered at once, the peer's after no more than the RNR timer that it was
 * last told. A process that only sleeps measures how late the machine is with
 * everything; the limits grow by that.
 *
 * usage: restart NETNS DEVICE PEER_NETNS PEER_DEVICE [TIMER [HELD_MS [RESTORE]]]
 */
#include <err.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "image.h"
#include "pair.h"

#define REQUESTS	1000000
#define RUN_MS		3000	/* after the hold */
#define SLACK_MS	250	/* for a slow, busy machine */

/* Of each end: when its first request completed after the hold was over. */
struct times {
	_Atomic double resumed;
	_Atomic double first[2];
	/* How late a sleeper woke up at most, until then. */
	_Atomic double late;
	_Atomic int stop;
};

/* RNR timers by code, in ms: 655.36 for 0, then 0.01 ... 491.52. */
static double rnr_ms(unsigned int code)
{
	static const double ms[] = {
		655.36, .01, .02, .03, .04, .06, .08, .12, .16, .24, .32, .48,
		.64, .96, 1.28, 1.92, 2.56, 3.84, 5.12, 7.68, 10.24, 15.36,
		20.48, 30.72, 40.96, 61.44, 81.92, 122.88, 163.84, 245.76,
		327.68, 491.52,
	};

	return ms[code & 31];
}

static void hold_for(struct traffic *t, struct times *times, unsigned int timer,
		     unsigned int held_ms, int restore)
{
	int fd = t->end.ctx->cmd_fd;
	struct image img;

	if (sl_hold(fd, timer, 10000))
		errx(1, "HOLD");
	/* completions from before the hold do not count */
	traffic_step(t);
	if (restore) {
		image_dump(&img, fd, t->end.channel->fd);
		image_destroy(&img, fd);
		usleep(held_ms * 500);
		image_restore(&img, fd, 0);
		image_free(&img);
		held_ms /= 2;
	}
	usleep(held_ms * 1000);
	/* before the call: the peer may have its answer before it returns */
	times->resumed = now_ms();
	if (sl_resume(fd))
		errx(1, "RESUME");
}

/* An answer needs several tasks to run, a sleeper only itself: twice. */
static double most_ms(const struct times *times)
{
	return SLACK_MS + 2 * times->late;
}

static bool is_under_way(const struct times *times)
{
	return times->resumed && !(times->first[0] && times->first[1]);
}

static void sleep_and_measure(struct times *times)
{
	double start, late;
	bool counts;

	while (!times->stop) {
		counts = is_under_way(times);
		start = now_ms();
		usleep(1000);
		late = now_ms() - start - 1;
		if ((counts || is_under_way(times)) && late > times->late)
			times->late = late;
	}
}

static void run_end(const struct pair_end *end, struct times *times, int nth,
		    unsigned int timer, unsigned int held_ms, int restore)
{
	double start, resumed = 0;
	struct traffic t;
	uint64_t seen = 0;

	pair_open(end, &t, REQUESTS);
	start = now_ms();
	while (!times->stop) {
		if (!nth && !resumed && now_ms() > start + 1000)
			hold_for(&t, times, timer, held_ms, restore);
		if (!resumed && times->resumed) {
			resumed = times->resumed;
			seen = t.completed;
		}
		traffic_step(&t);
		if (resumed && !times->first[nth] && t.completed > seen)
			times->first[nth] = now_ms() - resumed;
		if (!nth && resumed && now_ms() > resumed + RUN_MS)
			times->stop = 1;
		traffic_wait(&t, 20);
	}
}

int main(int argc, char **argv)
{
	unsigned int timer = argc > 5 ? atoi(argv[5]) : 20;
	unsigned int held_ms = argc > 6 ? atoi(argv[6]) : 2000;
	int restore = argc > 7 && atoi(argv[7]);
	struct pair_end ends[2] = { 0 };
	struct times *times;
	int sock[2];
	pid_t pid, sleeper;

	if (argc < 5)
		errx(2, "usage: %s NETNS DEVICE PEER_NETNS PEER_DEVICE [TIMER [HELD_MS [RESTORE]]]",
		     argv[0]);
	times = mmap(NULL, sizeof(*times), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (times == MAP_FAILED ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		err(1, "mmap, socketpair");

	ends[0] = (struct pair_end){ argv[1], argv[2], 1, 2, sock[0] };
	ends[1] = (struct pair_end){ argv[3], argv[4], 2, 1, sock[1] };
	sleeper = fork();
	if (!sleeper) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* else an end would not see that the other one is gone */
		close(sock[0]);
		close(sock[1]);
		sleep_and_measure(times);
		return 0;
	}
	pid = fork();
	if (sleeper < 0 || pid < 0)
		err(1, "fork");
	run_end(&ends[!pid], times, !pid, timer, held_ms, restore);
	if (!pid)
		return 0;
	pair_join(pid);

	printf("RNR timer %.2f ms, held %u ms: own request after %.1f ms, the peer's after %.1f ms; a sleeper late by %.1f ms\n",
	       rnr_ms(timer), held_ms, times->first[0], times->first[1],
	       times->late);
	return !times->first[0] || !times->first[1] ||
	       times->first[0] > most_ms(times) ||
	       times->first[1] > rnr_ms(timer) + most_ms(times);
}
