// SPDX-License-Identifier: GPL-2.0
/*
 * Memory regions that were registered again (REREG_MR), with other access or in
 * another protection domain: what the driver restores is what they were last.
 * libibverbs has the call, but no operation of rxe for it; a program may make it
 * by itself.
 */
#include <err.h>
#include <string.h>

#include "expect.h"
#include "image.h"
#include "listed.h"
#include "protocol.h"
#include "scripted.h"

#define REMOTE	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
#define BYTES	100

static void rereg(const struct scripted *s, uint32_t flags, uint32_t access,
		  uint32_t pd)
{
	struct raw_rereg again = {
		.handle = s->end.mr->handle,
		.flags = flags,
		.access = access,
		.pd_handle = pd,
	};

	if (raw_rereg_mr(s->fd, &again))
		errx(1, "REREG_MR");
}

static void move(const struct scripted *s, struct sealift_rxe_mr *mr)
{
	struct image img;

	scripted_hold(s);
	image_dump(&img, s->fd, s->end.channel->fd);
	image_destroy(&img, s->fd);
	image_restore(&img, s->fd, 0);
	image_compare(&img, s->fd);
	image_free(&img);
	if (sl_dump_mr(s->fd, s->end.mr->handle, mr))
		errx(1, "DUMP_MR");
	scripted_resume(s);
}

/* The peer's WRITE. Return: the syndrome of its answer, or -1 */
static int written(struct scripted *s, uint32_t nth)
{
	struct wire_packet p = scripted_request(s, WIRE_WRITE_ONLY, nth);

	p.length = BYTES;
	p.size = BYTES;
	memset(p.payload, 'w', BYTES);
	memset(s->mem, 0, BYTES);
	wire_send(&s->wire, &p);
	while (wire_recv(&s->wire, &p, 1000))
		if (p.opcode == WIRE_ACK)
			return p.syndrome;
	return -1;
}

static bool is_there(const struct scripted *s)
{
	return s->mem[0] == 'w' && s->mem[BYTES - 1] == 'w';
}

static struct sealift_rxe_device_object listed(const struct scripted *s)
{
	return listed_now(s->fd, SEALIFT_RXE_KIND_MR, s->end.mr->rkey);
}

static void less_access(void)
{
	struct sealift_rxe_mr mr;
	struct scripted s;

	scripted_open(&s);
	rereg(&s, IBV_REREG_MR_CHANGE_ACCESS, IBV_ACCESS_LOCAL_WRITE, 0);
	expect(IBV_ACCESS_LOCAL_WRITE, listed(&s).access,
	       "less access: it is listed");
	move(&s, &mr);
	expect(IBV_ACCESS_LOCAL_WRITE, mr.access, "less access: it is kept");
	expect(1, mr.lkey == s.end.mr->lkey && mr.rkey == s.end.mr->rkey,
	       "less access: so are the keys");
	expect(WIRE_NAK_ACCESS, written(&s, 0),
	       "less access: a peer may not write after the move");
	expect(0, is_there(&s), "less access: nothing was written");
}

static void more_access(void)
{
	struct sealift_rxe_mr mr;
	struct scripted s;

	scripted_open(&s);
	rereg(&s, IBV_REREG_MR_CHANGE_ACCESS, 0, 0);
	rereg(&s, IBV_REREG_MR_CHANGE_ACCESS, REMOTE, 0);
	move(&s, &mr);
	expect(REMOTE, mr.access, "more access: it is kept");
	expect(WIRE_OK, written(&s, 0),
	       "more access: a peer may write after the move");
	expect(1, is_there(&s), "more access: what it wrote is there");
	rereg(&s, IBV_REREG_MR_CHANGE_ACCESS, IBV_ACCESS_LOCAL_WRITE, 0);
	expect(WIRE_NAK_ACCESS, written(&s, 1),
	       "more access: it can be taken away after the move");
}

static void another_pd(void)
{
	struct ibv_pd *pd, *old;
	struct sealift_rxe_mr mr;
	struct scripted s;

	scripted_open(&s);
	old = s.end.pd;
	pd = ibv_alloc_pd(s.end.ctx);
	if (!pd)
		err(1, "ibv_alloc_pd");
	rereg(&s, IBV_REREG_MR_CHANGE_PD, 0, pd->handle);
	move(&s, &mr);
	expect(pd->handle, mr.pd_handle, "another PD: it is kept");
	expect(1, mr.lkey == s.end.mr->lkey && mr.rkey == s.end.mr->rkey,
	       "another PD: so are the keys");
	rereg(&s, IBV_REREG_MR_CHANGE_PD, 0, old->handle);
	expect(0, ibv_dealloc_pd(pd), "another PD: nothing is left in it");
	expect(WIRE_OK, written(&s, 0), "another PD: and back");
	expect(1, is_there(&s), "another PD: what was written is there");
}

static void foreign_pd(void)
{
	struct sealift_rxe_mr mr;
	struct scripted s;
	struct ibv_pd *pd;

	scripted_open(&s);
	pd = ibv_alloc_pd(s.end.ctx);
	if (!pd)
		err(1, "ibv_alloc_pd");
	rereg(&s, IBV_REREG_MR_CHANGE_PD | IBV_REREG_MR_CHANGE_ACCESS, REMOTE,
	      pd->handle);
	move(&s, &mr);
	expect(1, mr.access == REMOTE && mr.pd_handle == pd->handle,
	       "a PD that is not the queue pair's: it is kept, and the access");
	expect(WIRE_NAK_ACCESS, written(&s, 0),
	       "a PD that is not the queue pair's: a peer may not write");
	expect(0, is_there(&s),
	       "a PD that is not the queue pair's: nothing was written");
}

/* What only reads is pinned for reading. */
static void reading_only(void)
{
	struct raw_rereg again = {
		.flags = IBV_REREG_MR_CHANGE_ACCESS,
		.access = IBV_ACCESS_LOCAL_WRITE,
	};
	struct sealift_rxe_mr mr;
	struct scripted s;

	scripted_open(&s);
	again.handle = s.end.mr->handle;
	rereg(&s, IBV_REREG_MR_CHANGE_ACCESS, IBV_ACCESS_REMOTE_READ, 0);
	expect(0, raw_rereg_mr(s.fd, &again),
	       "reading only: it may write again, without a move");
	rereg(&s, IBV_REREG_MR_CHANGE_ACCESS, IBV_ACCESS_REMOTE_READ, 0);
	move(&s, &mr);
	expect(IBV_ACCESS_REMOTE_READ, mr.access, "reading only: it is kept");
	expect(1, raw_rereg_mr(s.fd, &again) != 0,
	       "reading only: it may not write any more after a move");
}

const struct protocol_case protocol_rereg_cases[] = {
	{ "registered again: reading only", reading_only },
	{ "registered again: less access", less_access },
	{ "registered again: more access", more_access },
	{ "registered again: another PD", another_pd },
	{ "registered again: a PD that is not the queue pair's", foreign_pd },
	{ NULL, NULL }
};
