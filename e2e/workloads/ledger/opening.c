// SPDX-License-Identifier: Apache-2.0
#include "opening.h"

#include <errno.h>
#include <string.h>

#include "failure.h"

#define CONNECT_SECONDS 600

int open_all(struct side *side)
{
	const struct settings *s = side->settings;
	size_t size = arena_size(s->record_size);
	int ret;

	ret = endpoint_open_device(&side->endpoint, s->device, s->gid_index);
	if (!ret)
		ret = endpoint_set_up(&side->endpoint, s->events, (int)s->streams * STREAM_SEND_DEPTH,
				      size * s->streams);
	if (!ret && s->srq)
		ret = endpoint_share(&side->endpoint, s->streams * STREAM_RECEIVE_DEPTH);
	if (ret)
		return ret;
	for (unsigned int i = 0; i < s->streams; i++) {
		ret = stream_open(&side->streams[i], &side->endpoint, (uint16_t)i, s->record_size,
				side->endpoint.arena + size * i);
		if (ret)
			return broke("open stream", ret);
		side->streams[i].peer_index = (uint16_t)i;
		side->streams[i].inject = s->inject;
	}
	return s->datagrams ? datagrams_open(&side->datagrams, &side->endpoint) : 0;
}

/* What queue pair @i is set up with: both sides the same. */
static struct retries retries_of(const struct settings *s, unsigned int i)
{
	struct retries retries = s->retries;
	int combination = s->first_combination + (int)i;

	if (s->first_combination >= 0) {
		retries.rnr_retry = combination % 8;
		retries.retry_count = combination / 8;
	}
	return retries;
}

int connect_all(struct side *side)
{
	const struct settings *s = side->settings;
	struct retries retries;
	unsigned int streams;
	size_t size;
	char line[CONTROL_LINE];
	int ret;

	ret = s->server ? control_listen(&side->control, s->bind, s->port, CONNECT_SECONDS) :
			  control_connect(&side->control, s->peer, s->port, CONNECT_SECONDS);
	if (ret)
		return broke("connect", ret);
	ret = control_send(&side->control, "ledger 1 %u %zu", s->streams, s->record_size);
	for (unsigned int i = 0; !ret && i < s->streams; i++)
		ret = address_send(&side->control, i, &side->streams[i].own);
	if (!ret && s->datagrams)
		ret = datagrams_offer(&side->datagrams, &side->control);
	if (ret)
		return broke("send addresses", ret);
	ret = control_receive(&side->control, line, CONNECT_SECONDS * 1000);
	if (ret <= 0)
		return broke("greet", ret ? ret : -ETIMEDOUT);
	if (sscanf(line, "ledger 1 %u %zu", &streams, &size) != 2 || streams != s->streams ||
	    size != s->record_size)
		return broke("both sides need the same --qps and --size", -EPROTO);
	for (unsigned int i = 0; i < s->streams; i++) {
		ret = address_receive(&side->control, i, &side->streams[i].peer);
		if (ret)
			return broke("receive addresses", ret);
		retries = retries_of(s, i);
		ret = stream_connect(&side->streams[i], &retries);
		if (ret)
			return ret;
	}
	if (s->datagrams) {
		ret = datagrams_connect(&side->datagrams, &side->endpoint, &side->control,
					&side->streams[0].peer.gid);
		if (ret)
			return ret;
	}
	/* Neither side sends before both queue pairs can receive. */
	ret = control_send(&side->control, "ready");
	if (!ret)
		ret = control_receive(&side->control, line, 60000);
	if (ret <= 0 || strcmp(line, "ready"))
		return broke("wait for the peer's queue pairs", ret < 0 ? ret : -ETIMEDOUT);
	return 0;
}
