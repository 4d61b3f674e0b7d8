// SPDX-License-Identifier: Apache-2.0
/*
 * forking: a server that opens the RDMA device and forks, and its client.
 * Exit status: 0 every message was right, 1 some were not, 2 usage, 3 the run broke off.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "exchange.h"
#include "server.h"

static int ask(const char *server, unsigned int workers, unsigned int seconds)
{
	struct verdict verdict = { 0 };
	int ret = exchange_with(server, workers, seconds, &verdict);

	/* A run that broke off has none. */
	if (ret != 3)
		printf("{\"workers\":%u,\"rounds\":%" PRIu64 ",\"wrong\":%" PRIu64 "}\n", workers,
		       verdict.rounds, verdict.wrong);
	return ret;
}

int main(int argc, char **argv)
{
	bool serves = argc == 3 && !strcmp(argv[1], "server");
	unsigned long workers, seconds;

	if (serves || (argc == 5 && !strcmp(argv[1], "client"))) {
		workers = strtoul(argv[2], NULL, 10);
		seconds = serves ? 1 : strtoul(argv[3], NULL, 10);
		if (workers && workers <= MAX_WORKERS && seconds && seconds <= 86400)
			return serves ? serve_forking((unsigned int)workers) :
					ask(argv[4], (unsigned int)workers, (unsigned int)seconds);
	}
	fprintf(stderr,
		"usage: forking server WORKERS\n"
		"       forking client WORKERS SECONDS ADDRESS\n"
		"  WORKERS  1..%d, the same on both sides\n",
		MAX_WORKERS);
	return 2;
}
