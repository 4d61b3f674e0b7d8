// SPDX-License-Identifier: GPL-2.0
/* Children with sockets whose keys or filters would be lost, and with others. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sockets.h"
#include "unit.h"

struct child {
	void (*make)(void);
	const char *refused;	/* in the log; NULL: it is not */
};

static int listener(int family)
{
	struct sockaddr_in6 address = { .sin6_family = family };
	int fd = socket(family, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&address, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(address)) ||
	    listen(fd, 1))
		_exit(1);
	return fd;
}

static void md5(int family)
{
	struct tcp_md5sig key = { .tcpm_addr.ss_family = family, .tcpm_keylen = 3, .tcpm_key = "abc" };

	((struct sockaddr_in *)&key.tcpm_addr)->sin_addr.s_addr = family == AF_INET ? htonl(INADDR_LOOPBACK) : 0;
	if (family == AF_INET6)
		((struct sockaddr_in6 *)&key.tcpm_addr)->sin6_addr = in6addr_loopback;
	if (setsockopt(listener(family), IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)))
		_exit(1);
}

static void md5_inet(void)
{
	md5(AF_INET);
}

static void md5_inet6(void)
{
	md5(AF_INET6);
}

/* Another namespace's keys are another's. */
static void md5_elsewhere(void)
{
	listener(AF_INET);
	if (fork())
		return;
	if (unshare(CLONE_NEWNET))
		_exit(1);
	md5(AF_INET);
	pause();
}

static void program(void)
{
	struct bpf_insn code[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K }, { .code = BPF_JMP | BPF_EXIT } };
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2,
				.insns = (uintptr_t)code, .license = (uintptr_t)"GPL" };
	int pair[2], fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) ||
	    setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof(fd)))
		_exit(1);
}

static void plain(void)
{
	struct sock_filter all = { .code = BPF_RET, .k = 65535 };
	struct sock_fprog filter = { .len = 1, .filter = &all };
	int pair[2];

	listener(AF_INET);
	listener(AF_INET6);
	socket(AF_INET, SOCK_STREAM, 0);
	socket(AF_INET, SOCK_DGRAM, 0);
	socket(AF_NETLINK, SOCK_RAW, 0);
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) ||
	    setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)))
		_exit(1);
}

static const struct child children[] = {
	{ .make = plain }, { md5_inet, "MD5 keys" }, { md5_inet6, "MD5 keys" }, { .make = md5_elsewhere }, { program, "eBPF" }, { .make = plain },
};

static void finds(const struct child *child)
{
	int ready[2];
	char made = 0;
	pid_t pid;

	CHECK(!pipe(ready));
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		if (unshare(CLONE_NEWNET))
			_exit(1);
		child->make();
		/* The namespace of a child of its own. */
		usleep(100000);
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		pause();
	}
	close(ready[1]);
	CHECK(read(ready[0], &made, 1) == 1);
	unit_clear_log();
	CHECK(sockets_check(pid) == (child->refused ? -EPERM : 0));
	CHECK(!child->refused || strstr(unit_log(), child->refused));
	/* Another dump's: the next child's network may get the number of this one's. */
	sockets_forget();
	close(ready[0]);
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void unit_sockets(void)
{
	/* Needs a network namespace. */
	if (geteuid())
		return;
	CHECK(socket_of_link("socket:[17]") == 17 && !socket_of_link("pipe:[17]"));
	for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++)
		finds(&children[i]);
	CHECK(sockets_check(1 << 30) == -ENOENT);
}
