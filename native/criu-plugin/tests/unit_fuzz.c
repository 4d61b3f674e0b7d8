// SPDX-License-Identifier: GPL-2.0
/* Random image bodies behind a correct checksum: the reader accepts or refuses each, and never crashes. */
#include <stdlib.h>
#include <string.h>

#include "sample.h"
#include "unit.h"

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

	random_bodies(&sample_fill(&sample)->base, decode_context, 20000);
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

void unit_fuzz(void)
{
	random_contexts();
	random_tables();
}
