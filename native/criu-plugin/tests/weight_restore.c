// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
#include "failure.h"
#include "log.h"
#include "weight_restore.h"
#include "weight_verbs.h"

#define FREE_FD 512

static bool quiet;

/* In place of CRIU's. */
void print_on_level(unsigned int level, const char *format, ...)
{
	va_list args;

	if (level > LOG_LEVEL_ERROR || quiet)
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
}

/* The queues, and of a queue pair the replay cache. */
static void same(const PB(DriverState) *before, const PB(DriverState) *after, const char *what, uint32_t number)
{
	MUST(before->n_buffers == after->n_buffers);
	for (size_t i = 0; i < before->n_buffers; i++) {
		const ProtobufCBinaryData *one = &before->buffers[i], *two = &after->buffers[i];

		if (one->len != two->len || memcmp(one->data, two->data, one->len))
			errx(1, "buffer %zu of %s %#x is another one after a restore: %zu bytes, %zu before", i, what, number,
			     two->len, one->len);
	}
}

static void compare(const PB(Context) *before, const PB(Context) *after)
{
	if (before->n_qps != after->n_qps || before->n_cqs != after->n_cqs || before->n_srqs != after->n_srqs)
		errx(1, "%zu queue pairs, %zu completion queues and %zu shared receive queues instead of %zu, %zu and %zu", after->n_qps,
		     after->n_cqs, after->n_srqs, before->n_qps, before->n_cqs, before->n_srqs);
	for (size_t i = 0; i < before->n_srqs; i++)
		same(before->srqs[i]->driver, after->srqs[i]->driver, "shared receive queue", before->srqs[i]->handle);
	for (size_t i = 0; i < before->n_qps; i++)
		same(before->qps[i]->driver, after->qps[i]->driver, "queue pair", before->qps[i]->qpn);
	for (size_t i = 0; i < before->n_cqs; i++)
		same(before->cqs[i]->driver, after->cqs[i]->driver, "completion queue", before->cqs[i]->handle);
}

/* This process is all that has it open. */
static void of_this_process(PB(Context) *context)
{
	PB(Descriptor) *descriptor = calloc(1, sizeof(*descriptor));

	MUST(descriptor && !image_append(&context->descriptors, &context->n_descriptors, descriptor));
	sealift__ibverbs__descriptor__init(descriptor);
	descriptor->pid = context->owner = getpid();
	/* this process may have none above 1,023 */
	context->has_free_fd = true;
	context->free_fd = context->max_fd = FREE_FD;
}

/* Writes @context, and reads and builds what was written. */
static int write_and_build(int dir, PB(Context) *context, double *took)
{
	int ret;

	if (image_check_context(context, "the dump") || image_write_context(dir, 0, context))
		exit(1);
	*took = now_ms();
	if (restored_read(dir, 1, true))
		exit(1);
	ret = build_context(restored_at(0));
	*took = now_ms() - *took;
	return ret;
}

/* Whose checksum is right, but a queue of it ends early, or goes on. */
static void refused(int dir, PB(Context) *context, ProtobufCBinaryData *queue, long more)
{
	ProtobufCBinaryData was = *queue;
	const struct failure *failure;
	double took;

	MUST((queue->data = calloc(1, was.len + 1)));
	memcpy(queue->data, was.data, was.len);
	queue->len += more;
	MUST(!failure_reset());
	if (!write_and_build(dir, context, &took))
		errx(1, "a queue of %zu bytes was restored from %zu", was.len, queue->len);
	failure = failure_first();
	if (!failure || strcmp(failure->code, "image-damaged"))
		errx(1, "a damaged queue is %s", failure ? failure->code : "nothing");
	for (size_t i = 0; i < 2 + context->n_channels; i++)
		close(restored_at(0)->built->files[i]);
	restored_forget();
	free(queue->data);
	*queue = was;
}

/* One of each kind. */
static void refuses(int dir, PB(Context) *context)
{
	ProtobufCBinaryData *queues[] = {
		&context->cqs[0]->driver->buffers[0], &context->srqs[0]->driver->buffers[0],
		&context->qps[0]->driver->buffers[0], &context->qps[1]->driver->buffers[1],
	};

	for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
		refused(dir, context, queues[i], -1);
		refused(dir, context, queues[i], 1);
	}
}

double weight_restore(PB(Context) *context)
{
	char path[] = "/tmp/sealift-weight-XXXXXX";
	PB(Context) *again = calloc(1, sizeof(*again));
	struct rings rings = {};
	double took;
	int dir;

	MUST(mkdtemp(path) && (dir = open(path, O_DIRECTORY)) >= 0 && again);
	of_this_process(context);
	quiet = true;
	refuses(dir, context);
	quiet = false;
	if (write_and_build(dir, context, &took))
		exit(1);

	sealift__ibverbs__context__init(again);
	MUST((again->driver = calloc(1, sizeof(*again->driver))));
	sealift__ibverbs__driver__init(again->driver);
	if (driver_rxe.dump(restored_at(0)->built->files[0], again, &rings))
		exit(1);
	compare(context, again);
	if (driver_rxe.resume(restored_at(0)->built->files[0]))
		exit(1);
	free(rings.items);
	again->node_path = strdup("");
	again->driver->name = strdup("");
	sealift__ibverbs__context__free_unpacked(again, NULL);
	restored_forget();
	MUST(!image_remove_all(dir) && !close(dir) && !rmdir(path));
	return took;
}
