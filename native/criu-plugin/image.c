// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "log.h"

int image_append(void *array, size_t *count, void *item)
{
	void ***items = array;
	void **grown;

	if (!item)
		return -ENOMEM;
	grown = realloc(*items, (*count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	grown[(*count)++] = item;
	*items = grown;
	return 0;
}

int image_bytes(ProtobufCBinaryData *field, const void *data, size_t size)
{
	field->data = malloc(size ? size : 1);
	if (!field->data)
		return -ENOMEM;
	if (size)
		memcpy(field->data, data, size);
	field->len = size;
	return 0;
}

uint32_t image_crc32(const uint8_t *data, size_t size)
{
	static uint32_t table[256];
	uint32_t crc = ~0U;

	if (!table[1]) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t value = i;

			for (int bit = 0; bit < 8; bit++)
				value = value >> 1 ^ (value & 1 ? 0xedb88320U : 0);
			table[i] = value;
		}
	}
	for (size_t i = 0; i < size; i++)
		crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xff];
	return ~crc;
}

uint8_t *image_encode(const ProtobufCMessage *message, size_t *size)
{
	PB(Envelope) envelope;
	uint8_t *packed = NULL;

	sealift__ibverbs__envelope__init(&envelope);
	envelope.magic = IMAGE_MAGIC;
	envelope.version = IMAGE_VERSION;
	envelope.body.len = protobuf_c_message_get_packed_size(message);
	envelope.body.data = malloc(envelope.body.len ? envelope.body.len : 1);
	if (!envelope.body.data)
		return NULL;
	protobuf_c_message_pack(message, envelope.body.data);
	envelope.crc32 = image_crc32(envelope.body.data, envelope.body.len);

	*size = sealift__ibverbs__envelope__get_packed_size(&envelope);
	packed = malloc(*size);
	if (packed)
		sealift__ibverbs__envelope__pack(&envelope, packed);
	free(envelope.body.data);
	return packed;
}

static int write_all(int fd, const uint8_t *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= n;
	}
	return 0;
}

int image_write(int dir, const char *name, const ProtobufCMessage *message)
{
	uint8_t *data;
	size_t size;
	int fd, ret;

	data = image_encode(message, &size);
	if (!data)
		return -ENOMEM;
	ret = size > IMAGE_MAX_BYTES ? -EFBIG : 0;
	if (ret)
		goto out;
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		ret = -errno;
		goto out;
	}
	ret = write_all(fd, data, size);
	if (close(fd) && !ret)
		ret = -errno;
out:
	free(data);
	if (ret)
		log_fail("image-write", "%s: %s", name, strerror(-ret));
	return ret;
}

static void context_name(char *name, size_t size, unsigned int n)
{
	snprintf(name, size, "ibverbs-%u.img", n);
}

int image_write_context(int dir, unsigned int n, const PB(Context) *context)
{
	char name[32];

	context_name(name, sizeof(name), n);
	return image_write(dir, name, &context->base);
}

int image_write_files(int dir, const PB(FileTable) *table)
{
	return image_write(dir, IMAGE_FILES_NAME, &table->base);
}

int image_remove_all(int dir)
{
	char name[32];

	for (unsigned int n = 0; n < IMAGE_MAX_CONTEXTS; n++) {
		context_name(name, sizeof(name), n);
		if (unlinkat(dir, name, 0)) {
			if (errno != ENOENT)
				return -errno;
			break;
		}
	}
	if (unlinkat(dir, IMAGE_FILES_NAME, 0) && errno != ENOENT)
		return -errno;
	return 0;
}

int image_read(int dir, const char *name, uint8_t **data, size_t *size)
{
	struct stat st;
	size_t done = 0;
	int fd, ret;

	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		ret = -errno;
		if (ret != -ENOENT)
			log_fail("image-damaged", "%s cannot be opened: %s", name, strerror(-ret));
		return ret;
	}
	ret = -EINVAL;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > IMAGE_MAX_BYTES) {
		log_fail("image-damaged", "%s is not a file of a sane size", name);
		goto out;
	}
	*data = malloc(st.st_size + 1);
	if (!*data) {
		ret = -ENOMEM;
		goto out;
	}
	while (done < (size_t)st.st_size) {
		ssize_t n = read(fd, *data + done, st.st_size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			log_fail("image-damaged", "%s cannot be read", name);
			free(*data);
			goto out;
		}
		done += n;
	}
	*size = done;
	ret = 0;
out:
	close(fd);
	return ret;
}

