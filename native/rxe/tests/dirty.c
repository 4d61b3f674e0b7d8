// SPDX-License-Identifier: GPL-2.0
#include "dirty.h"

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "expect.h"

#define PIPES		4
#define PIPE_BYTES	(1 << 20)
#define OBJECTS		64	/* of each size */

/* Pages, of which new objects are made. */
static void dirty_pages(unsigned char byte)
{
	unsigned char *bytes = malloc(PIPE_BYTES);
	int ends[PIPES][2], i;

	if (!bytes)
		err(1, "malloc");
	memset(bytes, byte, PIPE_BYTES);
	for (i = 0; i < PIPES; i++)
		if (pipe(ends[i]) ||
		    fcntl(ends[i][1], F_SETPIPE_SZ, PIPE_BYTES) < PIPE_BYTES ||
		    write(ends[i][1], bytes, PIPE_BYTES) != PIPE_BYTES)
			err(1, "pipe");
	for (i = 0; i < PIPES; i++) {
		close(ends[i][0]);
		close(ends[i][1]);
	}
	free(bytes);
}

/* The kernel has a copy of a control message, of that size, while it sends. */
static void dirty_objects(unsigned char byte, size_t size)
{
	union {
		struct cmsghdr header;
		unsigned char bytes[256];
	} control;
	struct msghdr msg = { .msg_control = &control, .msg_controllen = size };
	int ends[2], i;

	memset(control.bytes, byte, size);
	control.header = (struct cmsghdr){ .cmsg_len = size, .cmsg_level = SOL_SOCKET + 1 };
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends))
		err(1, "socketpair");
	for (i = 0; i < OBJECTS; i++)
		if (sendmsg(ends[0], &msg, 0) < 0 || recv(ends[1], NULL, 0, 0) < 0)
			err(1, "sendmsg");
	close(ends[0]);
	close(ends[1]);
}

void dirty_kernel_memory(unsigned char byte)
{
	/* kmalloc()'s */
	static const size_t sizes[] = { 64, 96, 128, 192, 256 };
	unsigned int i;

	dirty_pages(byte);
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		dirty_objects(byte, sizes[i]);
}
