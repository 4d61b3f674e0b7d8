// SPDX-License-Identifier: GPL-2.0
/*
 * Two ends exchange traffic; one is dumped, destroyed and restored again and
 * again in the middle of it, by this process itself; the other knows nothing,
 * unless it is told to do the same.
 *
 * usage: live NETNS DEVICE PEER_NETNS PEER_DEVICE
 *             [REQUESTS [MOVES [SEED [PEER_MOVES]]]]
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image.h"
#include "pair.h"

#define HOLD_TIMER	14	/* 1.92 ms */

static void must(int ret, const char *what)
{
	if (ret)
		errx(1, "%s: %d", what, ret);
}

/*
 * Every third time, change one's mind: resume what was held. Always so where
 * the peer may not repeat anything: nobody would answer it while an end is gone.
 */
static void move(struct traffic *t, unsigned int n)
{
	struct image img;
	int fd = t->ctx->cmd_fd;

	must(sl_hold(fd, HOLD_TIMER, 10000), "HOLD");
	if (n % 3 == 2 || getenv("LIVE_RETRY_CNT")) {
		usleep(rand() % 50000);
		must(sl_resume(fd), "RESUME");
		return;
	}

	image_dump(&img, fd, t->channel->fd);
	usleep(rand() % 20000);
	image_compare(&img, fd);
	image_destroy(&img, fd);
	usleep(rand() % 100000);
	image_restore(&img, fd, 0);
	image_compare(&img, fd);
	usleep(rand() % 20000);
	image_compare(&img, fd);
	must(sl_resume(fd), "RESUME");
	image_free(&img);
}

static void run_end(int sock, char **argv, int seed, uint64_t total,
		    unsigned int moves)
{
	const struct pair_end end = {
		.netns = argv[0],
		.device = argv[1],
		.seed = seed,
		.peer_seed = 3 - seed,
		.sock = sock,
	};
	struct traffic t;
	unsigned int n = 0;

	pair_open(&end, &t, total);
	while (!traffic_step(&t)) {
		traffic_wait(&t, 1000);
		if (n < moves && t.completed >= (n + 1) * total / (moves + 2)) {
			/* anywhere in a message */
			usleep(rand() % 5000);
			move(&t, n++);
		}
	}
	if (n != moves)
		errx(1, "%u moves of %u", n, moves);
	printf("%s: %llu requests each way, %u moves, %llu events\n", argv[1],
	       (unsigned long long)total, moves, (unsigned long long)t.events);
	pair_close(&end, &t);
}

int main(int argc, char **argv)
{
	uint64_t total = argc > 5 ? strtoull(argv[5], NULL, 0) : 3000;
	unsigned int moves = argc > 6 ? atoi(argv[6]) : 12;
	int sock[2], status;
	pid_t pid;

	if (argc < 5)
		errx(2, "usage: %s NETNS DEVICE PEER_NETNS PEER_DEVICE [REQUESTS [MOVES [SEED [PEER_MOVES]]]]",
		     argv[0]);
	srand(argc > 7 ? atoi(argv[7]) : 1);

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		err(1, "socketpair");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		close(sock[0]);
		srand(rand());
		run_end(sock[1], argv + 3, 2, total,
			argc > 8 ? atoi(argv[8]) : 0);
		return 0;
	}
	close(sock[1]);
	run_end(sock[0], argv + 1, 1, total, moves);

	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "the peer failed: %#x", status);
	return 0;
}
