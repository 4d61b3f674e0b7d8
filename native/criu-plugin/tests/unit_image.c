// SPDX-License-Identifier: GPL-2.0
/* Images: what is written comes back; what was altered is refused, by name and without a crash. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "unit.h"

struct sample {
	PB(Context) context;
	PB(Driver) driver;
	PB(Holder) holder;
	PB(EventFile) async, channel;
	PB(ProtectionDomain) pd;
	PB(CompletionQueue) cq;
	PB(QueuePair) qp;
	PB(Path) path;
	PB(MemoryRegion) mr;
	PB(Mapping) mapping;
	PB(DriverState) cq_state, qp_state;
	ProtobufCBinaryData buffers[3];
	PB(Holder) *holders[1];
	PB(EventFile) *channels[1];
	PB(ProtectionDomain) *pds[1];
	PB(CompletionQueue) *cqs[1];
	PB(QueuePair) *qps[1];
	PB(MemoryRegion) *mrs[1];
	PB(Mapping) *mappings[1];
	uint8_t bytes[64];
};

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
	sealift__ibverbs__path__init(&s->path);
	s->path.port = 1;
	s->path.sgid_index = 1;
	s->path.sgid = gid;
	s->path.dgid = gid;
	sealift__ibverbs__queue_pair__init(&s->qp);
	s->qp.handle = 2;
	s->qp.qpn = 17;
	s->qp.type = 2;
	s->qp.state = 3;
	s->qp.pd = 0;
	s->qp.send_cq = 1;
	s->qp.recv_cq = 1;
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

static PB(Context) *fill(struct sample *s)
{
	PB(Context) *c = &s->context;

	memset(s, 0, sizeof(*s));
	memset(s->bytes, 0x5a, sizeof(s->bytes));
	fill_objects(s);
	sealift__ibverbs__context__init(c);
	sealift__ibverbs__driver__init(&s->driver);
	s->driver.name = "rxe";
	s->driver.abi = 1;
	sealift__ibverbs__holder__init(&s->holder);
	s->holder.pid = 7;
	s->holder.fd = 5;
	sealift__ibverbs__event_file__init(&s->async);
	sealift__ibverbs__event_file__init(&s->channel);
	s->channel.index = 1;
	c->node_path = "/dev/infiniband/uverbs0";
	c->driver = &s->driver;
	c->max_fd = 9;
	c->owner = 7;
	c->async = &s->async;
#define LIST(name, item) (s->name[0] = (item), c->n_##name = 1, c->name = s->name)
	LIST(holders, &s->holder);
	LIST(channels, &s->channel);
	LIST(pds, &s->pd);
	LIST(cqs, &s->cq);
	LIST(qps, &s->qp);
	LIST(mrs, &s->mr);
	LIST(mappings, &s->mapping);
#undef LIST
	return c;
}

static void round_trip(void)
{
	PB(Context) *context = NULL;
	struct sample sample;
	uint8_t *data;
	size_t size;

	data = image_encode(&fill(&sample)->base, &size);
	CHECK(!image_decode_context(data, size, "sample", &context));
	CHECK(context && context->qps[0]->qpn == 17 && context->mrs[0]->lkey == 0x1234);
	CHECK(context && context->cqs[0]->user_handle == 0x7f0012345678);
	CHECK(context && context->qps[0]->driver->buffers[2].len == 64);
	if (context)
		sealift__ibverbs__context__free_unpacked(context, NULL);
	free(data);
	CHECK(image_crc32((const uint8_t *)"123456789", 9) == 0xcbf43926);
}

/* Every bit of an image flipped, every length that is too short. */
static void altered(void)
{
	PB(Context) *context = NULL;
	struct sample sample;
	uint8_t *data, *copy;
	bool refused = true;
	size_t size;

	data = image_encode(&fill(&sample)->base, &size);
	for (size_t n = 0; n < size; n++) {
		/* In a block of just that size, so that reading beyond it is noticed. */
		copy = malloc(n ? n : 1);
		memcpy(copy, data, n);
		refused &= image_decode_context(copy, n, "short", &context) != 0;
		free(copy);
	}
	CHECK(refused);
	for (size_t bit = 0; bit < size * 8; bit++) {
		data[bit / 8] ^= 1 << bit % 8;
		refused &= image_decode_context(data, size, "flipped", &context) != 0;
		data[bit / 8] ^= 1 << bit % 8;
	}
	CHECK(refused);
	free(data);
}

