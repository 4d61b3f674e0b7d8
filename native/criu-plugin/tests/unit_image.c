// SPDX-License-Identifier: GPL-2.0
/* Images: what is written comes back; what was altered is refused, by name and without a crash. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sample.h"
#include "unit.h"

static void round_trip(void)
{
	PB(Context) *context = NULL;
	struct sample sample;
	uint8_t *data;
	size_t size;

	data = image_encode(&sample_fill(&sample)->base, &size);
	CHECK(!image_decode_context(data, size, "sample", &context));
	CHECK(context && context->qps[0]->qpn == 17 && context->mrs[0]->lkey == 0x1234);
	CHECK(context && context->cqs[0]->user_handle == 0x7f0012345678);
	CHECK(context && context->qps[0]->driver->buffers[2].len == 64);
	CHECK(context && context->qps[0]->has_srq && context->qps[0]->srq == 4);
	CHECK(context && context->srqs[0]->user_handle == 0x7f00deadbeef);
	CHECK(context && context->ahs[0]->handle == 5 && !context->ahs[0]->driver->n_buffers);
	CHECK(context && context->ahs[0]->path->sgid.len == 16);
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

	data = image_encode(&sample_fill(&sample)->base, &size);
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
	envelope.version = 3;
	envelope.body.data = nonsense;
	envelope.body.len = sizeof(nonsense);
	size = sealift__ibverbs__envelope__pack(&envelope, packed);
	unit_clear_log();
	CHECK(image_decode_context(packed, size, "newer", &context) == -EINVAL);
	CHECK(strstr(unit_log(), "sealift: image-version: newer has version 3, this plugin reads versions 1 to 2"));

	envelope.version = 0;
	size = sealift__ibverbs__envelope__pack(&envelope, packed);
	unit_clear_log();
	CHECK(image_decode_context(packed, size, "older", &context) == -EINVAL);
	CHECK(strstr(unit_log(), "sealift: image-version: older has version 0"));

	envelope.version = IMAGE_VERSION;
	envelope.magic++;
	size = sealift__ibverbs__envelope__pack(&envelope, packed);
	unit_clear_log();
	CHECK(image_decode_context(packed, size, "other", &context) == -EINVAL);
	CHECK(strstr(unit_log(), "sealift: image-damaged: other"));
}

/* One that an earlier plugin has written. */
static void earlier_version(void)
{
	PB(Context) *context = NULL;
	PB(Envelope) *envelope;
	struct sample sample;
	uint8_t *data, *old;
	size_t size;

	data = image_encode(&sample_fill(&sample)->base, &size);
	envelope = image_open(data, size, "sample");
	CHECK(envelope && envelope->version == 2);
	envelope->version = 1;
	old = malloc(sealift__ibverbs__envelope__get_packed_size(envelope));
	size = sealift__ibverbs__envelope__pack(envelope, old);
	CHECK(!image_decode_context(old, size, "earlier", &context));
	CHECK(context && context->qps[0]->driver->buffers[0].len == 64);
	if (context)
		sealift__ibverbs__context__free_unpacked(context, NULL);
	sealift__ibverbs__envelope__free_unpacked(envelope, NULL);
	free(old);
	free(data);
}

