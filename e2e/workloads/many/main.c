// SPDX-License-Identifier: Apache-2.0
/*
 * many: a pair with as many queue pairs, completion queues and memory regions as it is told, which take turns.
 * Exit status: 0 everything was right, 1 something was not, 2 usage, 3 the run broke off.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../forking/exchange.h"
#include "../ledger/number.h"
#include "rounds.h"

#define MANY_PORT 18900

static struct objects objects;

static bool number(const char *text, unsigned int most, unsigned int *out)
{
	long n = 0;
	bool ok = number_parse(text, 1, most, &n);

	*out = (unsigned int)n;
	return ok;
}

static int usage(void)
{
	fprintf(stderr, "usage: many server QPS CQS REGIONS\n"
			"       many client QPS CQS REGIONS RATE SECONDS ADDRESS\n"
			"  QPS      queue pairs, 1..%d, the same on both sides\n"
			"  CQS      completion queues, 1..%d and no more than queue pairs\n"
			"  REGIONS  memory regions, 1..%d\n"
			"  RATE     rounds in a second, 1..10000\n"
			"  SECONDS  how long\n",
		MANY_QPS, MANY_CQS, MANY_REGIONS);
	return 2;
}

int main(int argc, char **argv)
{
	const bool serves = argc == 5 && !strcmp(argv[1], "server");
	struct control control = { .fd = -1 };
	struct verdict verdict = { 0 };
	struct numbers n;
	unsigned int rate = 1, seconds = 1;
	int ret;

	if (!serves && (argc != 8 || strcmp(argv[1], "client")))
		return usage();
	if (!number(argv[2], MANY_QPS, &n.qps) || !number(argv[3], MANY_CQS, &n.cqs) ||
	    !number(argv[4], MANY_REGIONS, &n.regions) || n.cqs > n.qps ||
	    (!serves && (!number(argv[5], 10000, &rate) || !number(argv[6], MAX_SECONDS, &seconds))))
		return usage();
	ret = objects_open(&objects, &n);
	if (!ret)
		ret = serves ? control_listen(&control, NULL, MANY_PORT, STALL_S) :
			       control_connect(&control, argv[7], MANY_PORT, STALL_S);
	if (!ret)
		ret = objects_connect(&objects, &control);
	if (!ret)
		ret = serves ? rounds_serve(&objects, &control, &verdict) :
			       rounds_ask(&objects, &control, rate, seconds, &verdict);
	control_close(&control);
	objects_close(&objects);
	if (ret)
		return failed("the run broke off", ret), 3;
	printf("{\"qps\":%u,\"cqs\":%u,\"regions\":%u,\"rounds\":%" PRIu64 ",\"wrong\":%" PRIu64 "}\n",
	       n.qps, n.cqs, n.regions, verdict.rounds, verdict.wrong);
	return verdict.wrong ? 1 : 0;
}