static void versions(void)
{
	PB(Envelope) envelope;
	PB(Context) *context = NULL;
	uint8_t packed[64], nonsense[] = { 0xff, 0xff, 0xff };
	size_t size;

	sealift__ibverbs__envelope__init(&envelope);
	envelope.magic = IMAGE_MAGIC;
	envelope.version = IMAGE_VERSION + 1;
	envelope.body.data = nonsense;
	envelope.body.len = sizeof(nonsense);
	size = sealift__ibverbs__envelope__pack(&envelope, packed);
	unit_clear_log();
	CHECK(image_decode_context(packed, size, "newer", &context) == -EINVAL);
	CHECK(strstr(unit_log(), "sealift: image-version: newer has version 2"));

	envelope.version = IMAGE_VERSION;
	envelope.magic++;
	size = sealift__ibverbs__envelope__pack(&envelope, packed);
	unit_clear_log();
	CHECK(image_decode_context(packed, size, "other", &context) == -EINVAL);
	CHECK(strstr(unit_log(), "sealift: image-damaged: other"));
}

/* A well-formed image whose content contradicts itself. */
static void contradictions(void)
{
	struct sample s;

#define REFUSED(change)                                             \
	do {                                                        \
		fill(&s);                                           \
		change;                                             \
		unit_clear_log();                                   \
		CHECK(image_check_context(&s.context, "x") < 0);    \
		CHECK(strstr(unit_log(), "image-damaged: x: "));    \
	} while (0)

	fill(&s);
	CHECK(!image_check_context(&s.context, "x"));
	s.mr.handle = 40000;
	CHECK(!image_check_context(&s.context, "x"));
	REFUSED(s.mr.handle = 2);
	REFUSED(s.mr.handle = IMAGE_MAX_HANDLE);
	REFUSED(s.cq.handle = 0xffffffff);
	REFUSED(s.qp.pd = 1);
	REFUSED(s.qp.send_cq = 0);
	REFUSED(s.qp.recv_cq = 99);
	REFUSED(s.mr.pd = 3);
	REFUSED(s.cq.channel = 7);
	REFUSED(s.qp.qpn = 1 << 24);
	REFUSED(s.qp.state = 7);
	REFUSED(s.path.sgid.len = 15);
	REFUSED(s.path.port = 2);
	REFUSED(s.qp_state.n_buffers = 2);
	REFUSED(s.cq_state.state.len = 0);
	REFUSED(s.mr.length = 1ULL << 48);
	REFUSED(s.mr.start = ~0ULL);
	REFUSED(s.mr.iova = 0x1011);
	REFUSED(s.mapping.address = 0x123);
	REFUSED(s.mapping.address = 1ULL << 50);
	REFUSED(s.mapping.length = 0);
	REFUSED(s.mapping.protection = 7);
	REFUSED(s.mapping.handle = 1);
	REFUSED(s.mapping.ring = 3);
	REFUSED(s.context.node_path = "/etc/passwd");
	REFUSED(s.context.node_path = "/dev/../etc/passwd");
	REFUSED(s.context.n_holders = 0);
	REFUSED(s.holder.fd = 10);
	REFUSED(s.context.max_fd = 1 << 30);
#undef REFUSED
}

/* @body in an envelope whose checksum is right. */
static uint8_t *enclose(uint8_t *body, size_t size, size_t *packed_size)
{
	PB(Envelope) envelope;
	uint8_t *packed;

	sealift__ibverbs__envelope__init(&envelope);
	envelope.magic = IMAGE_MAGIC;
	envelope.version = IMAGE_VERSION;
	envelope.body.data = body;
	envelope.body.len = size;
	envelope.crc32 = image_crc32(body, size);
	*packed_size = sealift__ibverbs__envelope__get_packed_size(&envelope);
	packed = malloc(*packed_size);
	sealift__ibverbs__envelope__pack(&envelope, packed);
	return packed;
}

