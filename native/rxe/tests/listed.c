// SPDX-License-Identifier: GPL-2.0
#include "listed.h"

#include <err.h>
#include <string.h>

#include "method.h"

void listed_take(struct listed *l, int fd)
{
	struct sealift_rxe_list out;
	int ret = sl_list(fd, l->objects, LISTED_MAX, &out);

	if (ret)
		errx(1, "LIST: %s", strerror(-ret));
	l->count = out.count;
}

const struct sealift_rxe_device_object *
listed_find(const struct listed *l, uint32_t kind, uint32_t number)
{
	uint32_t i;

	for (i = 0; i < l->count; i++)
		if (l->objects[i].kind == kind && l->objects[i].number == number)
			return &l->objects[i];
	return NULL;
}

const struct sealift_rxe_device_object *
listed_find_handle(const struct listed *l, uint32_t kind, uint32_t context,
		   uint32_t handle)
{
	uint32_t i;

	for (i = 0; i < l->count; i++)
		if (l->objects[i].kind == kind &&
		    l->objects[i].context == context &&
		    l->objects[i].handle == handle)
			return &l->objects[i];
	return NULL;
}

struct sealift_rxe_device_object listed_now(int fd, uint32_t kind,
					    uint32_t number)
{
	const struct sealift_rxe_device_object *o;
	struct listed l;

	listed_take(&l, fd);
	o = listed_find(&l, kind, number);
	if (!o)
		errx(1, "LIST has no object %#x of kind %u", number, kind);
	return *o;
}