/* The version is looked at before the checksum and the body, whose form may be another one in another version. */
PB(Envelope) *image_open(const uint8_t *data, size_t size, const char *name)
{
	PB(Envelope) *envelope = sealift__ibverbs__envelope__unpack(NULL, size, data);

	if (!envelope || envelope->magic != IMAGE_MAGIC) {
		log_fail("image-damaged", "%s is cut short or is no image of this plugin", name);
	} else if (envelope->version < IMAGE_VERSION_OLDEST || envelope->version > IMAGE_VERSION) {
		log_fail("image-version", "%s has version %u, this plugin reads versions %u to %u", name,
			 envelope->version, IMAGE_VERSION_OLDEST, IMAGE_VERSION);
	} else if (envelope->crc32 != image_crc32(envelope->body.data, envelope->body.len)) {
		log_fail("image-damaged", "%s was altered: its checksum is wrong", name);
	} else {
		return envelope;
	}
	if (envelope)
		sealift__ibverbs__envelope__free_unpacked(envelope, NULL);
	return NULL;
}

int image_decode_context(const uint8_t *data, size_t size, const char *name,
			 PB(Context) **context)
{
	PB(Envelope) *envelope = image_open(data, size, name);
	int ret = -EINVAL;

	if (!envelope)
		return ret;
	*context = sealift__ibverbs__context__unpack(NULL, envelope->body.len,
						     envelope->body.data);
	sealift__ibverbs__envelope__free_unpacked(envelope, NULL);
	if (!*context) {
		log_fail("image-damaged", "%s does not parse", name);
		return ret;
	}
	ret = image_check_context(*context, name);
	if (ret) {
		sealift__ibverbs__context__free_unpacked(*context, NULL);
		*context = NULL;
	}
	return ret;
}

long image_channel(const PB(Context) *context, uint32_t index)
{
	size_t low = 0, high = context->n_channels;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (context->channels[middle]->index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low < context->n_channels && context->channels[low]->index == index ? (long)low : -1;
}

static int compare_files(const void *a, const void *b)
{
	const PB(File) *one = *(PB(File) *const *)a, *two = *(PB(File) *const *)b;

	return (one->id > two->id) - (one->id < two->id);
}

const PB(File) *image_file(const PB(FileTable) *table, uint32_t id)
{
	PB(File) wanted = { .id = id }, *key = &wanted, **found;

	if (!table->n_files)
		return NULL;
	found = bsearch(&key, table->files, table->n_files, sizeof(key), compare_files);
	return found ? *found : NULL;
}

int image_decode_files(const uint8_t *data, size_t size, const char *name, PB(FileTable) **table)
{
	PB(Envelope) *envelope = image_open(data, size, name);

	if (!envelope)
		return -EINVAL;
	*table = sealift__ibverbs__file_table__unpack(NULL, envelope->body.len,
						      envelope->body.data);
	sealift__ibverbs__envelope__free_unpacked(envelope, NULL);
	if (!*table || (*table)->contexts > IMAGE_MAX_CONTEXTS ||
	    (*table)->n_files > IMAGE_MAX_OBJECTS)
		goto damaged;
	for (size_t i = 0; i < (*table)->n_files; i++)
		if ((*table)->files[i]->context >= (*table)->contexts ||
		    (uint32_t)(*table)->files[i]->kind > SEALIFT__IBVERBS__FILE_KIND__CHANNEL)
			goto damaged;
	if ((*table)->n_files)
		qsort((*table)->files, (*table)->n_files, sizeof(*(*table)->files), compare_files);
	return 0;
damaged:
	log_fail("image-damaged", "%s does not parse", name);
	if (*table)
		sealift__ibverbs__file_table__free_unpacked(*table, NULL);
	*table = NULL;
	return -EINVAL;
}

int image_read_context(int dir, unsigned int n, PB(Context) **context)
{
	uint8_t *data = NULL;
	char name[32];
	size_t size;
	int ret;

	context_name(name, sizeof(name), n);
	ret = image_read(dir, name, &data, &size);
	if (ret)
		return ret;
	ret = image_decode_context(data, size, name, context);
	free(data);
	return ret;
}

int image_read_files(int dir, PB(FileTable) **table)
{
	uint8_t *data = NULL;
	size_t size;
	int ret;

	ret = image_read(dir, IMAGE_FILES_NAME, &data, &size);
	if (ret)
		return ret;
	ret = image_decode_files(data, size, IMAGE_FILES_NAME, table);
	free(data);
	return ret;
}
