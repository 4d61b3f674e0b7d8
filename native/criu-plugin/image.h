/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The plugin's image files, see native/proto/ibverbs.proto. What is read is
 * not trusted: image_read_context() returns only what is consistent in itself.
 */
#ifndef SEALIFT_IMAGE_H
#define SEALIFT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ibverbs.pb-c.h"

#define PB(name) Sealift__Ibverbs__##name

#define IMAGE_MAGIC		0x54464c53U
#define IMAGE_VERSION		2U	/* what is written */
#define IMAGE_VERSION_OLDEST	1U	/* what is read, too: its queues are never packed */
#define IMAGE_FILES_NAME	"ibverbs-files.img"

/* Limits of a sane image; no device has more protection domains than handles here (RXE_MAX_PD). */
#define IMAGE_MAX_CONTEXTS	256U
#define IMAGE_MAX_OBJECTS	65536U
#define IMAGE_MAX_HANDLE	(1U << 20)
#define IMAGE_MAX_FD		(1U << 20)
#define IMAGE_MAX_BYTES		(512U << 20)

/* Allocators that pair with protobuf-c's free; NULL or -ENOMEM when out of memory. */
int image_append(void *array, size_t *count, void *item);
int image_bytes(ProtobufCBinaryData *field, const void *data, size_t size);

/* Any file of these. 0 or -errno, with a line in the log but for a file that is not there (-ENOENT). */
int image_write(int dir, const char *name, const ProtobufCMessage *message);
int image_read(int dir, const char *name, uint8_t **data, size_t *size);

/* The envelope around a body of this version, whole; NULL with a line in the log. */
PB(Envelope) *image_open(const uint8_t *data, size_t size, const char *name);

/* All 0 or -errno, with a line in the log. */
int image_write_context(int dir, unsigned int n, const PB(Context) *context);
int image_write_files(int dir, const PB(FileTable) *table);
int image_remove_all(int dir);

/* -ENOENT, without a line in the log: there is no such file. */
int image_read_context(int dir, unsigned int n, PB(Context) **context);
int image_read_files(int dir, PB(FileTable) **table);

/* On a buffer: the part that tests drive. */
int image_decode_context(const uint8_t *data, size_t size, const char *name,
			 PB(Context) **context);
int image_decode_files(const uint8_t *data, size_t size, const char *name,
		       PB(FileTable) **table);
uint8_t *image_encode(const ProtobufCMessage *message, size_t *size);
uint32_t image_crc32(const uint8_t *data, size_t size);

/* The process, by its pid inside, in whose memory the region lies. */
uint32_t image_region_owner(const PB(Context) *context, const PB(MemoryRegion) *mr);

/* Has the process, by its pid inside, the context open? */
bool image_has_open(const PB(Context) *context, uint32_t inner);

/* Has the process, by its pid inside, queues of the context mapped? */
bool image_has_mapped(const PB(Context) *context, uint32_t inner);

/* The place of the channel of that index in the context, whose channels are sorted by it; -1: it has none. */
long image_channel(const PB(Context) *context, uint32_t index);

/* The file that CRIU calls @id, of a table that is sorted by it; NULL: none. */
const PB(File) *image_file(const PB(FileTable) *table, uint32_t id);

/* The highest handle of any object, or -1. */
long image_max_handle(const PB(Context) *context);

/* Is the context consistent in itself? 0 or -EINVAL. */
int image_check_context(const PB(Context) *context, const char *name);

#endif