/* Some bytes changed, some cut out, some repeated, the end cut off. */
static size_t mutate(uint8_t *body, size_t size)
{
	for (int change = rand() % 4; change >= 0; change--) {
		size_t at = rand() % size, n = 1 + rand() % 8;

		switch (rand() % 8) {
		case 0:
			if (at + n < size) {
				memmove(body + at, body + at + n, size - at - n);
				size -= n;
			}
			break;
		case 1:
			if (at + 2 * n < size)
				memcpy(body + at + n, body + at, n);
			break;
		case 2:
			size = 1 + at;
			break;
		default:
			body[at] = rand();
		}
	}
	return size;
}

static bool decode_context(const uint8_t *packed, size_t size)
{
	PB(Context) *context = NULL;

	if (image_decode_context(packed, size, "random", &context))
		return false;
	sealift__ibverbs__context__free_unpacked(context, NULL);
	return true;
}

static bool decode_files(const uint8_t *packed, size_t size)
{
	PB(FileTable) *table = NULL;

	if (image_decode_files(packed, size, "random", &table))
		return false;
	sealift__ibverbs__file_table__free_unpacked(table, NULL);
	return true;
}

/* Random bodies behind a correct checksum: accepted or refused, never a crash. */
static void random_bodies(const ProtobufCMessage *message,
			  bool (*decode)(const uint8_t *packed, size_t size), unsigned int rounds)
{
	size_t full = protobuf_c_message_get_packed_size(message), size, packed_size;
	unsigned int refused = 0;
	uint8_t *packed;

	srand(1);
	for (unsigned int round = 0; round < rounds; round++) {
		/* A block of its own each time, so that reading beyond it is noticed. */
		uint8_t *body = malloc(full);

		protobuf_c_message_pack(message, body);
		size = mutate(body, full);
		packed = enclose(body, size, &packed_size);
		unit_clear_log();
		refused += !decode(packed, packed_size);
		free(packed);
		free(body);
	}
	CHECK(refused > rounds / 4);
	CHECK(refused < rounds);
}

static void random_contexts(void)
{
	struct sample sample;

	random_bodies(&fill(&sample)->base, decode_context, 20000);
}

static void random_tables(void)
{
	PB(FileTable) table;
	PB(File) files[4], *list[4];

	sealift__ibverbs__file_table__init(&table);
	for (int i = 0; i < 4; i++) {
		sealift__ibverbs__file__init(&files[i]);
		files[i].id = 0x100 + i;
		files[i].kind = i % 3;
		list[i] = &files[i];
	}
	table.contexts = 1;
	table.n_files = 4;
	table.files = list;
	random_bodies(&table.base, decode_files, 20000);
}

static void directory(void)
{
	char path[] = "/tmp/sealift-unit-XXXXXX";
	PB(FileTable) table, *read_table = NULL;
	PB(Context) *context = NULL;
	PB(File) file, *list[1] = { &file };
	struct sample sample;
	int dir;

	CHECK(mkdtemp(path));
	dir = open(path, O_DIRECTORY);
	sealift__ibverbs__file_table__init(&table);
	sealift__ibverbs__file__init(&file);
	table.contexts = 1;
	table.n_files = 1;
	table.files = list;
	file.id = 0x2a;
	CHECK(!image_write_context(dir, 0, fill(&sample)));
	CHECK(!image_write_files(dir, &table));
	CHECK(!image_read_context(dir, 0, &context));
	CHECK(image_read_context(dir, 1, &context) == -ENOENT);
	CHECK(!image_read_files(dir, &read_table));
	CHECK(read_table && read_table->files[0]->id == 0x2a);
	sealift__ibverbs__context__free_unpacked(context, NULL);
	sealift__ibverbs__file_table__free_unpacked(read_table, NULL);

	file.context = 1;
	CHECK(!image_write_files(dir, &table));
	CHECK(image_read_files(dir, &read_table) == -EINVAL);
	unlinkat(dir, "ibverbs-0.img", 0);
	CHECK(!symlinkat("/dev/zero", dir, "ibverbs-0.img"));
	CHECK(image_read_context(dir, 0, &context) < 0);
	CHECK(!image_remove_all(dir));
	CHECK(image_read_files(dir, &read_table) == -ENOENT);
	close(dir);
	rmdir(path);
}

void unit_image(void)
{
	round_trip();
	altered();
	versions();
	contradictions();
	random_contexts();
	random_tables();
	directory();
}
