/* SPDX-License-Identifier: GPL-2.0 */
/* LIST, and one object of it. */
#ifndef LISTED_H
#define LISTED_H

#include <stdint.h>

#include "sealift_rxe.h"

#define LISTED_MAX 512

struct listed {
	uint32_t count;
	struct sealift_rxe_device_object objects[LISTED_MAX];
};

/* Exits the process on failure. @fd: ibv_context.cmd_fd */
void listed_take(struct listed *l, int fd);

/* By its number, or its handle in a context; NULL if it is not there. */
const struct sealift_rxe_device_object *
listed_find(const struct listed *l, uint32_t kind, uint32_t number);
const struct sealift_rxe_device_object *
listed_find_handle(const struct listed *l, uint32_t kind, uint32_t context,
		   uint32_t handle);

/* The same of a new list; exits the process if it is not there. */
struct sealift_rxe_device_object listed_now(int fd, uint32_t kind,
					    uint32_t number);

#endif /* LISTED_H */
