/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fuzzer's parts. One process and context is an epoch: it takes the image
 * of one queue pair, then alters and restores it many times, sends the restored
 * one packets that fit, and calls every method with arguments that do or don't.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>

#include "mutate.h"
#include "scripted.h"

/* Of all epochs, shared with the processes that run them. */
struct fuzz_counts {
	unsigned long calls;	/* of driver methods */
	unsigned long packets;
	unsigned long images, accepted;
	unsigned long broken;	/* accepted, or dumped, against a rule */
	/* where the epoch is, for one that does not end */
	unsigned int round;
	bool racing;
	const char *doing;
};

struct fuzz {
	struct scripted s;
	struct victim v;
	struct mutate_memory memory;
	struct fuzz_counts *counts;
	uint32_t cq_handle, mr_handle;
	uint32_t srq_handle;	/* or SEALIFT_RXE_NONE */
	uint32_t ah_handle;
	uint32_t qp_handle;	/* the restored one; the racing thread reads it */
};

/* Open a context, bring a queue pair into some state, and take its image. */
void fuzz_take(struct fuzz *f);
/* Send the restored queue pair a packet that its state makes matter. */
void fuzz_packet(struct fuzz *f);
/* Call some method. The device may be held or not afterwards. */
void fuzz_call(struct fuzz *f);
/* A completion queue or a region: create, restore, dump, destroy. */
void fuzz_object(struct fuzz *f);

/* Calls against those of the main thread; ends with the process. */
void fuzz_race(struct fuzz *f);

/* The kernel's log from now on. Return: descriptor */
int fuzz_log_open(void);
/* Print what the kernel reports. Return: is there a fault among it? */
bool fuzz_log_reports(int fd);

#endif /* FUZZ_H */
