// SPDX-License-Identifier: Apache-2.0
/*
 * forking: a server that opens the RDMA device and forks, and its client.
 * Exit status: 0 every message was right, 1 some were not, 2 usage, 3 the run broke off.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../ledger/number.h"
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
	long workers, seconds = 1;

	if (serves || (argc == 5 && !strcmp(argv[1], "client"))) {
		if (number_parse(argv[2], 1, MAX_WORKERS, &workers) &&
		    (serves || number_parse(argv[3], 1, MAX_SECONDS, &seconds)))
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
