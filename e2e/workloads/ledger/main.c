// SPDX-License-Identifier: Apache-2.0
/*
 * ledger: two processes that account for every RDMA operation between them.
 * See README.md for what is checked and for the output.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "number.h"
#include "run.h"

static const char usage[] =
	"usage: ledger server [options]\n"
	"       ledger client --peer ADDRESS [options]\n"
	"  --peer ADDRESS     server to connect to\n"
	"  --bind ADDRESS     server: address to listen on (default: any)\n"
	"  --port N           TCP port of the control connection (default 18600)\n"
	"  --device NAME      RDMA device (default: the first)\n"
	"  --gid-index N      GID (default: the first IPv4 one)\n"
	"  --qps N            queue pairs, 1..64; both sides the same (default 1)\n"
	"  --size N           bytes per WRITE and READ, 64..65536 (default 4096)\n"
	"  --operations N     end after N own operations (default: at SIGTERM)\n"
	"  --rate N           own operations per second, 0 = as fast as possible (default 300)\n"
	"  --poll             poll the completion queues instead of waiting for events\n"
	"  --srq              all queue pairs share a receive queue\n"
	"  --datagrams        datagrams beside it, of a UD queue pair; both sides the same\n"
	"  --stall SECONDS    give up when nothing completes for so long (default 180)\n"
	"  --timeout CODE     local ACK timeout, 4.096 us * 2^CODE (default 14)\n"
	"  --retry-count N    0..7 (default 7)\n"
	"  --rnr-retry N      0..7 (default 7, no limit)\n"
	"  --retry-matrix N   queue pair i has rnr_retry (N + i) % 8 and retry_cnt (N + i) / 8\n"
	"  --min-rnr-timer N  code 0..31 (default 12, 0.64 ms)\n"
	"  --inject FAULT     lose, duplicate, corrupt or reorder one operation: the run must fail\n";

enum {
	OPT_PEER = 256,
	OPT_BIND,
	OPT_PORT,
	OPT_DEVICE,
	OPT_GID_INDEX,
	OPT_QPS,
	OPT_SIZE,
	OPT_OPERATIONS,
	OPT_RATE,
	OPT_POLL,
	OPT_STALL,
	OPT_TIMEOUT,
	OPT_RETRY_COUNT,
	OPT_RNR_RETRY,
	OPT_RETRY_MATRIX,
	OPT_MIN_RNR_TIMER,
	OPT_INJECT,
	OPT_EVENTS,
	OPT_SRQ,
	OPT_DATAGRAMS,
};

static const struct option options[] = {
	{ "peer", required_argument, NULL, OPT_PEER },
	{ "bind", required_argument, NULL, OPT_BIND },
	{ "port", required_argument, NULL, OPT_PORT },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "gid-index", required_argument, NULL, OPT_GID_INDEX },
	{ "qps", required_argument, NULL, OPT_QPS },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "operations", required_argument, NULL, OPT_OPERATIONS },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "poll", no_argument, NULL, OPT_POLL },
	{ "events", no_argument, NULL, OPT_EVENTS },
	{ "srq", no_argument, NULL, OPT_SRQ },
	{ "datagrams", no_argument, NULL, OPT_DATAGRAMS },
	{ "stall", required_argument, NULL, OPT_STALL },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "retry-count", required_argument, NULL, OPT_RETRY_COUNT },
	{ "rnr-retry", required_argument, NULL, OPT_RNR_RETRY },
	{ "retry-matrix", required_argument, NULL, OPT_RETRY_MATRIX },
	{ "min-rnr-timer", required_argument, NULL, OPT_MIN_RNR_TIMER },
	{ "inject", required_argument, NULL, OPT_INJECT },
	{ 0 },
};

static int bad_usage(const char *why)
{
	fprintf(stderr, "ledger: %s\n%s", why, usage);
	return 2;
}

static int bad_value(const char *option, const char *value)
{
	fprintf(stderr, "ledger: --%s cannot be %s\n%s", option, value, usage);
	return 2;
}

static bool fault(const char *text, enum inject *out)
{
	static const char *const names[] = { "none", "lose", "duplicate", "corrupt", "reorder" };

	for (int i = 0; i < 5; i++) {
		if (!strcmp(text, names[i])) {
			*out = (enum inject)i;
			return true;
		}
	}
	return false;
}

static bool take(struct settings *s, int opt, const char *arg)
{
	long n = 0;
	bool ok = true;

	switch (opt) {
	case OPT_PEER:
		s->peer = arg;
		break;
	case OPT_BIND:
		s->bind = arg;
		break;
	case OPT_DEVICE:
		s->device = arg;
		break;
	case OPT_POLL:
		s->events = false;
		break;
	case OPT_EVENTS:
		s->events = true;
		break;
	case OPT_SRQ:
		s->srq = true;
		break;
	case OPT_DATAGRAMS:
		s->datagrams = true;
		break;
	case OPT_INJECT:
		ok = fault(arg, &s->inject);
		break;
	case OPT_PORT:
		ok = number_parse(arg, 1, 65535, &n);
		s->port = (int)n;
		break;
	case OPT_GID_INDEX:
		ok = number_parse(arg, 0, 255, &n);
		s->gid_index = (int)n;
		break;
	case OPT_QPS:
		ok = number_parse(arg, 1, MAX_STREAMS, &n);
		s->streams = (unsigned int)n;
		break;
	case OPT_SIZE:
		ok = number_parse(arg, 64, 65536, &n);
		s->record_size = (size_t)n & ~7UL;
		break;
	case OPT_OPERATIONS:
		ok = number_parse(arg, 1, 1L << 50, &n);
		s->operations = (uint64_t)n;
		break;
	case OPT_RATE:
		ok = number_parse(arg, 0, 10000000, &n);
		s->rate = n;
		break;
	case OPT_STALL:
		ok = number_parse(arg, 1, MAX_SECONDS, &n);
		s->stall_seconds = (int)n;
		break;
	case OPT_TIMEOUT:
		ok = number_parse(arg, 0, 31, &n);
		s->retries.timeout = (int)n;
		break;
	case OPT_RETRY_COUNT:
		ok = number_parse(arg, 0, 7, &n);
		s->retries.retry_count = (int)n;
		break;
	case OPT_RNR_RETRY:
		ok = number_parse(arg, 0, 7, &n);
		s->retries.rnr_retry = (int)n;
		break;
	case OPT_RETRY_MATRIX:
		ok = number_parse(arg, 0, RETRY_COMBINATIONS - 1, &n);
		s->first_combination = (int)n;
		break;
	case OPT_MIN_RNR_TIMER:
		ok = number_parse(arg, 0, 31, &n);
		s->retries.min_rnr_timer = (int)n;
		break;
	default:
		ok = false;
	}
	return ok;
}

int main(int argc, char **argv)
{
	struct settings s = {
		.port = 18600,
		.gid_index = -1,
		.streams = 1,
		.record_size = 4096,
		.rate = 300,
		.events = true,
		.stall_seconds = 180,
		.first_combination = -1,
		.retries = { .timeout = 14, .retry_count = 7, .rnr_retry = 7,
			     .min_rnr_timer = 12 },
	};
	int opt, at = 0;

	if (argc < 2 || (strcmp(argv[1], "server") && strcmp(argv[1], "client")))
		return bad_usage("the first argument must be server or client");
	s.server = !strcmp(argv[1], "server");
	optind = 2;
	while ((opt = getopt_long(argc, argv, "", options, &at)) != -1) {
		if (opt == '?')
			return bad_usage("unknown option, or an option without its value");
		if (!take(&s, opt, optarg))
			return bad_value(options[at].name, optarg);
	}
	if (optind != argc)
		return bad_usage("too many arguments");
	if (s.first_combination >= 0 &&
	    s.first_combination + (int)s.streams > RETRY_COMBINATIONS)
		return bad_usage("--retry-matrix and --qps go beyond the last combination");
	if (s.server == !!s.peer)
		return bad_usage(s.server ? "a server takes no --peer" : "a client needs --peer");
	setvbuf(stdout, NULL, _IOLBF, 0);
	srandom((unsigned int)time(NULL));
	return run(&s);
}
