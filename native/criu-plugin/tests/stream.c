// SPDX-License-Identifier: GPL-2.0
/*
 * One end of a reliable connection that checks all that it sends and gets (the
 * traffic of the driver's tests), as a process that can be dumped: it meets
 * its peer through files, and has nothing else open.
 *
 * usage: stream DEVICE DIR NAME PEER SEED PEER_SEED REQUESTS
 * Writes its pid, and how many requests are done, to DIR/NAME.{pid,progress}.
 * STREAM_UID: run as that user. STREAM_THREAD: let another thread do the work.
 * STREAM_FORK: ibv_fork_init(), then fork processes that stay and have its queues.
 * LIVE_IPV6: use the device's IPv6 address (link-local: that one). LIVE_SRQ: receive from a shared receive queue.
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "family.h"
#include "traffic.h"

struct stream {
	const char *dir, *name, *peer;
	struct traffic traffic;
	double longest_ms;
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* Whole or not at all: who looks for the file finds all of it. */
static void put(const struct stream *s, const char *what, const void *data, size_t size)
{
	char path[512], part[520];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.%s", s->dir, s->name, what);
	snprintf(part, sizeof(part), "%s.part", path);
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) || rename(part, path))
		err(1, "%s", path);
}

static void put_number(const struct stream *s, const char *what, unsigned long long number)
{
	char text[32];

	put(s, what, text, snprintf(text, sizeof(text), "%llu\n", number));
}

static bool get(const struct stream *s, const char *what, void *data, size_t size)
{
	char path[512];
	bool got;
	int fd;

	snprintf(path, sizeof(path), "%s/%s.%s", s->dir, s->peer, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, data, size) == (ssize_t)size;
	close(fd);
	return got;
}

static void meet(struct stream *s, const char *what, const void *out, void *in, size_t size)
{
	put(s, what, out, size);
	while (!get(s, what, in, size)) {
		/* once connected: the peer may still be at work */
		if (s->traffic.posted)
			traffic_step(&s->traffic);
		usleep(20000);
	}
}

static void *work(void *arg)
{
	struct stream *s = arg;
	struct traffic *t = &s->traffic;
	double last = now_ms(), logged = 0;
	uint64_t seen = 0;
	char c;

	while (!traffic_step(t)) {
		double now = now_ms();

		if (t->completed + t->received != seen) {
			if (now - last > s->longest_ms)
				s->longest_ms = now - last;
			last = now;
			seen = t->completed + t->received;
		}
		if (now - logged > 100 || now < logged) {
			put_number(s, "progress", seen);
			logged = now;
		}
		/* a window at a time, so that it lasts */
		traffic_wait(t, 100);
		usleep(20000);
	}
	put_number(s, "progress", t->completed + t->received);
	/* The other end may still need answers. */
	meet(s, "done", "d", &c, 1);
	traffic_verify(t);
	if (getenv("STREAM_FORK"))
		family_verify();
	meet(s, "closed", "c", &c, 1);
	return NULL;
}

static void become(const char *uid)
{
	uid_t id = atoi(uid);

	if (setresgid(id, id, id) || setresuid(id, id, id))
		err(1, "become %u", id);
}

int main(int argc, char **argv)
{
	struct traffic_address remote;
	struct stream s;
	pthread_t thread;
	char c;

	if (argc != 8)
		errx(2, "usage: %s DEVICE DIR NAME PEER SEED PEER_SEED REQUESTS", argv[0]);
	s = (struct stream){ .dir = argv[2], .name = argv[3], .peer = argv[4] };
	if (getenv("STREAM_UID"))
		become(getenv("STREAM_UID"));

	if (getenv("STREAM_FORK") && ibv_fork_init())
		errx(1, "ibv_fork_init");
	traffic_open(&s.traffic, argv[1], atoi(argv[5]), strtoull(argv[7], NULL, 0));
	meet(&s, "address", &s.traffic.local, &remote, sizeof(remote));
	traffic_connect(&s.traffic, &remote, atoi(argv[6]));
	put(&s, "ready", "r", 1);
	while (!get(&s, "ready", &c, 1))
		usleep(20000);
	if (getenv("STREAM_FORK"))
		family_fork();
	put_number(&s, "pid", getpid());

	if (!getenv("STREAM_THREAD"))
		work(&s);
	else if (pthread_create(&thread, NULL, work, &s) || pthread_join(thread, NULL))
		errx(1, "no thread");
	traffic_close(&s.traffic);
	printf("%s: %llu requests, %llu messages received, longest pause %.0f ms\n", s.name,
	       (unsigned long long)s.traffic.completed, (unsigned long long)s.traffic.received,
	       s.longest_ms);
	return 0;
}
