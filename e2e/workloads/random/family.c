// SPDX-License-Identifier: Apache-2.0
/* The child, which has this side's queues since a fork, or the descriptor of a context. */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failure.h"
#include "side.h"

/* Until the parent asks. */
static void wait_to_be_asked(int fd)
{
	char c;
	ssize_t n;

	/* A move may interrupt the call. */
	do
		n = read(fd, &c, 1);
	while (n < 0);
	if (!n)
		_exit(3);
}

static void say(int fd, char c)
{
	MUST(write(fd, &c, 1) == 1);
}

/* A child, with a socket to its parent. Return: 0 in the child. */
static pid_t start(struct side *s, int *to_parent)
{
	int ends[2];
	pid_t parent = getpid(), pid;

	MUST(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(3);
		signal(SIGUSR1, SIG_IGN);
		signal(SIGTERM, SIG_IGN);
		close(ends[0]);
		*to_parent = ends[1];
		return 0;
	}
	close(ends[1]);
	s->child = pid;
	s->to_child = ends[0];
	return pid;
}

static int take_descriptor(int from)
{
	union { char room[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
	char c;
	struct iovec part = { &c, 1 };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	int fd = -1;

	if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

static void pass_descriptor(int to, int fd)
{
	union { char room[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = { .room = { 0 } };
	char c = 'd';
	struct iovec part = { &c, 1 };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&m);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	MUST(sendmsg(to, &m, 0) == 1);
}

/* It was started before the device was opened: the descriptor is all that it has of it. */
void family_before(struct side *s)
{
	int parent;

	if (s->plan->family != FAMILY_PASSED || start(s, &parent))
		return;
	MUST(take_descriptor(parent) >= 0);
	say(parent, 'y');
	wait_to_be_asked(parent);
	_exit(0);
}

static void be_worker(struct side *s, int parent)
{
	struct memory own;
	struct ibv_mr *mr;
	uint32_t bad = 0;

	memory_make(&own, MEMORY_ANONYMOUS, DEVICE_PAGES * PAGE, s->directory, NULL, NULL);
	memset(own.at, 0x77, own.length);
	mr = ibv_reg_mr(s->pd[0], own.at, own.length, IBV_ACCESS_LOCAL_WRITE);
	MUST(mr);
	say(parent, 'y');
	wait_to_be_asked(parent);
	for (size_t i = 0; i < own.length; i++)
		bad += own.at[i] != 0x77;
	MUST(!ibv_dereg_mr(mr));
	_exit(bad ? 1 : 0);
}

/* It looks at its parent's queue pairs. */
static void be_heir(struct side *s, int parent)
{
	say(parent, 'y');
	wait_to_be_asked(parent);
	looks_check(s);
	_exit(wrong_count() ? 1 : 0);
}

void family_make(struct side *s)
{
	int parent;
	char c;

	if (s->plan->family == FAMILY_NONE)
		return;
	if (s->plan->family == FAMILY_PASSED)
		pass_descriptor(s->to_child, s->context[0]->cmd_fd);
	else if (!start(s, &parent))
		s->plan->family == FAMILY_WORKER ? be_worker(s, parent) : be_heir(s, parent);
	MUST(read(s->to_child, &c, 1) == 1 && c == 'y');
}

void family_end(struct side *s)
{
	int status;

	if (!s->child)
		return;
	say(s->to_child, 'e');
	MUST(waitpid(s->child, &status, 0) == s->child);
	EXPECT(!status, "the child has ended with %#x", status);
	close(s->to_child);
}
