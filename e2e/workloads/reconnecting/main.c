// SPDX-License-Identifier: Apache-2.0
/*
 * reconnecting: both ends open the RDMA device, exchange messages for a while, and close all; then they do it again. It is what a
 * program does that makes a connection for each piece of work.
 * Exit status: 0 every message was right, 1 some were not, 2 usage, 3 the run broke off.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../forking/client.h"
#include "../forking/exchange.h"
#include "../forking/worker.h"
#include "../ledger/number.h"

static int announce(long session)
{
	printf("session %ld\n", session);
	return fflush(stdout);
}

static int serve(long sessions)
{
	int ret = 0;

	for (long i = 1; i <= sessions && !ret; i++) {
		struct worker *w = calloc(1, sizeof(*w));

		if (!w)
			return 3;
		w->control.fd = -1;
		announce(i);
		ret = endpoint_open_device(&w->endpoint, NULL, -1) ? 3 : work(w);
		free(w);
	}
	return ret;
}

static int connect_to(const char *server, long sessions, unsigned int seconds)
{
	struct verdict verdict = { 0 };
	long done = 0;
	int ret = 0;

	while (done < sessions && !ret) {
		announce(done + 1);
		ret = exchange_with(server, 1, seconds, &verdict);
		done += !ret;
	}
	printf("{\"sessions\":%ld,\"rounds\":%" PRIu64 ",\"wrong\":%" PRIu64 "}\n", done, verdict.rounds,
	       verdict.wrong);
	return ret;
}

int main(int argc, char **argv)
{
	bool serves = argc == 3 && !strcmp(argv[1], "server");
	long sessions, seconds = 1;

	if (serves || (argc == 5 && !strcmp(argv[1], "client"))) {
		if (number_parse(argv[2], 1, 100000, &sessions) &&
		    (serves || number_parse(argv[3], 1, MAX_SECONDS, &seconds)))
			return serves ? serve(sessions) :
					connect_to(argv[4], sessions, (unsigned int)seconds);
	}
	fprintf(stderr, "usage: reconnecting server SESSIONS\n"
			"       reconnecting client SESSIONS SECONDS ADDRESS\n"
			"  SESSIONS  how many connections, the same on both sides\n"
			"  SECONDS   how long each of them is\n");
	return 2;
}
