// SPDX-License-Identifier: Apache-2.0
#include "objects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "../forking/exchange.h"

/* An ACK timeout of 1.07 s: a busy emulated node answers late. */
static const struct retries retries = {
	.timeout = 18, .retry_count = 7, .rnr_retry = 7, .min_rnr_timer = 12,
};

static int complain(const char *what)
{
	return failed(what, errno ? -errno : -EIO);
}

void *objects_memory(const struct objects *o, unsigned int i)
{
	return o->memory + (size_t)i * REGION_SIZE;
}

static int open_regions(struct objects *o)
{
	const int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ;
	const size_t size = (size_t)o->numbers.regions * REGION_SIZE;

	o->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (o->memory == MAP_FAILED) {
		o->memory = NULL;
		return complain("memory");
	}
	for (unsigned int i = 0; i < o->numbers.regions; i++) {
		o->regions[i] = ibv_reg_mr(o->pd, objects_memory(o, i), REGION_SIZE, access);
		if (!o->regions[i])
			return complain("register memory");
	}
	return 0;
}

static int open_cqs(struct objects *o)
{
	const unsigned int each = (o->numbers.qps + o->numbers.cqs - 1) / o->numbers.cqs;

	o->channel = ibv_create_comp_channel(o->context);
	if (!o->channel ||
	    fcntl(o->channel->fd, F_SETFL, fcntl(o->channel->fd, F_GETFL) | O_NONBLOCK))
		return complain("completion channel");
	for (unsigned int i = 0; i < o->numbers.cqs; i++) {
		o->cqs[i] = ibv_create_cq(o->context, (int)(2 * MANY_DEPTH * each), NULL, o->channel, 0);
		if (!o->cqs[i] || ibv_req_notify_cq(o->cqs[i], 0))
			return complain("completion queue");
	}
	return 0;
}

/* What the ledger's part for one queue pair takes of an endpoint. */
static struct endpoint view(const struct objects *o, unsigned int i)
{
	struct ibv_cq *cq = o->cqs[i % o->numbers.cqs];

	return (struct endpoint){
		.context = o->context, .pd = o->pd, .send_cq = cq, .receive_cq = cq,
		.gid = o->gid, .gid_index = o->gid_index, .mtu = o->mtu,
	};
}

int objects_open(struct objects *o, const struct numbers *n)
{
	struct endpoint e;
	int ret = endpoint_open_device(&e, NULL, -1);

	if (ret)
		return ret;
	*o = (struct objects){ .numbers = *n, .context = e.context, .gid = e.gid,
			       .gid_index = e.gid_index, .mtu = e.mtu };
	o->pd = ibv_alloc_pd(o->context);
	if (!o->pd)
		return complain("PD");
	ret = open_regions(o);
	if (!ret)
		ret = open_cqs(o);
	for (unsigned int i = 0; !ret && i < n->qps; i++) {
		e = view(o, i);
		o->qps[i] = endpoint_qp(&e, MANY_DEPTH, MANY_DEPTH);
		ret = o->qps[i] ? 0 : -EIO;
	}
	return ret;
}

int objects_connect(struct objects *o, struct control *control)
{
	struct address own = { .gid = o->gid, .mtu = o->mtu }, peer;
	struct endpoint e;
	int ret = 0;

	for (unsigned int i = 0; !ret && i < o->numbers.qps; i++) {
		own.qpn = o->qps[i]->qp_num;
		own.psn = i;
		ret = address_send(control, i, &own);
		if (!ret)
			ret = address_receive(control, i, &peer);
		if (ret)
			return failed("exchange addresses", ret);
		e = view(o, i);
		ret = endpoint_connect(&e, o->qps[i], i, &peer, &retries);
	}
	return ret;
}

void objects_close(struct objects *o)
{
	for (unsigned int i = 0; i < o->numbers.qps && o->qps[i]; i++)
		ibv_destroy_qp(o->qps[i]);
	for (unsigned int i = 0; i < o->numbers.cqs && o->cqs[i]; i++)
		ibv_destroy_cq(o->cqs[i]);
	if (o->channel)
		ibv_destroy_comp_channel(o->channel);
	for (unsigned int i = 0; i < o->numbers.regions && o->regions[i]; i++)
		ibv_dereg_mr(o->regions[i]);
	if (o->memory)
		munmap(o->memory, (size_t)o->numbers.regions * REGION_SIZE);
	if (o->pd)
		ibv_dealloc_pd(o->pd);
	if (o->context)
		ibv_close_device(o->context);
}
