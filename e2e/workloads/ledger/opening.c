// SPDX-License-Identifier: Apache-2.0
#include "side.h"

#include <errno.h>
#include <string.h>

#define CONNECT_SECONDS 600

int open_all(struct run *r)
{
	const struct settings *s = r->s;
	size_t size = lane_size(s->record_size);
	int ret;

	ret = endpoint_open(&r->endpoint, s->device, s->gid_index, s->events,
			    (int)s->lanes * LANE_SEND_DEPTH, size * s->lanes);
	if (ret)
		return ret;
	for (unsigned int i = 0; i < s->lanes; i++) {
		ret = lane_open(&r->lanes[i], &r->endpoint, (uint16_t)i, s->record_size,
				r->endpoint.arena + size * i);
		if (ret)
			return broke("open lane", ret);
		r->lanes[i].peer_index = (uint16_t)i;
		r->lanes[i].inject = s->inject;
	}
	return 0;
}

int connect_all(struct run *r)
{
	const struct settings *s = r->s;
	unsigned int lanes;
	size_t size;
	char line[CONTROL_LINE];
	int ret;

	ret = s->server ? control_listen(&r->control, s->bind, s->port, CONNECT_SECONDS) :
			  control_connect(&r->control, s->peer, s->port, CONNECT_SECONDS);
	if (ret)
		return broke("connect", ret);
	ret = control_send(&r->control, "ledger 1 %u %zu", s->lanes, s->record_size);
	for (unsigned int i = 0; !ret && i < s->lanes; i++)
		ret = address_send(&r->control, i, &r->lanes[i].own);
	if (ret)
		return broke("send addresses", ret);
	ret = control_receive(&r->control, line, CONNECT_SECONDS * 1000);
	if (ret <= 0)
		return broke("greet", ret ? ret : -ETIMEDOUT);
	if (sscanf(line, "ledger 1 %u %zu", &lanes, &size) != 2 || lanes != s->lanes ||
	    size != s->record_size)
		return broke("both sides need the same --qps and --size", -EPROTO);
	for (unsigned int i = 0; i < s->lanes; i++) {
		ret = address_receive(&r->control, i, &r->lanes[i].peer);
		if (ret)
			return broke("receive addresses", ret);
		ret = lane_connect(&r->lanes[i], &s->retries);
		if (ret)
			return ret;
	}
	/* Nobody sends before both ends are ready to receive. */
	ret = control_send(&r->control, "ready");
	if (!ret)
		ret = control_receive(&r->control, line, 60000);
	if (ret <= 0 || strcmp(line, "ready"))
		return broke("wait for the peer's queue pairs", ret < 0 ? ret : -ETIMEDOUT);
	return 0;
}
