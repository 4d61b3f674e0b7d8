// SPDX-License-Identifier: Apache-2.0
#include "run.h"

#include <signal.h>
#include <stdlib.h>

#include "clock.h"
#include "closing.h"
#include "completions.h"
#include "opening.h"
#include "schedule.h"

static volatile sig_atomic_t asked_to_stop;

static void on_signal(int sig)
{
	(void)sig;
	asked_to_stop = 1;
}

static int work(struct side *side)
{
	int64_t now;
	int ret;

	while (side->phase != DONE) {
		now = clock_ns(CLOCK_MONOTONIC);
		ret = handle_completions(side, now);
		if (ret >= 0)
			ret = handle_time(side, now);
		if (!ret && side->settings->datagrams)
			ret = datagrams_step(&side->datagrams, clock_ns(CLOCK_REALTIME),
					     side->phase == RUNNING, &side->tally);
		if (!ret)
			ret = handle_control(side);
		if (asked_to_stop)
			side->stop = true;
		if (!ret)
			ret = advance(side);
		if (!ret)
			ret = check_progress(side, now);
		if (ret)
			return ret;
		if (side->phase != DONE)
			wait_for_work(side, now);
	}
	return 0;
}

int run(const struct settings *s)
{
	struct side side = { .settings = s, .control.fd = -1 };
	struct sigaction sa = { .sa_handler = on_signal };
	int ret;

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	side.streams = calloc(s->streams, sizeof(*side.streams));
	if (!side.streams)
		return 3;
	ret = open_all(&side);
	if (!ret)
		ret = connect_all(&side);
	if (!ret) {
		side.last_progress = clock_ns(CLOCK_MONOTONIC);
		ret = work(&side);
	}
	if (ret) {
		fprintf(stderr, "ledger: this side so far: ");
		tally_print(stderr, &side.tally);
	} else {
		tally_print(stdout, &side.result);
	}
	for (unsigned int i = 0; i < s->streams; i++)
		stream_close(&side.streams[i]);
	datagrams_close(&side.datagrams);
	endpoint_close(&side.endpoint);
	control_close(&side.control);
	free(side.streams);
	return ret ? 3 : tally_clean(&side.result) ? 0 : 1;
}
