// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <string.h>

#include "dice.h"

static enum memory_kind writable(struct dice *d)
{
	return (enum memory_kind)dice_any(d, MEMORY_WRITABLE);
}

static enum memory_kind any_memory(struct dice *d)
{
	return (enum memory_kind)dice_any(d, MEMORY_KINDS);
}

static int context_of(const struct plan_side *s, int pd)
{
	return s->pd[pd].context;
}

static void make_pds(struct plan_side *s, struct dice *d)
{
	s->contexts = dice_between(d, 1, MAX_CONTEXTS);
	for (unsigned int i = 0; i < s->contexts; i++)
		for (uint32_t n = dice_between(d, 1, MAX_PDS / MAX_CONTEXTS); n; n--)
			s->pd[s->pds++] = (struct plan_pd){ (int)i, dice_once_in(d, 3) };
}

static int add_cq(struct plan_side *s, struct dice *d, int context, bool quiet)
{
	struct plan_cq *cq = &s->cq[s->cqs];

	cq->context = context;
	cq->quiet = quiet;
	cq->events = dice_once_in(d, 2);
	cq->armed = cq->events ? (enum armed)dice_any(d, 3) : ARMED_NOT;
	cq->entries = dice_between(d, 1, 20);
	cq->acknowledged_by = dice_between(d, 1, 9);
	cq->gap = dice_once_in(d, 3);
	return (int)s->cqs++;
}

/* One of this context, or another. */
static int some_cq(struct plan_side *s, struct dice *d, int context, bool quiet)
{
	int found = NONE;

	for (unsigned int i = 0; i < s->cqs; i++)
		if (s->cq[i].context == context && s->cq[i].quiet == quiet &&
		    (found == NONE || dice_once_in(d, 2)))
			found = (int)i;
	/* Each context may want one of either sort. */
	if (found == NONE || (s->cqs < MAX_CQS - 2 * MAX_CONTEXTS && dice_once_in(d, 2)))
		return add_cq(s, d, context, quiet);
	return found;
}

static int add_srq(struct plan_side *s, struct dice *d, int pd, bool quiet)
{
	struct plan_srq *srq = &s->srq[s->srqs];

	srq->pd = pd;
	srq->quiet = quiet;
	srq->entries = dice_between(d, 4, MAX_RECEIVES - 1);
	srq->sges = dice_between(d, 1, 3);
	srq->posted = quiet ? dice_any(d, srq->entries / 2) : 0;
	/* Of one in use the limit would be reached, and be an event. */
	srq->limit = quiet && dice_once_in(d, 2) ? dice_between(d, 1, srq->entries / 2) : 0;
	srq->resized = dice_once_in(d, 3) ? srq->entries + dice_between(d, 1, 100) : 0;
	srq->memory = writable(d);
	return (int)s->srqs++;
}

static int some_srq(struct plan_side *s, struct dice *d, int pd)
{
	for (unsigned int i = 0; i < s->srqs; i++)
		if (s->srq[i].pd == pd && !s->srq[i].quiet)
			return (int)i;
	return s->srqs < MAX_SRQS ? add_srq(s, d, pd, false) : NONE;
}

static void make_end(struct plan_side *s, struct dice *d, struct plan_end *e, enum transport transport)
{
	int context;

	e->pd = (int)dice_any(d, s->pds);
	context = context_of(s, e->pd);
	e->send_cq = some_cq(s, d, context, false);
	e->receive_cq = some_cq(s, d, context, false);
	e->srq = transport == TRANSPORT_RC && dice_once_in(d, 3) ? some_srq(s, d, e->pd) : NONE;
	e->window = dice_between(d, 4, MAX_WINDOW);
	e->receives = dice_between(d, 1, MAX_RECEIVES);
	e->sges = dice_between(d, 1, 4);
	e->inline_bytes = dice_once_in(d, 3) ? 0 : dice_any(d, 128);
	e->signals_all = dice_once_in(d, 2);
	e->arena = writable(d);
	e->source = any_memory(d);
	e->inbox = writable(d);
	e->burst = dice_between(d, 1, e->window);
	e->pause_ms = dice_once_in(d, 3) ? 0 : dice_any(d, 300);
	/* PSNs have 24 bits, and wrap around soon. */
	e->first_psn = dice_once_in(d, 2) ? dice_any(d, 1u << 24) : (1u << 24) - 1 - dice_any(d, 3000);
	e->rnr_timer = dice_between(d, 1, 16);
	/* 1.07 s at least: a busy emulated node answers late. */
	e->timeout = dice_between(d, 18, 20);
	e->reads = 1u << dice_any(d, 4);
	e->traffic_class = dice_any(d, 256) & ~3u;
	e->hop_limit = dice_between(d, 1, 255);
}

static void make_pairs(struct plan *p, struct dice *d)
{
	p->pairs = dice_between(d, 1, MAX_PAIRS);
	for (unsigned int i = 0; i < p->pairs; i++) {
		struct plan_pair *pair = &p->pair[i];

		/* The first one says in the end that it is the end. */
		pair->transport = i && dice_once_in(d, 4) ? TRANSPORT_UD : TRANSPORT_RC;
		pair->path = dice_once_in(d, 5) ? PATH_LINK_LOCAL : PATH_FABRIC;
		pair->mtu = dice_between(d, 1, 3);
		for (int side = 0; side < SIDES; side++)
			make_end(&p->side[side], d, &pair->end[side], pair->transport);
	}
}

static enum idle_state state_of(struct dice *d, const struct plan_idle *q)
{
	enum idle_state state = (enum idle_state)dice_any(d, IDLE_STATES);

