// SPDX-License-Identifier: Apache-2.0
#include "side.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static bool all_drained(const struct run *r)
{
	for (unsigned int i = 0; i < r->s->lanes; i++)
		if (!lane_drained(&r->lanes[i]))
			return false;
	return true;
}

static bool all_complete(const struct run *r)
{
	for (unsigned int i = 0; i < r->s->lanes; i++)
		if (r->lanes[i].completed != r->lanes[i].posted)
			return false;
	return true;
}

static int send_totals(struct run *r)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < r->s->lanes; i++) {
		const struct lane *l = &r->lanes[i];

		ret = control_send(&r->control, "total %u %" PRIu64 " %" PRIu64 " %" PRIu64, i,
				   l->round, l->message, l->adds);
	}
	return ret;
}

static int send_sum(struct run *r)
{
	const struct tally *t = &r->tally;

	return control_send(&r->control,
			    "sum %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
			    " %" PRIu64,
			    t->operations, t->lost, t->duplicated, t->corrupted, t->reordered,
			    t->longest_pause_ns);
}

/* Closes the books, once both sides have told their totals, and tells the peer what was found. */
static int finish(struct run *r)
{
	int ret;

	if (r->phase != SUMMING || r->peer_lanes != r->s->lanes || r->summed)
		return 0;
	/* What the peer's totals speak of has been completed, so it is in our queues. */
	ret = reap_all(r);
	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < r->s->lanes; i++)
		lane_finish(&r->lanes[i], &r->tally);
	r->summed = true;
	ret = send_sum(r);
	return ret ? broke("send sum", ret) : 0;
}

static int take_total(struct run *r, const char *line)
{
	struct totals t;
	unsigned int lane;

	if (sscanf(line, "total %u %" SCNu64 " %" SCNu64 " %" SCNu64, &lane, &t.rounds,
		   &t.messages, &t.adds) != 4 || lane != r->peer_lanes || lane >= r->s->lanes)
		return broke("peer's totals", -EPROTO);
	r->lanes[lane].peer_totals = t;
	r->peer_lanes++;
	return finish(r);
}

static int take_sum(struct run *r, const char *line)
{
	struct tally t;

	if (sscanf(line, "sum %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
		   &t.operations, &t.lost, &t.duplicated, &t.corrupted, &t.reordered,
		   &t.longest_pause_ns) != 6 || !r->summed)
		return broke("peer's sum", -EPROTO);
	r->result = r->tally;
	tally_merge(&r->result, &t);
	r->phase = DONE;
	return 0;
}

static int take_line(struct run *r, const char *line)
{
	uint64_t beat;

	if (sscanf(line, "beat %" SCNu64, &beat) == 1) {
		book_see(&r->beats, beat, &r->tally);
		return 0;
	}
	if (!strcmp(line, "stop")) {
		r->stop = true;
		return 0;
	}
	if (!strcmp(line, "drained")) {
		r->peer_drained = true;
		return 0;
	}
	if (!strncmp(line, "total ", 6))
		return take_total(r, line);
	if (!strncmp(line, "sum ", 4))
		return take_sum(r, line);
	return broke(line, -EPROTO);
}

int handle_control(struct run *r)
{
	char line[CONTROL_LINE];
	int ret;

	while (r->phase != DONE && (ret = control_receive(&r->control, line, 0)) != 0) {
		if (ret < 0)
			return broke("control connection", ret);
		ret = take_line(r, line);
		if (ret)
			return ret;
	}
	return 0;
}

int advance(struct run *r)
{
	int ret = 0;

	if (r->phase == RUNNING &&
	    (r->stop || (r->s->operations && r->issued >= r->s->operations))) {
		r->phase = DRAINING;
		ret = control_send(&r->control, "stop");
	} else if (r->phase == DRAINING && all_drained(r)) {
		/* The peer may still need acknowledgements: they are sent until it is drained. */
		r->phase = CLOSING;
		ret = control_send(&r->control, "drained");
	} else if (r->phase == CLOSING && r->peer_drained && all_complete(r)) {
		r->phase = SUMMING;
		ret = send_totals(r);
		if (!ret)
			return finish(r);
	}
	return ret ? broke("control connection", ret) : 0;
}
