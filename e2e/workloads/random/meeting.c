// SPDX-License-Identifier: Apache-2.0
/*
 * The two sides meet over TCP before the traffic and after it. Between the two there is no connection, so that a
 * dump needs none of its own; the server's socket listens on.
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "failure.h"
#include "side.h"

#define MEETING_PORT 18800
#define ANSWER_MS 60000

void meeting_open(struct meeting *m, const char *peer)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(MEETING_PORT) };
	int one = 1;

	*m = (struct meeting){ .listens = -1, .peer = peer, .control.fd = -1 };
	if (peer)
		return;
	m->listens = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(m->listens >= 0);
	MUST(!setsockopt(m->listens, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	MUST(!bind(m->listens, (struct sockaddr *)&any, sizeof(any)) && !listen(m->listens, 4));
}

bool meeting_try(struct meeting *m, int within_ms)
{
	if (m->peer)
		return !control_connect(&m->control, m->peer, MEETING_PORT, within_ms / 1000 + 1);
	if (!descriptor_ready(m->listens, within_ms))
		return false;
	m->control.fd = accept4(m->listens, NULL, NULL, SOCK_CLOEXEC);
	m->control.have = 0;
	return m->control.fd >= 0;
}

void meeting_part(struct meeting *m)
{
	control_close(&m->control);
}

static void gid_to_text(const union ibv_gid *gid, char text[33])
{
	for (int i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", gid->raw[i]);
}

static bool gid_from_text(union ibv_gid *gid, const char *text)
{
	unsigned int byte;

	for (int i = 0; i < 16; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return false;
		gid->raw[i] = (uint8_t)byte;
	}
	return true;
}

static void tell(struct meeting *m, const struct side *s, const struct link *l)
{
	char gids[PATHS][33];
	struct remote own;

	link_address(s, l, &own);
	for (int i = 0; i < PATHS; i++)
		gid_to_text(&own.gid[i], gids[i]);
	MUST(!control_send(&m->control, "pair %" PRIu64 " %u %u %u %u %u %" PRIx64 " %" PRIx64 " %s %s %s",
			   s->all->seed, l->number, own.qpn, own.psn, own.arena_key, own.source_key, own.arena,
			   own.source, gids[0], gids[1], gids[2]));
}

static void hear(struct meeting *m, const struct side *s, struct link *l)
{
	char line[CONTROL_LINE], gids[PATHS][33];
	struct remote *r = &l->remote;
	unsigned int number;
	uint64_t seed;

	MUST(control_receive(&m->control, line, ANSWER_MS) == 1);
	MUST(sscanf(line, "pair %" SCNu64 " %u %u %u %u %u %" SCNx64 " %" SCNx64 " %32s %32s %32s", &seed, &number,
		    &r->qpn, &r->psn, &r->arena_key, &r->source_key, &r->arena, &r->source, gids[0], gids[1],
		    gids[2]) == 11);
	MUST(seed == s->all->seed && number == l->number);
	for (int i = 0; i < PATHS; i++)
		MUST(gid_from_text(&r->gid[i], gids[i]));
}

void meeting_exchange(struct meeting *m, struct side *s)
{
	char line[CONTROL_LINE];

	for (unsigned int i = 0; i < s->all->pairs; i++)
		tell(m, s, &s->link[i]);
	for (unsigned int i = 0; i < s->all->pairs; i++)
		hear(m, s, &s->link[i]);
	for (unsigned int i = 0; i < s->all->pairs; i++)
		link_connect(s, &s->link[i]);
	MUST(!control_send(&m->control, "ready"));
	MUST(control_receive(&m->control, line, ANSWER_MS) == 1 && !strcmp(line, "ready"));
}