	if (state == IDLE_SQD && (q->transport == TRANSPORT_UD || q->srq != NONE))
		return IDLE_RTS;
	return state;
}

static void make_idles(struct plan_side *s, struct dice *d)
{
	for (uint32_t n = dice_any(d, MAX_IDLES + 1); n; n--) {
		struct plan_idle *q = &s->idle[s->idles];

		q->transport = dice_once_in(d, 3) ? TRANSPORT_UD : TRANSPORT_RC;
		q->pd = (int)dice_any(d, s->pds);
		q->send_cq = some_cq(s, d, context_of(s, q->pd), true);
		q->receive_cq = some_cq(s, d, context_of(s, q->pd), true);
		q->srq = NONE;
		if (q->transport == TRANSPORT_RC && s->srqs < MAX_SRQS && dice_once_in(d, 4))
			q->srq = add_srq(s, d, q->pd, true);
		q->state = state_of(d, q);
		/* What is flushed would be the shared queue's. */
		if (q->srq != NONE && q->state == IDLE_ERR)
			q->state = IDLE_INIT;
		q->sends = dice_between(d, 1, 40);
		q->receives = q->srq == NONE ? dice_between(d, 1, 40) : 0;
		q->sges = dice_between(d, 1, 5);
		q->inline_bytes = dice_any(d, 200);
		q->posted = q->state == IDLE_RESET ? 0 : dice_any(d, q->receives + 1);
		q->signals_all = dice_once_in(d, 2);
		q->reads_event = dice_once_in(d, 2);
		q->gap = dice_once_in(d, 4);
		s->idles++;
	}
}

static void make_regions(struct plan_side *s, struct dice *d)
{
	s->regions = dice_any(d, MAX_REGIONS + 1);
	for (unsigned int i = 0; i < s->regions; i++) {
		struct plan_region *r = &s->region[i];

		r->pd = (int)dice_any(d, s->pds);
		r->memory = any_memory(d);
		r->offset = dice_once_in(d, 2) ? 0 : dice_any(d, 2 * PAGE);
		r->length = dice_between(d, 300, DEVICE_PAGES * PAGE - r->offset);
		r->remote_reads = dice_once_in(d, 2);
		r->gap = dice_once_in(d, 3);
	}
}

static void make_handles(struct plan_side *s, struct dice *d)
{
	s->handles = dice_any(d, MAX_HANDLES + 1);
	for (unsigned int i = 0; i < s->handles; i++)
		s->handle[i] = (struct plan_handle){ (int)dice_any(d, s->pds), dice_once_in(d, 3) };
}

static uint32_t receives_of(const struct plan_side *s, const struct plan_end *e)
{
	return e->srq == NONE ? e->receives : s->srq[e->srq].entries;
}

/* No completion queue may overflow. */
static void size_cqs(struct plan *p, enum side_name side, struct dice *d)
{
	struct plan_side *s = &p->side[side];

	for (unsigned int i = 0; i < p->pairs; i++) {
		const struct plan_end *e = &p->pair[i].end[side];

		s->cq[e->send_cq].entries += e->window;
		s->cq[e->receive_cq].entries += receives_of(s, e);
	}
	for (unsigned int i = 0; i < s->idles; i++) {
		s->cq[s->idle[i].send_cq].entries += s->idle[i].sends;
		s->cq[s->idle[i].receive_cq].entries += s->idle[i].receives;
	}
	for (unsigned int i = 0; i < s->cqs; i++)
		if (dice_once_in(d, 4))
			s->cq[i].resized = s->cq[i].entries + dice_between(d, 1, 200);
}

/* The interfaces of verbs, and whether datagrams come from a shared queue. */
static void choose_interfaces(struct plan *p, enum side_name side, struct dice *d)
{
	struct plan_side *s = &p->side[side];

	for (unsigned int i = 0; i < p->pairs; i++) {
		struct plan_end *e = &p->pair[i].end[side];

		e->extended = dice_once_in(d, 3);
		if (p->pair[i].transport == TRANSPORT_UD && dice_once_in(d, 2))
			e->srq = some_srq(s, d, e->pd);
	}
	for (unsigned int i = 0; i < s->cqs; i++)
		s->cq[i].extended = dice_once_in(d, 3);
}

void plan_make(struct plan *p, uint64_t seed)
{
	struct dice d = { dice_mix(seed, 0, 0) }, interfaces = { dice_mix(seed, 1, 0) };

	memset(p, 0, sizeof(*p));
	p->seed = seed;
	p->moves = (enum side_name)dice_any(&d, SIDES);
	p->moment_ms = dice_any(&d, 4000);
	for (int side = 0; side < SIDES; side++)
		make_pds(&p->side[side], &d);
	make_pairs(p, &d);
	for (unsigned int i = 0; i < p->pairs; i++)
		if (p->pair[i].path == PATH_FABRIC && dice_once_in(&interfaces, 5))
			p->pair[i].path = PATH_IPV6;
	for (int side = 0; side < SIDES; side++) {
		struct plan_side *s = &p->side[side];

		make_idles(s, &d);
		make_regions(s, &d);
		make_handles(s, &d);
		choose_interfaces(p, (enum side_name)side, &interfaces);
		size_cqs(p, (enum side_name)side, &d);
		s->family = dice_once_in(&d, 2) ? FAMILY_NONE : (enum family)dice_any(&d, FAMILIES);
		s->fork_safe = dice_once_in(&d, 3);
	}
	if (dice_once_in(&d, 2))
		p->side[p->moves].refused = (enum refused)dice_between(&d, 1, REFUSED_KINDS - 1);
}
