// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>

#include "plan.h"

const char *side_word(enum side_name side)
{
	return side == SERVER ? "server" : "client";
}

const char *refused_word(enum refused refused)
{
	static const char *const words[REFUSED_KINDS] = {
		"nothing", "uc", "window", "group", "cm", "freed", "orphan",
	};

	return words[refused];
}

const char *memory_word(enum memory_kind kind)
{
	static const char *const words[MEMORY_KINDS] = {
		"anonymous", "shared", "memfd", "tmpfs", "several", "not-forked", "transparent", "huge",
		"protected", "file-private", "file-shared",
	};

	return words[kind];
}

static const char *state_word(enum idle_state state)
{
	static const char *const words[IDLE_STATES] = { "RESET", "INIT", "RTR", "RTS", "SQD", "ERR" };

	return words[state];
}

static const char *family_word(enum family family)
{
	static const char *const words[FAMILIES] = { "none", "inherits", "worker", "passed" };

	return words[family];
}

static const char *transport_word(enum transport transport)
{
	return transport == TRANSPORT_RC ? "RC" : "UD";
}

static const char *path_word(enum path path)
{
	static const char *const words[PATHS] = { "", " over link-local addresses", " over IPv6" };

	return words[path];
}

void plan_print(FILE *out, const struct plan *p, enum side_name side)
{
	const struct plan_side *s = &p->side[side];

	fprintf(out,
		"plan {\"seed\":%" PRIu64 ",\"side\":\"%s\",\"moves\":\"%s\",\"momentMs\":%u,\"refused\":\"%s\","
		"\"family\":\"%s\",\"contexts\":%u,\"pairs\":%u,\"idle\":%u,\"srqs\":%u,\"regions\":%u}\n",
		p->seed, side_word(side), side_word(p->moves), p->moment_ms, refused_word(s->refused),
		family_word(s->family), s->contexts, p->pairs, s->idles, s->srqs, s->regions);
}

static void describe_queues(FILE *out, const struct plan_side *s)
{
	static const char *const armed[] = { "", ", armed", ", armed for solicited ones" };

	for (unsigned int i = 0; i < s->cqs; i++)
		fprintf(out, "  CQ %u: context %d, %u entries%s%s%s%s, resized %u\n", i, s->cq[i].context,
			s->cq[i].entries, s->cq[i].quiet ? ", quiet" : "", s->cq[i].events ? ", channel" : "",
			armed[s->cq[i].armed], s->cq[i].extended ? ", extended" : "", s->cq[i].resized);
	for (unsigned int i = 0; i < s->srqs; i++)
		fprintf(out, "  SRQ %u: PD %d, %u entries%s, posted %u, limit %u, resized %u, memory %s\n", i,
			s->srq[i].pd, s->srq[i].entries, s->srq[i].quiet ? ", quiet" : "", s->srq[i].posted,
			s->srq[i].limit, s->srq[i].resized, memory_word(s->srq[i].memory));
	for (unsigned int i = 0; i < s->idles; i++)
		fprintf(out, "  idle %u: %s in %s, PD %d, CQs %d and %d, SRQ %d, posted %u of %u%s\n", i,
			transport_word(s->idle[i].transport), state_word(s->idle[i].state), s->idle[i].pd,
			s->idle[i].send_cq, s->idle[i].receive_cq, s->idle[i].srq, s->idle[i].posted,
			s->idle[i].receives, s->idle[i].reads_event ? ", reads its event" : "");
}

static void describe_side(FILE *out, const struct plan *p, enum side_name side)
{
	const struct plan_side *s = &p->side[side];

	fprintf(out, "%s: %u contexts, family %s%s, refused: %s\n", side_word(side), s->contexts,
		family_word(s->family), s->fork_safe ? ", ibv_fork_init()" : "", refused_word(s->refused));
	for (unsigned int i = 0; i < s->pds; i++)
		fprintf(out, "  PD %u: context %d\n", i, s->pd[i].context);
	describe_queues(out, s);
	for (unsigned int i = 0; i < s->regions; i++)
		fprintf(out, "  region %u: PD %d, %s, %u bytes from %u\n", i, s->region[i].pd,
			memory_word(s->region[i].memory), s->region[i].length, s->region[i].offset);
	for (unsigned int i = 0; i < p->pairs; i++) {
		const struct plan_end *e = &p->pair[i].end[side];

		fprintf(out, "  pair %u: %s%s%s, PD %d, CQs %d and %d, SRQ %d, window %u, receives %u, %u at once, memory %s, %s, %s\n",
			i, transport_word(p->pair[i].transport), path_word(p->pair[i].path),
			e->extended ? ", extended" : "", e->pd,
			e->send_cq, e->receive_cq, e->srq, e->window, e->receives, e->burst,
			memory_word(e->arena), memory_word(e->source), memory_word(e->inbox));
	}
}

void plan_describe(FILE *out, const struct plan *p)
{
	fprintf(out, "seed %" PRIu64 ": %s moves after %u ms\n", p->seed, side_word(p->moves), p->moment_ms);
	for (int side = 0; side < SIDES; side++)
		describe_side(out, p, (enum side_name)side);
}
