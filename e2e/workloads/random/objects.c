// SPDX-License-Identifier: Apache-2.0
/* Contexts, PDs, completion queues, shared receive queues, regions, address handles: made by the plan, and taken apart. */
#include <string.h>

#include "failure.h"
#include "side.h"

static struct ibv_context *open_device(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;

	MUST(list);
	for (struct ibv_device **d = list; *d && !context; d++)
		if (!name || !strcmp(ibv_get_device_name(*d), name))
			context = ibv_open_device(*d);
	ibv_free_device_list(list);
	return context;
}

/* Of which path a GID is; PATH_FABRIC: an IPv4 address. */
static enum path path_of(const union ibv_gid *gid)
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff }, link_local[2] = { 0xfe, 0x80 };

	if (!memcmp(gid->raw, mapped, sizeof(mapped)))
		return PATH_FABRIC;
	return memcmp(gid->raw, link_local, sizeof(link_local)) ? PATH_IPV6 : PATH_LINK_LOCAL;
}

static void find_gids(struct side *s)
{
	static const union ibv_gid none;

	for (int i = 0; i < PATHS; i++)
		s->gid_index[i] = NONE;
	for (int i = 0; i < GIDS; i++) {
		enum path path;

		if (ibv_query_gid(s->context[0], PORT, i, &s->gid[i]))
			memset(&s->gid[i], 0, sizeof(s->gid[i]));
		path = path_of(&s->gid[i]);
		if (s->gid_index[path] == NONE && memcmp(&s->gid[i], &none, sizeof(none)))
			s->gid_index[path] = i;
	}
	/* A fabric without IPv4, or without any address but those that interfaces give themselves. */
	if (s->gid_index[PATH_FABRIC] == NONE)
		s->gid_index[PATH_FABRIC] = s->gid_index[PATH_IPV6];
	if (s->gid_index[PATH_FABRIC] == NONE)
		s->gid_index[PATH_FABRIC] = s->gid_index[PATH_LINK_LOCAL];
	MUST(s->gid_index[PATH_FABRIC] != NONE);
}

void side_open(struct side *s, const char *device)
{
	for (unsigned int i = 0; i < s->plan->contexts; i++) {
		MUST((s->context[i] = open_device(device)));
		MUST((s->channel[i] = ibv_create_comp_channel(s->context[i])));
	}
	find_gids(s);
}

static void make_srq(struct side *s, unsigned int i)
{
	const struct plan_srq *plan = &s->plan->srq[i];
	struct ibv_srq_init_attr init = { .srq_context = s,
					  .attr = { .max_wr = plan->entries, .max_sge = plan->sges } };
	struct ibv_srq_attr attr = { .max_wr = plan->resized, .srq_limit = plan->limit };

	s->srq[i] = ibv_create_srq(s->pd[plan->pd], &init);
	MUST(s->srq[i]);
	if (plan->resized)
		MUST(!ibv_modify_srq(s->srq[i], &attr, IBV_SRQ_MAX_WR));
	inbox_make(&s->inbox[i], plan->memory, plan->entries, plan->sges, s->pd[plan->pd], s->directory);
	s->inbox[i].srq = s->srq[i];
	if (!plan->quiet)
		inbox_post_all(&s->inbox[i]);
	for (uint32_t n = 0; n < plan->posted; n++)
		inbox_post(&s->inbox[i], n);
	if (plan->limit)
		MUST(!ibv_modify_srq(s->srq[i], &attr, IBV_SRQ_LIMIT));
}

struct region_of {
	const struct side *side;
	int number;
	uint32_t offset;
};

static uint8_t region_content(const void *of, uint32_t i)
{
	const struct region_of *r = of;

	return region_byte(r->side->all, r->side->name, r->number, i - r->offset);
}

static void make_region(struct side *s, unsigned int i)
{
	const struct plan_region *plan = &s->plan->region[i];
	struct region_of of = { s, (int)i, plan->offset };
	struct region *r = &s->region[i];
	struct ibv_pd *pd = s->pd[plan->pd];
	struct ibv_mr *gap = plan->gap ? ibv_reg_mr(pd, s->inbox, 64, 0) : NULL;
	int access = plan->remote_reads ? IBV_ACCESS_REMOTE_READ : 0;

	MUST(!plan->gap || gap);
	memory_make(&r->memory, plan->memory, DEVICE_PAGES * PAGE, s->directory, region_content, &of);
	if (plan->memory < MEMORY_WRITABLE)
		access |= IBV_ACCESS_LOCAL_WRITE;
	r->mr = ibv_reg_mr(pd, r->memory.at + plan->offset, plan->length, access);
	MUST(r->mr);
	r->key = r->mr->rkey;
	MUST(!gap || !ibv_dereg_mr(gap));
}

