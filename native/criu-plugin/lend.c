// SPDX-License-Identifier: GPL-2.0
/*
 * A process that has closed the context may still have its queues mapped. To
 * map them it needs a descriptor for a moment. Nothing puts one into another
 * process: it has to receive it.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lend.h"
#include "tasks.h"

#define ROOM 64		/* descriptors more than the task may have now */

/* The message as the task receives it, in its scratch memory. */
struct letter {
	struct msghdr header;
	struct iovec part;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
};

static void address(struct letter *letter, uint64_t base)
{
	letter->header.msg_iov = (void *)(uintptr_t)(base + offsetof(struct letter, part));
	letter->header.msg_iovlen = 1;
	letter->header.msg_control = (void *)(uintptr_t)(base + offsetof(struct letter, control));
	letter->header.msg_controllen = sizeof(letter->control);
	letter->part.iov_base = (void *)(uintptr_t)(base + offsetof(struct letter, byte));
	letter->part.iov_len = 1;
}

static int post(int socket, int fd)
{
	struct letter letter = {};

	address(&letter, (uintptr_t)&letter);
	letter.control.align = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
	};
	memcpy(CMSG_DATA(&letter.control.align), &fd, sizeof(fd));
	return sendmsg(socket, &letter.header, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int receive(struct inject *inject, int socket)
{
	struct letter letter = {};
	int64_t ret;
	int fd;

	address(&letter, inject->scratch);
	ret = inject_write(inject, &letter, sizeof(letter));
	if (!ret)
		ret = inject_syscall(inject, SYS_recvmsg, socket, inject->scratch,
				     MSG_CMSG_CLOEXEC | MSG_DONTWAIT, 0, 0, 0);
	if (ret < 0)
		return ret;
	ret = inject_read(inject, &letter, sizeof(letter));
	if (ret)
		return ret;
	if (letter.header.msg_controllen < CMSG_LEN(sizeof(int)) ||
	    letter.control.align.cmsg_type != SCM_RIGHTS)
		return -EMFILE;
	memcpy(&fd, CMSG_DATA(&letter.control.align), sizeof(fd));
	return fd;
}

static int through_socket(struct inject *inject, int fd)
{
	int pair[2], mine, ret;
	int64_t end;

	ret = inject_syscall(inject, SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
			     inject->scratch, 0, 0);
	if (!ret)
		ret = inject_read(inject, pair, sizeof(pair));
	if (ret)
		return ret;
	mine = task_get_fd(inject->pid, pair[1]);
	ret = mine < 0 ? mine : post(mine, fd);
	if (mine >= 0)
		close(mine);
	if (!ret)
		ret = receive(inject, pair[0]);
	for (int i = 0; i < 2; i++) {
		end = inject_syscall(inject, SYS_close, pair[i], 0, 0, 0, 0, 0);
		if (end && ret >= 0)
			ret = end;
	}
	return ret;
}

int lend_descriptor(struct inject *inject, int fd)
{
	int ret = through_socket(inject, fd), again;
	struct rlimit limit, more;

	/* The task has as many as it is allowed. */
	if (ret != -EMFILE)
		return ret;
	if (prlimit(inject->pid, RLIMIT_NOFILE, NULL, &limit))
		return -errno;
	more = limit;
	more.rlim_cur += ROOM;
	if (more.rlim_cur > more.rlim_max)
		more.rlim_max = more.rlim_cur;
	if (prlimit(inject->pid, RLIMIT_NOFILE, &more, NULL))
		return -errno;
	again = through_socket(inject, fd);
	if (prlimit(inject->pid, RLIMIT_NOFILE, &limit, NULL) && again >= 0)
		return -errno;
	return again;
}
