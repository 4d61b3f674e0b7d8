// SPDX-License-Identifier: GPL-2.0
/*
 * Two ends exchange traffic. One of them dumps, destroys and restores itself
 * again and again in the middle of it. So does the other with PEER_MOVES.
 *
 * usage: live NETNS DEVICE PEER_NETNS PEER_DEVICE
 *             [REQUESTS [MOVES [SEED [PEER_MOVES]]]]
 */
#include <err.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "image.h"
#include "pair.h"

#define HOLD_TIMER	14	/* 1.92 ms */

/* the end that is not this process's */
struct other {
	const char *netns;
	const char *device;
	const char *programs;	/* folder of hold */
};

static void must(int ret, const char *what)
{
	if (ret)
		errx(1, "%s: %d", what, ret);
}

/*
 * An end that is gone answers nothing. A peer without a retry budget must be
 * held meanwhile.
 */
static void silence(const struct other *peer, bool hold)
{
	char command[512];

	if (!getenv("LIVE_RETRY_CNT"))
		return;
	snprintf(command, sizeof(command), "ip netns exec %s %s/hold %s %s",
		 peer->netns, peer->programs, peer->device,
		 hold ? "hold" : "resume");
	must(system(command), command);
}

/* every third time only hold and resume */
static void move(struct traffic *t, const struct other *peer, unsigned int n)
{
	struct image img;
	int fd = t->end.ctx->cmd_fd;

	must(sl_hold(fd, HOLD_TIMER, 10000), "HOLD");
	if (n % 3 == 2) {
		usleep(rand() % 50000);
		must(sl_resume(fd), "RESUME");
		return;
	}

	silence(peer, true);
	image_dump(&img, fd, t->end.channel->fd);
	usleep(rand() % 20000);
	image_compare(&img, fd);
	image_destroy(&img, fd);
	usleep(rand() % 100000);
	image_restore(&img, fd, 0);
	image_compare(&img, fd);
	usleep(rand() % 20000);
	image_compare(&img, fd);
	if (rand() % 2) {
		silence(peer, false);
		must(sl_resume(fd), "RESUME");
	} else {
		must(sl_resume(fd), "RESUME");
		silence(peer, false);
	}
	image_free(&img);
}

static void run_end(int sock, char **argv, const struct other *peer, int seed,
		    uint64_t total, unsigned int moves)
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
			move(&t, peer, n++);
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
	struct other first, second;
	pid_t pid;
	int sock;

	if (argc < 5)
		errx(2, "usage: %s NETNS DEVICE PEER_NETNS PEER_DEVICE [REQUESTS [MOVES [SEED [PEER_MOVES]]]]",
		     argv[0]);
	srand(argc > 7 ? atoi(argv[7]) : 1);
	first = (struct other){ argv[1], argv[2], dirname(argv[0]) };
	second = (struct other){ argv[3], argv[4], first.programs };

	pid = pair_fork(&sock);
	if (!pid) {
		srand(rand());
		run_end(sock, argv + 3, &first, 2, total,
			argc > 8 ? atoi(argv[8]) : 0);
		return 0;
	}
	run_end(sock, argv + 1, &second, 1, total, moves);
	pair_join(pid);
	return 0;
}
