/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a kind, with a content. */
#ifndef RANDOM_MEMORY_H
#define RANDOM_MEMORY_H

#include <stddef.h>

#include "plan.h"

struct memory {
	uint8_t *at;
	size_t length;
	enum memory_kind kind; /* as it was made */
};

/* The byte at @i, for whoever passes @of. */
typedef uint8_t content(const void *of, uint32_t i);

/*
 * @fill may be NULL: zeroes. @directory: where files on a disk lie. A node without huge pages gives anonymous memory.
 */
void memory_make(struct memory *m, enum memory_kind kind, size_t length, const char *directory, content *fill,
		 const void *of);
void memory_free(struct memory *m);

#endif
