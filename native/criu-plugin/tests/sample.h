/* SPDX-License-Identifier: GPL-2.0 */
/* An image with one of everything, which the tests then spoil. */
#ifndef SEALIFT_SAMPLE_H
#define SEALIFT_SAMPLE_H

#include "image.h"

struct sample {
	PB(Context) context;
	PB(Driver) driver;
	PB(Descriptor) descriptor;
	PB(EventFile) async, channel;
	PB(ProtectionDomain) pd;
	PB(CompletionQueue) cq;
	PB(SharedReceiveQueue) srq;
	PB(AddressHandle) ah;
	PB(QueuePair) qp;
	PB(Path) path, ah_path;
	PB(MemoryRegion) mr;
	PB(Mapping) mapping;
	PB(DriverState) cq_state, srq_state, ah_state, qp_state;
	ProtobufCBinaryData buffers[3];
	PB(Descriptor) *descriptors[1];
	PB(EventFile) *channels[1];
	PB(ProtectionDomain) *pds[1];
	PB(CompletionQueue) *cqs[1];
	PB(SharedReceiveQueue) *srqs[1];
	PB(AddressHandle) *ahs[1];
	PB(QueuePair) *qps[1];
	PB(MemoryRegion) *mrs[1];
	PB(Mapping) *mappings[1];
	uint8_t bytes[64];
};

/* Fills @s anew; returns its context. */
PB(Context) *sample_fill(struct sample *s);

#endif