/* A well-formed image whose content contradicts itself. */
static void contradictions(void)
{
	struct sample s;

#define REFUSED(change)                                             \
	do {                                                        \
		sample_fill(&s);                                           \
		change;                                             \
		unit_clear_log();                                   \
		CHECK(image_check_context(&s.context, "x") < 0);    \
		CHECK(strstr(unit_log(), "image-damaged: x: "));    \
	} while (0)

	sample_fill(&s);
	CHECK(!image_check_context(&s.context, "x"));
	s.mr.handle = 40000;
	CHECK(!image_check_context(&s.context, "x"));
	s.mapping.ring = SEALIFT__IBVERBS__RING__SRQ;
	s.mapping.handle = 4;
	CHECK(!image_check_context(&s.context, "x"));
	s.qp.has_srq = 0;
	s.context.n_mappings = 0;
	CHECK(!image_check_context(&s.context, "x"));
	s.context.n_srqs = 0;
	CHECK(!image_check_context(&s.context, "x"));
	s.context.n_ahs = 0;
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
	REFUSED((s.mr.has_pid = 1, s.mr.pid = 8));
	REFUSED(s.context.owner = 8);
	REFUSED(s.mapping.address = 0x123);
	REFUSED(s.mapping.address = 1ULL << 50);
	REFUSED(s.mapping.length = 0);
	REFUSED(s.mapping.protection = 7);
	REFUSED(s.mapping.handle = 1);
	REFUSED(s.mapping.ring = SEALIFT__IBVERBS__RING__SRQ);
	REFUSED(s.mapping.handle = 4);
	REFUSED(s.mapping.ring = 4);
	REFUSED(s.srq.handle = 1);
	REFUSED(s.srq.handle = IMAGE_MAX_HANDLE);
	REFUSED(s.srq.pd = 1);
	REFUSED(s.srq_state.n_buffers = 2);
	REFUSED(s.srq_state.state.len = 0);
	REFUSED(s.ah.handle = 1);
	REFUSED(s.ah.handle = IMAGE_MAX_HANDLE);
	REFUSED(s.ah.pd = 1);
	REFUSED(s.ah_state.n_buffers = 1);
	REFUSED(s.ah_state.state.len = 0);
	REFUSED(s.ah_path.sgid.len = 4);
	REFUSED(s.ah_path.dgid.len = 17);
	REFUSED(s.ah_path.sgid_index = 256);
	REFUSED(s.ah_path.port = 0);
	REFUSED(s.qp.pd = 5);
	REFUSED(s.qp.srq = 5);
	REFUSED(s.qp.srq = 1);
	REFUSED(s.qp.srq = 99);
	REFUSED(s.context.n_srqs = 0);
	REFUSED(s.context.node_path = "/etc/passwd");
	REFUSED(s.context.node_path = "/dev/../etc/passwd");
	REFUSED(s.context.n_descriptors = 0);
	REFUSED(s.descriptor.fd = 10);
	REFUSED((s.context.has_free_fd = 1, s.context.free_fd = 10));
	REFUSED(s.context.max_fd = 1 << 30);
#undef REFUSED
}

/* Each is found, whatever the order in the file; what is not there is not. */
static void found_by_number(void)
{
	enum { COUNT = 100 };
	PB(EventFile) channel[COUNT], *channels[COUNT];
	PB(File) file[COUNT], *list[COUNT];
	PB(FileTable) table, *back = NULL;
	struct sample s;
	uint8_t *data;
	size_t size;

	sample_fill(&s);
	sealift__ibverbs__file_table__init(&table);
	table.contexts = 1;
	table.n_files = COUNT;
	table.files = list;
	for (int i = 0; i < COUNT; i++) {
		sealift__ibverbs__event_file__init(&channel[i]);
		channel[i].index = 3 * i + 1;
		channels[i] = &channel[i];
		sealift__ibverbs__file__init(&file[i]);
		file[i].id = (i * 37 % COUNT) * 5;
		file[i].index = i;
		list[i] = &file[i];
	}
	s.context.channels = channels;
	s.context.n_channels = COUNT;
	CHECK(!image_check_context(&s.context, "x"));
	for (int i = 0; i < COUNT; i++)
		CHECK(image_channel(&s.context, 3 * i + 1) == i);
	CHECK(image_channel(&s.context, 0) == -1);
	CHECK(image_channel(&s.context, 3) == -1);
	CHECK(image_channel(&s.context, 3 * COUNT + 1) == -1);
	channel[7].index = channel[6].index;
	CHECK(image_check_context(&s.context, "x") == -EINVAL);
	channel[7].index = channel[6].index - 1;
	CHECK(image_check_context(&s.context, "x") == -EINVAL);
	s.context.n_channels = 0;
	CHECK(image_channel(&s.context, 1) == -1);

	data = image_encode(&table.base, &size);
	CHECK(data && !image_decode_files(data, size, "x", &back));
	for (int i = 0; back && i < COUNT; i++) {
		const PB(File) *found = image_file(back, (i * 37 % COUNT) * 5);

		CHECK(found && found->index == (uint32_t)i);
	}
	CHECK(!image_file(back, 1) && !image_file(back, -1));
	sealift__ibverbs__file_table__free_unpacked(back, NULL);
	free(data);
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
	CHECK(!image_write_context(dir, 0, sample_fill(&sample)));
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
	earlier_version();
	contradictions();
	found_by_number();
	directory();
}
