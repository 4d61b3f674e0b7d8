// SPDX-License-Identifier: GPL-2.0
/* Images that an attacker has altered, and an attacking peer. */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "expect.h"
#include "protocol.h"
#include "scripted.h"
#include "victim.h"

#define SECRET "what no peer may read"

/* Answer a READ of the peer, hold the device, take the image. */
static void read_and_take(struct scripted *s, struct victim *v)
{
	struct wire_packet p;

	scripted_open(s);
	p = scripted_request(s, WIRE_READ, 0);
	p.length = 64;
	wire_send(&s->wire, &p);
	expect(1, scripted_count(s, WIRE_READ_ONLY, 500), "a READ is answered");
	scripted_hold(s);
	victim_take(v, s->fd, s->end.qp->handle);
}

static struct sealift_rxe_res *cached_read(struct victim *v)
{
	unsigned int i;

	for (i = 0; i < v->qp.num_res; i++)
		if (v->res[i].type == SEALIFT_RXE_RES_READ)
			return &v->res[i];
	errx(1, "no READ in the replay cache");
}

/* Send the READ again as it is in the image. Return: responses with data */
static unsigned int replay(struct scripted *s, const struct sealift_rxe_res *res)
{
	struct wire_packet p = scripted_request(s, WIRE_READ, 0);

	p.psn = res->first_psn;
	p.va = res->va;
	p.rkey = res->rkey;
	p.length = res->length;
	wire_drain(&s->wire);
	wire_send(&s->wire, &p);
	return scripted_count(s, WIRE_READ_ONLY, 300);
}

static void expect_replay(struct scripted *s, struct victim *v, int want,
			  const char *what)
{
	struct sealift_rxe_res *res = cached_read(v);
	uint32_t handle;
	int ret;

	ret = victim_restore(v, &handle);
	if (ret == -EINVAL && !want) {
		expect(-EINVAL, ret, "%s: refused", what);
		return;
	}
	expect(0, ret, "%s: restored", what);
	expect(want, replay(s, res), "%s: answers in the hold", what);
	scripted_resume(s);
	expect(want, replay(s, res), "%s: answers after it", what);
	scripted_hold(s);
	raw_destroy(s->fd, UVERBS_OBJECT_QP, handle);
}

static void replay_of_ones_own(void)
{
	struct scripted s;
	struct victim v;

	read_and_take(&s, &v);
	expect_replay(&s, &v, 1, "an unaltered READ");
}

static void replay_of_another_domain(void)
{
	struct sealift_rxe_res *res;
	struct scripted s;
	struct victim v;
	struct ibv_pd *pd;
	struct ibv_mr *mr;
	char *secret;

	read_and_take(&s, &v);
	secret = aligned_alloc(4096, 4096);
	memcpy(secret, SECRET, sizeof(SECRET));
	pd = ibv_alloc_pd(s.end.ctx);
	mr = pd ? ibv_reg_mr(pd, secret, 4096, IBV_ACCESS_REMOTE_READ) : NULL;
	if (!mr)
		err(1, "ibv_reg_mr");
	res = cached_read(&v);
	res->rkey = mr->rkey;
	res->va = (uintptr_t)secret;
	expect_replay(&s, &v, 0, "a READ of another protection domain");
}

static void replay_of_local_memory(void)
{
	struct sealift_rxe_res *res;
	struct scripted s;
	struct victim v;
	struct ibv_mr *mr;
	char *secret;

	read_and_take(&s, &v);
	secret = aligned_alloc(4096, 4096);
	memcpy(secret, SECRET, sizeof(SECRET));
	mr = ibv_reg_mr(s.end.pd, secret, 4096, IBV_ACCESS_LOCAL_WRITE);
	if (!mr)
		err(1, "ibv_reg_mr");
	res = cached_read(&v);
	res->rkey = mr->rkey;
	res->va = (uintptr_t)secret;
	expect_replay(&s, &v, 0, "a READ of a region without remote access");
}

static void replay_out_of_range(void)
{
	struct scripted s;
	struct victim v;

	read_and_take(&s, &v);
	cached_read(&v)->va = (uintptr_t)s.mem + SCRIPTED_BYTES - 8;
	expect_replay(&s, &v, 0, "a READ beyond the region's end");
}

/* The kernel's own region covers all memory; any key may be the right one. */
static void replay_of_kernel_memory(void)
{
	struct sealift_rxe_res *res;
	unsigned int key, answers = 0;
	struct sealift_rxe_query q;
	struct scripted s;
	struct victim v;
	uint32_t handle;

	read_and_take(&s, &v);
	if (sl_query(s.fd, &q))
		errx(1, "QUERY");
	res = cached_read(&v);
	res->va = 0xffff888000100000ULL;
	for (key = 0; key < 256; key++) {
		struct wire_packet p = scripted_request(&s, WIRE_READ, 0);

		res->rkey = q.min_mr_index << 8 | key;
		if (victim_restore(&v, &handle))
			continue;
		p.psn = res->first_psn;
		p.va = res->va;
		p.rkey = res->rkey;
		p.length = res->length;
		wire_send(&s.wire, &p);
		answers += scripted_count(&s, WIRE_READ_ONLY, 5);
		raw_destroy(s.fd, UVERBS_OBJECT_QP, handle);
	}
	answers += scripted_count(&s, WIRE_READ_ONLY, 300);
	expect(0, answers, "a READ of kernel memory: answers");
}

