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
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image.h"
#include "traffic.h"

#define HOLD_TIMER	14	/* 1.92 ms */

/* with the namespace's own view of /sys/class/infiniband */
static void enter(const char *netns)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err(1, "%s", path);
	close(fd);
	if (unshare(CLONE_NEWNS) ||
	    mount("", "/", NULL, MS_SLAVE | MS_REC, NULL) ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL))
		err(1, "sysfs");
}

static void exchange(int sock, const void *out, void *in, size_t size)
{
	if (write(sock, out, size) != (ssize_t)size ||
	    read(sock, in, size) != (ssize_t)size)
		errx(1, "the other end is gone");
}

static void open_end(struct traffic *t, int sock, const char *netns,
		     const char *device, uint64_t seed, uint64_t other,
		     uint64_t total)
{
	struct traffic_address remote;

	enter(netns);
	traffic_open(t, device, seed, total);
	exchange(sock, &t->local, &remote, sizeof(remote));
	traffic_connect(t, &remote, other);
	exchange(sock, "r", &remote, 1);
}

static void close_end(struct traffic *t, int sock)
{
	char c;

	exchange(sock, "d", &c, 1);
	traffic_verify(t);
	exchange(sock, "c", &c, 1);
	traffic_close(t);
}

static void must(int ret, const char *what)
{
	if (ret)
		errx(1, "%s: %d", what, ret);
}

/* every third time, change one's mind: resume what was held */
static void move(struct traffic *t, unsigned int n)
{
	struct image img;
	int fd = t->ctx->cmd_fd;

	must(sl_hold(fd, HOLD_TIMER, 10000), "HOLD");
	if (n % 3 == 2) {
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
	struct traffic t;
	unsigned int n = 0;

	open_end(&t, sock, argv[0], argv[1], seed, 3 - seed, total);
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
	close_end(&t, sock);
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
