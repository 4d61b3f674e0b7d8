// SPDX-License-Identifier: GPL-2.0
#include "pair.h"

#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t pair_fork(int *sock)
{
	int both[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, both))
		err(1, "socketpair");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	*sock = both[!pid];
	close(both[!!pid]);
	return pid;
}

void pair_join(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "the peer failed: %#x", status);
}

void pair_enter(const char *netns)
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

void pair_exchange(int sock, const void *out, void *in, size_t size)
{
	if (write(sock, out, size) != (ssize_t)size ||
	    read(sock, in, size) != (ssize_t)size)
		errx(1, "the other end is gone");
}

void pair_open(const struct pair_end *end, struct traffic *t, uint64_t total)
{
	struct traffic_address remote;

	pair_enter(end->netns);
	traffic_open(t, end->device, end->seed, total);
	pair_exchange(end->sock, &t->local, &remote, sizeof(remote));
	traffic_connect(t, &remote, end->peer_seed);
	pair_exchange(end->sock, "r", &remote, 1);
}

void pair_close(const struct pair_end *end, struct traffic *t)
{
	char c;

	pair_exchange(end->sock, "d", &c, 1);
	traffic_verify(t);
	pair_exchange(end->sock, "c", &c, 1);
	traffic_close(t);
}