/* A READ under an atomic's PSN does not get the atomic's cache entry. */
static void replay_of_another_kind(void)
{
	struct wire_packet p;
	struct scripted s;

	scripted_open(&s);
	p = scripted_request(&s, WIRE_FETCH_ADD, 0);
	p.swap_add = 1;
	wire_send(&s.wire, &p);
	expect(1, scripted_count(&s, WIRE_ATOMIC_ACK, 500),
	       "an atomic is answered");
	p.opcode = WIRE_READ;
	p.va = 0;
	p.rkey = 0;
	p.length = 0;
	wire_send(&s.wire, &p);
	expect(0, scripted_count(&s, WIRE_READ_ONLY, 500),
	       "it is not repeated as a READ");
}

/* The middle of a message needs the request that its start has taken. */
static void message_without_request(void)
{
	struct wire_packet p;
	struct scripted s;
	struct victim v;
	uint32_t handle;
	int ret;

	scripted_open(&s);
	scripted_post_recv(&s, 4096);
	p = scripted_request(&s, WIRE_SEND_FIRST, 0);
	p.size = WIRE_MTU;
	wire_send(&s.wire, &p);
	expect(1, scripted_count(&s, WIRE_ACK, 300),
	       "a message's start is acknowledged");
	scripted_hold(&s);
	victim_take(&v, s.fd, s.end.qp->handle);
	expect(1, v.qp.resp.wqe.present, "the image has the request");

	memset(&v.qp.resp.wqe, 0, sizeof(v.qp.resp.wqe));
	ret = victim_restore(&v, &handle);
	expect(-EINVAL, ret, "an image without the request");
	if (!ret) {
		scripted_resume(&s);
		p = scripted_request(&s, WIRE_SEND_MIDDLE, 1);
		p.size = WIRE_MTU;
		wire_send(&s.wire, &p);
		usleep(300000);
		return;
	}

	victim_reset(&v);
	v.qp.resp.opcode = SEALIFT_RXE_NONE;
	expect(-EINVAL, victim_restore(&v, &handle),
	       "an image with a request that no message takes");
	victim_reset(&v);
	expect(0, victim_restore(&v, &handle), "the image as it was");
	scripted_resume(&s);
	p = scripted_request(&s, WIRE_SEND_LAST, 1);
	p.size = 100;
	wire_send(&s.wire, &p);
	expect(0, scripted_completion(&s, 1000, NULL), "the message ends");
}

/* The oldest request has at least one unacknowledged PSN. */
static void acknowledged_to_its_end(void)
{
	const uint32_t psns = 3;
	struct scripted s;
	struct victim v;
	uint32_t handle;

	scripted_open(&s);
	scripted_write(&s, psns * WIRE_MTU, 1);
	scripted_hold(&s);
	victim_take(&v, s.fd, s.end.qp->handle);
	v.qp.comp.psn = (SCRIPTED_SQ_PSN + psns) & 0xffffff;
	expect(-EINVAL, victim_restore(&v, &handle),
	       "an image of a request that is acknowledged to its end");
	v.qp.comp.psn = (SCRIPTED_SQ_PSN + psns - 1) & 0xffffff;
	expect(0, victim_restore(&v, &handle),
	       "an image of a request that is acknowledged but for its end");
	wire_drain(&s.wire);
	scripted_resume(&s);
	expect(1, scripted_count(&s, WIRE_WRITE_LAST, 300),
	       "its end is repeated");
}

/* READs under way and READs that may be sent are together what was agreed. */
static void reads_above_depth(void)
{
	struct scripted s;
	struct victim v;
	uint32_t handle;

	scripted_open(&s);
	scripted_post(&s, IBV_WR_RDMA_READ, 0, 100, 1);
	expect(1, scripted_count(&s, WIRE_READ, 300), "a READ is sent");
	scripted_hold(&s);
	victim_take(&v, s.fd, s.end.qp->handle);
	v.qp.req.rd_atomic++;
	expect(-EINVAL, victim_restore(&v, &handle),
	       "an image of more READs than agreed");
	victim_reset(&v);
	expect(0, victim_restore(&v, &handle), "the image as it was");
}

const struct protocol_case protocol_image_cases[] = {
	{ "replay of an unaltered READ", replay_of_ones_own },
	{ "replay of another domain", replay_of_another_domain },
	{ "replay of local memory", replay_of_local_memory },
	{ "replay out of range", replay_out_of_range },
	{ "replay of kernel memory", replay_of_kernel_memory },
	{ "replay of another kind", replay_of_another_kind },
	{ "message without request", message_without_request },
	{ "acknowledged to its end", acknowledged_to_its_end },
	{ "READs of an image above the depth", reads_above_depth },
	{ 0 },
};