static void make_handle(struct side *s, unsigned int i)
{
	struct ibv_ah_attr attr = {
		.grh = { .dgid = s->gid[s->gid_index[PATH_FABRIC]], .hop_limit = 4,
			 .sgid_index = (uint8_t)s->gid_index[PATH_FABRIC] },
		.is_global = 1,
		.port_num = PORT,
	};

	s->handle[i] = ibv_create_ah(s->pd[s->plan->handle[i].pd], &attr);
	MUST(s->handle[i]);
}

/* Gaps between the handles that stay. */
static void destroy_some_handles(struct side *s)
{
	for (unsigned int i = 0; i < s->plan->handles; i++) {
		if (!s->plan->handle[i].destroyed)
			continue;
		MUST(!ibv_destroy_ah(s->handle[i]));
		s->handle[i] = NULL;
	}
}

void side_make(struct side *s)
{
	for (unsigned int i = 0; i < s->plan->pds; i++) {
		struct ibv_context *context = s->context[s->plan->pd[i].context];
		struct ibv_pd *gap = s->plan->pd[i].gap ? ibv_alloc_pd(context) : NULL;

		MUST((s->pd[i] = ibv_alloc_pd(context)));
		MUST(!gap || !ibv_dealloc_pd(gap));
	}
	for (unsigned int i = 0; i < s->plan->cqs; i++) {
		int context = s->plan->cq[i].context;

		queue_make(&s->queue[i], &s->plan->cq[i], s->context[context], s->channel[context]);
	}
	for (unsigned int i = 0; i < s->plan->srqs; i++)
		make_srq(s, i);
	for (unsigned int i = 0; i < s->plan->regions; i++)
		make_region(s, i);
	for (unsigned int i = 0; i < s->plan->handles; i++)
		make_handle(s, i);
	for (unsigned int i = 0; i < s->all->pairs; i++)
		link_make(s, i);
	destroy_some_handles(s);
}

static void check_region(struct side *s, unsigned int i)
{
	const struct plan_region *plan = &s->plan->region[i];
	struct region *r = &s->region[i];
	uint32_t bad = 0;

	for (uint32_t n = 0; n < plan->length; n++)
		bad += r->memory.at[plan->offset + n] != region_byte(s->all, s->name, (int)i, n);
	EXPECT(!bad, "region %u over %s: %u bytes have changed", i, memory_word(plan->memory), bad);
	EXPECT(r->mr->rkey == r->key, "region %u has another key", i);
	MUST(!ibv_dereg_mr(r->mr));
	memory_free(&r->memory);
}

/* A quiet one takes as many requests as it has room for. */
static void check_srq(struct side *s, unsigned int i)
{
	const struct plan_srq *plan = &s->plan->srq[i];
	struct ibv_recv_wr *bad, wr = { .wr_id = 1 };
	struct ibv_srq_attr attr;
	uint32_t room = 0;

	MUST(!ibv_query_srq(s->srq[i], &attr));
	EXPECT(attr.srq_limit == plan->limit, "SRQ %u has limit %u", i, attr.srq_limit);
	EXPECT(attr.max_sge >= plan->sges && attr.max_wr >= (plan->resized ? plan->resized : plan->entries),
	       "SRQ %u has %u entries of %u", i, attr.max_wr, attr.max_sge);
	while (plan->quiet && room <= attr.max_wr && !ibv_post_srq_recv(s->srq[i], &wr, &bad))
		room++;
	EXPECT(!plan->quiet || room == attr.max_wr - plan->posted, "SRQ %u of %u had room for %u, not %u", i,
	       attr.max_wr, room, attr.max_wr - plan->posted);
	MUST(!ibv_destroy_srq(s->srq[i]));
	inbox_free(&s->inbox[i]);
}

void side_destroy(struct side *s)
{
	for (unsigned int i = 0; i < s->all->pairs; i++)
		link_destroy(&s->link[i]);
	for (unsigned int i = 0; i < s->plan->idles; i++)
		MUST(!ibv_destroy_qp(s->idle[i].qp));
	for (unsigned int i = 0; i < s->plan->handles; i++)
		MUST(!s->handle[i] || !ibv_destroy_ah(s->handle[i]));
	for (unsigned int i = 0; i < s->plan->regions; i++)
		check_region(s, i);
	for (unsigned int i = 0; i < s->plan->srqs; i++)
		check_srq(s, i);
	for (unsigned int i = 0; i < s->plan->cqs; i++)
		queue_destroy(&s->queue[i]);
	for (unsigned int i = 0; i < s->plan->pds; i++)
		MUST(!ibv_dealloc_pd(s->pd[i]));
	for (unsigned int i = 0; i < s->plan->contexts; i++)
		MUST(!ibv_destroy_comp_channel(s->channel[i]) && !ibv_close_device(s->context[i]));
}
