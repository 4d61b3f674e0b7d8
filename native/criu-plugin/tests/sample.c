// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "sample.h"

static void fill_objects(struct sample *s)
{
	ProtobufCBinaryData some = { .len = sizeof(s->bytes), .data = s->bytes };
	ProtobufCBinaryData gid = { .len = 16, .data = s->bytes };

	for (int i = 0; i < 3; i++)
		s->buffers[i] = some;
	sealift__ibverbs__driver_state__init(&s->cq_state);
	s->cq_state.state = some;
	s->cq_state.n_buffers = 1;
	s->cq_state.buffers = s->buffers;
	s->srq_state = s->cq_state;
	s->ah_state = s->cq_state;
	s->ah_state.n_buffers = 0;
	sealift__ibverbs__driver_state__init(&s->qp_state);
	s->qp_state.state = some;
	s->qp_state.n_buffers = 3;
	s->qp_state.buffers = s->buffers;
	sealift__ibverbs__protection_domain__init(&s->pd);
	s->pd.handle = 0;
	sealift__ibverbs__completion_queue__init(&s->cq);
	s->cq.handle = 1;
	s->cq.cqe = 255;
	s->cq.user_handle = 0x7f0012345678;
	s->cq.has_channel = 1;
	s->cq.channel = 1;
	s->cq.driver = &s->cq_state;
	sealift__ibverbs__shared_receive_queue__init(&s->srq);
	s->srq.handle = 4;
	s->srq.user_handle = 0x7f00deadbeef;
	s->srq.max_wr = 255;
	s->srq.max_sge = 1;
	s->srq.driver = &s->srq_state;
	sealift__ibverbs__path__init(&s->path);
	s->path.port = 1;
	s->path.sgid_index = 1;
	s->path.sgid = gid;
	s->path.dgid = gid;
	s->ah_path = s->path;
	s->ah_path.dest_qpn = 0;
	sealift__ibverbs__address_handle__init(&s->ah);
	s->ah.handle = 5;
	s->ah.user_handle = 0x7f00abcd1234;
	s->ah.path = &s->ah_path;
	s->ah.driver = &s->ah_state;
	sealift__ibverbs__queue_pair__init(&s->qp);
	s->qp.handle = 2;
	s->qp.qpn = 17;
	s->qp.type = 2;
	s->qp.state = 3;
	s->qp.pd = 0;
	s->qp.send_cq = 1;
	s->qp.recv_cq = 1;
	s->qp.has_srq = 1;
	s->qp.srq = 4;
	s->qp.path = &s->path;
	s->qp.driver = &s->qp_state;
	sealift__ibverbs__memory_region__init(&s->mr);
	s->mr.handle = 3;
	s->mr.start = 0x7f0000001010;
	s->mr.iova = 0x1010;
	s->mr.length = 65536;
	s->mr.lkey = 0x1234;
	sealift__ibverbs__mapping__init(&s->mapping);
	s->mapping.pid = 7;
	s->mapping.address = 0x7f0000100000;
	s->mapping.length = 8192;
	s->mapping.protection = 3;
	s->mapping.ring = SEALIFT__IBVERBS__RING__RQ;
	s->mapping.handle = 2;
}

PB(Context) *sample_fill(struct sample *s)
{
	PB(Context) *c = &s->context;

	memset(s, 0, sizeof(*s));
	memset(s->bytes, 0x5a, sizeof(s->bytes));
	fill_objects(s);
	sealift__ibverbs__context__init(c);
	sealift__ibverbs__driver__init(&s->driver);
	s->driver.name = "rxe";
	s->driver.abi = 1;
	sealift__ibverbs__descriptor__init(&s->descriptor);
	s->descriptor.pid = 7;
	s->descriptor.fd = 5;
	sealift__ibverbs__event_file__init(&s->async);
	sealift__ibverbs__event_file__init(&s->channel);
	s->channel.index = 1;
	c->node_path = "/dev/infiniband/uverbs0";
	c->driver = &s->driver;
	c->max_fd = 9;
	c->owner = 7;
	c->async = &s->async;
#define LIST(name, item) (s->name[0] = (item), c->n_##name = 1, c->name = s->name)
	LIST(descriptors, &s->descriptor);
	LIST(channels, &s->channel);
	LIST(pds, &s->pd);
	LIST(cqs, &s->cq);
	LIST(srqs, &s->srq);
	LIST(ahs, &s->ah);
	LIST(qps, &s->qp);
	LIST(mrs, &s->mr);
	LIST(mappings, &s->mapping);
#undef LIST
	return c;
}
