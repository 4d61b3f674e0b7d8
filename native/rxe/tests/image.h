/* SPDX-License-Identifier: GPL-2.0 */
/* Dump the objects of a context, destroy them, build them again. */
#ifndef IMAGE_H
#define IMAGE_H

#include "method.h"

#define IMAGE_MAX 64
/* unread asynchronous events */
#define IMAGE_EVENTS 64

struct image_object {
	uint32_t type;
	uint32_t handle;
	union {
		struct sealift_rxe_cq cq;
		struct sealift_rxe_srq srq;
		struct sealift_rxe_qp qp;
		struct sealift_rxe_mr mr;
		struct sealift_rxe_ah ah;
	};
	void *ring;	/* CQ, SRQ or SQ */
	void *rq;
	void *res;
	void *map;	/* where `ring` and `rq` are mapped */
	void *rq_map;
};

struct image {
	uint32_t num;
	int channel;	/* descriptor of the one completion channel, or -1 */
	struct image_object obj[IMAGE_MAX];
	struct sealift_rxe_events events;	/* of the objects */
	struct sealift_rxe_event event[IMAGE_EVENTS];
};

/* All exit the process on failure. The device of @fd is held. */
void image_dump(struct image *img, int fd, int channel);
void image_destroy(const struct image *img, int fd);
/* @qp_flags: enum sealift_rxe_qp_flags */
void image_restore(struct image *img, int fd, uint32_t qp_flags);
/* Is the state now what was dumped? */
void image_compare(const struct image *img, int fd);
void image_free(struct image *img);

#endif /* IMAGE_H */
