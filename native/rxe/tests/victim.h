/* SPDX-License-Identifier: GPL-2.0 */
/* One queue pair's image, to be altered and restored as often as one likes. */
#ifndef VICTIM_H
#define VICTIM_H

#include "method.h"

struct victim {
	int fd;			/* of the context */
	struct sealift_rxe_qp qp, qp_orig;
	uint32_t max_recv_sge;	/* of the queue that it receives from */
	unsigned char *sq, *rq;
	struct sealift_rxe_res *res;
	/* as dumped */
	unsigned char *sq_orig, *rq_orig;
	struct sealift_rxe_res *res_orig;
};

/* All exit the process on failure. The device of @fd is held. */

/* Dump a queue pair. */
void victim_dump(struct victim *v, int fd, uint32_t handle);
/* Dump a queue pair and destroy it. */
void victim_take(struct victim *v, int fd, uint32_t handle);
/* Create it again, with its number. Return: its handle */
uint32_t victim_create(const struct victim *v);

/* The image's buffers as they are now. */
struct sealift_rxe_qp_buffers victim_buffers(const struct victim *v);
/*
 * Create it again and restore the image as it is now.
 * Return: 0 and the handle, or -errno with nothing left behind
 */
int victim_restore(const struct victim *v, uint32_t *handle);
/* Destroy a restored one, when no other thread dumps it any more. */
void victim_destroy(const struct victim *v, uint32_t handle);
/* The image is again what was dumped. */
void victim_reset(struct victim *v);
void victim_free(struct victim *v);

#endif /* VICTIM_H */
