// SPDX-License-Identifier: Apache-2.0
#include "closing.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "completions.h"
#include "failure.h"

static bool all_drained(const struct side *side)
{
	for (unsigned int i = 0; i < side->settings->streams; i++)
		if (!stream_drained(&side->streams[i]))
			return false;
	return true;
}

static bool all_complete(const struct side *side)
{
	for (unsigned int i = 0; i < side->settings->streams; i++)
		if (side->streams[i].completed != side->streams[i].posted)
			return false;
	return true;
}

static int send_totals(struct side *side)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < side->settings->streams; i++) {
		const struct stream *l = &side->streams[i];

		ret = control_send(&side->control, "total %u %" PRIu64 " %" PRIu64 " %" PRIu64, i,
				   l->round, l->message, l->adds);
	}
	return ret;
}

static int send_sum(struct side *side)
{
	const struct tally *t = &side->tally;

	return control_send(&side->control,
			    "sum %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
			    " %" PRIu64,
			    t->operations, t->lost, t->duplicated, t->corrupted, t->reordered,
			    t->longest_pause_ns);
}

/* Closes the books once both sides have sent their totals, and sends the peer the result. */
static int finish(struct side *side)
{
	int ret;

	if (side->phase != SUMMING || side->peer_streams != side->settings->streams || side->summed)
		return 0;
	/* The peer has completed all that its totals count: it is in this side's queues. */
	ret = reap_all(side);
	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < side->settings->streams; i++)
		stream_finish(&side->streams[i], &side->tally);
	side->summed = true;
	ret = send_sum(side);
	return ret ? broke("send sum", ret) : 0;
}

static int take_total(struct side *side, const char *line)
{
	struct totals t;
	unsigned int stream;

	if (sscanf(line, "total %u %" SCNu64 " %" SCNu64 " %" SCNu64, &stream, &t.rounds,
		   &t.messages, &t.adds) != 4 || stream != side->peer_streams ||
	    stream >= side->settings->streams)
		return broke("take the peer's totals", -EPROTO);
	side->streams[stream].peer_totals = t;
	side->peer_streams++;
	return finish(side);
}

static int take_sum(struct side *side, const char *line)
{
	struct tally t;

	if (sscanf(line,
		   "sum %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
		   &t.operations, &t.lost, &t.duplicated, &t.corrupted, &t.reordered,
		   &t.longest_pause_ns) != 6 || !side->summed)
		return broke("take the peer's sum", -EPROTO);
	side->result = side->tally;
	tally_merge(&side->result, &t);
	side->phase = DONE;
	return 0;
}

static int take_line(struct side *side, const char *line)
{
	uint64_t beat;

	if (sscanf(line, "beat %" SCNu64, &beat) == 1) {
		book_see(&side->beats, beat, &side->tally);
		return 0;
	}
	if (!strcmp(line, "stop")) {
		side->stop = true;
		return 0;
	}
	if (!strcmp(line, "drained")) {
		side->peer_drained = true;
		return 0;
	}
	if (!strncmp(line, "total ", 6))
		return take_total(side, line);
	if (!strncmp(line, "sum ", 4))
		return take_sum(side, line);
	fprintf(stderr, "ledger: unexpected line from the peer: %s\n", line);
	return -EPROTO;
}

int handle_control(struct side *side)
{
	char line[CONTROL_LINE];
	int ret;

	while (side->phase != DONE && (ret = control_receive(&side->control, line, 0)) != 0) {
		if (ret < 0)
			return broke("control connection", ret);
		ret = take_line(side, line);
		if (ret)
			return ret;
	}
	return 0;
}

int advance(struct side *side)
{
	const struct settings *s = side->settings;
	int ret = 0;

	if (side->phase == RUNNING &&
	    (side->stop || (s->operations && side->issued >= s->operations))) {
		side->phase = DRAINING;
		ret = control_send(&side->control, "stop");
	} else if (side->phase == DRAINING && all_drained(side)) {
		/* The peer may need acknowledgements: this side sends them until it is drained. */
		side->phase = CLOSING;
		ret = control_send(&side->control, "drained");
	} else if (side->phase == CLOSING && side->peer_drained && all_complete(side)) {
		side->phase = SUMMING;
		ret = send_totals(side);
		if (!ret)
			return finish(side);
	}
	return ret ? broke("control connection", ret) : 0;
}
