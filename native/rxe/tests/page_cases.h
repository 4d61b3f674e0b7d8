/* SPDX-License-Identifier: GPL-2.0 */
/* Memory of every kind, and what a process can do to it under a region. */
#ifndef PAGE_CASES_H
#define PAGE_CASES_H

#include <stdbool.h>
#include <stddef.h>

#define PAGE		4096UL
#define PAGES		8
#define SIZE		(PAGES * PAGE)
#define SAME		(-1)	/* no page is another one */
#define WRITES		(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)

/* Memory of which a test changes something. */
struct memory {
	unsigned char *at;
	size_t size;
	int fd;
	int access;		/* of the region */
};

struct page_case {
	const char *what;
	bool (*make)(struct memory *m); /* false: not on this kernel */
	void (*change)(struct memory *m);
	int want;		/* the first page that is another one, or SAME */
};

/* Ends with one without a name. */
extern const struct page_case page_cases[];

bool memory_anonymous(struct memory *m);
void memory_touch(struct memory *m);
/* Other memory for page 5. */
void memory_replace(struct memory *m);
/* None for page 3. */
void memory_unmap(struct memory *m);

#endif /* PAGE_CASES_H */
