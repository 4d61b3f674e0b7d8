// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
#include "weight_restore.h"
#include "weight_verbs.h"

#define FREE_FD 512

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
	if (before->n_qps != after->n_qps || before->n_cqs != after->n_cqs)
		errx(1, "%zu queue pairs and %zu completion queues instead of %zu and %zu", after->n_qps, after->n_cqs,
		     before->n_qps, before->n_cqs);
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

double weight_restore(PB(Context) *context)
{
	char path[] = "/tmp/sealift-weight-XXXXXX";
	PB(Context) *again = calloc(1, sizeof(*again));
	struct rings rings = {};
	double began;
	int dir;

	MUST(mkdtemp(path) && (dir = open(path, O_DIRECTORY)) >= 0 && again);
	of_this_process(context);
	if (image_check_context(context, "the dump") || image_write_context(dir, 0, context))
		exit(1);
	began = now_ms();
	if (restored_read(dir, 1, true) || build_context(restored_at(0)))
		exit(1);
	began = now_ms() - began;

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
	return began;
}
