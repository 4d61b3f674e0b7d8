// SPDX-License-Identifier: Apache-2.0
#include "runc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUNC		"/opt/sealift/bin/runc"

const char *runc_path(void)
{
	const char *named = getenv("SEALIFT_RUNC");

	return named && *named ? named : RUNC;
}

int runc_become(char **argv)
{
	const char *runc = runc_path();

	argv[0] = (char *)runc;
	execv(runc, argv);
	fprintf(stderr, "sealift-runc: cannot run %s: %s\n", runc, strerror(errno));
	return 1;
}
