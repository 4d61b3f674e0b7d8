// SPDX-License-Identifier: GPL-2.0
/*
 * Hold or resume a device, ask what it does, or adopt its file for oneself.
 * usage: hold DEVICE query|resume|adopt|hold|hold-but-ud [TIMER [TIMEOUT_MS]]
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#include "method.h"

static int open_fd(const char *name)
{
	struct ibv_device **d = ibv_get_device_list(NULL);
	struct ibv_context *ctx;

	for (; d && *d; d++) {
		if (strcmp(ibv_get_device_name(*d), name))
			continue;
		ctx = ibv_open_device(*d);
		if (ctx)
			return ctx->cmd_fd;
	}
	errx(1, "%s: no such device", name);
}

int main(int argc, char **argv)
{
	struct sealift_rxe_query q;
	int fd, ret;

	if (argc < 3)
		errx(2,
		     "usage: %s DEVICE query|resume|adopt|hold|hold-but-ud [TIMER [TIMEOUT_MS]]",
		     argv[0]);
	fd = open_fd(argv[1]);

	if (!strncmp(argv[2], "hold", 4)) {
		ret = sl_hold_with(fd, argc > 3 ? atoi(argv[3]) : 20,
				   argc > 4 ? atoi(argv[4]) : 5000,
				   strcmp(argv[2], "hold-but-ud") ? 0 :
				   SEALIFT_RXE_HOLD_RECEIVE_UD);
	} else if (!strcmp(argv[2], "resume")) {
		ret = sl_resume(fd);
	} else if (!strcmp(argv[2], "adopt")) {
		ret = sl_adopt_tid(fd, getpid());
	} else {
		ret = sl_query(fd, &q);
		if (!ret)
			printf("abi=rxe-%u held=%u flags=%#x timer=%u qp=%u cq=%u mr=%u\n",
			       q.abi_version, q.held, q.hold_flags,
			       q.rnr_timer, q.num_qp, q.num_cq, q.num_mr);
	}
	if (ret) {
		errno = -ret;
		err(1, "%s", argv[2]);
	}
	return 0;
}
