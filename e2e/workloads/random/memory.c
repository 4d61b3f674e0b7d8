// SPDX-License-Identifier: Apache-2.0
#include "memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "failure.h"

#define HUGE_PAGE (2u << 20)
#define READ_WRITE (PROT_READ | PROT_WRITE)

static uint8_t *map(size_t length, int protection, int flags, int fd)
{
	uint8_t *at = mmap(NULL, length, protection, flags, fd, 0);

	MUST(at != MAP_FAILED);
	return at;
}

static uint8_t *anonymous(size_t length, int flags)
{
	return map(length, READ_WRITE, flags | MAP_ANONYMOUS, -1);
}

static uint8_t *of_descriptor(int fd, size_t length)
{
	uint8_t *at;

	MUST(fd >= 0 && !ftruncate(fd, (off_t)length));
	at = map(length, READ_WRITE, MAP_SHARED, fd);
	/* The mapping needs none, and an open file is another thing to be moved: half of them stay. */
	if (length / PAGE % 2)
		close(fd);
	return at;
}

static int file_in(const char *directory)
{
	static unsigned int number;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/random-verbs.%d.%u", directory, (int)getpid(), number++);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	MUST(fd >= 0);
	return fd;
}

/* Anonymous memory, a page of a memfd, and anonymous memory again. */
static uint8_t *several(size_t length)
{
	uint8_t *at = anonymous(length, MAP_PRIVATE);
	int fd = memfd_create("several", MFD_CLOEXEC);

	MUST(fd >= 0 && !ftruncate(fd, PAGE));
	MUST(mmap(at + PAGE, PAGE, READ_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
	close(fd);
	return at;
}

static uint8_t *not_forked(size_t length)
{
	uint8_t *at = anonymous(length + 2 * PAGE, MAP_PRIVATE) + PAGE;

	MUST(!madvise(at, length, MADV_DONTFORK));
	return at;
}

static uint8_t *transparent(struct memory *m)
{
	uint8_t *all = anonymous(2 * HUGE_PAGE, MAP_PRIVATE);
	uint8_t *at = (uint8_t *)(((uintptr_t)all + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));

	m->length = HUGE_PAGE;
	/* A kernel without them says EINVAL. */
	madvise(at, HUGE_PAGE, MADV_HUGEPAGE);
	return at;
}

static uint8_t *huge(struct memory *m)
{
	uint8_t *at = mmap(NULL, HUGE_PAGE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (at != MAP_FAILED) {
		m->length = HUGE_PAGE;
		return at;
	}
	m->kind = MEMORY_ANONYMOUS;
	return anonymous(m->length, MAP_PRIVATE);
}

static uint8_t *writable(struct memory *m)
{
	switch (m->kind) {
	case MEMORY_SHARED:
		return anonymous(m->length, MAP_SHARED);
	case MEMORY_MEMFD:
		return of_descriptor(memfd_create("random-verbs", MFD_CLOEXEC), m->length);
	case MEMORY_TMPFS:
		return of_descriptor(file_in("/dev/shm"), m->length);
	case MEMORY_SEVERAL:
		return several(m->length);
	case MEMORY_NOT_FORKED:
		return not_forked(m->length);
	case MEMORY_TRANSPARENT:
		return transparent(m);
	case MEMORY_HUGE:
		return huge(m);
	default:
		return anonymous(m->length, MAP_PRIVATE);
	}
}

/* The kernel pins no page of a disk's file for writing: the device may only read. */
static uint8_t *of_file(size_t length, const char *directory, int flags, const uint8_t *image)
{
	int fd = file_in(directory);
	uint8_t *at;

	MUST(write(fd, image, length) == (ssize_t)length);
	at = map(length, PROT_READ, flags, fd);
	close(fd);
	return at;
}

void memory_make(struct memory *m, enum memory_kind kind, size_t length, const char *directory, content *fill,
		 const void *of)
{
	size_t whole = (length + PAGE - 1) / PAGE * PAGE;
	uint8_t *image = calloc(1, whole);

	MUST(image);
	for (uint32_t i = 0; fill && i < length; i++)
		image[i] = fill(of, i);
	*m = (struct memory){ .kind = kind, .length = whole };
	if (kind == MEMORY_FILE_PRIVATE || kind == MEMORY_FILE_SHARED) {
		m->at = of_file(whole, directory, kind == MEMORY_FILE_SHARED ? MAP_SHARED : MAP_PRIVATE, image);
	} else {
		m->at = writable(m);
		memcpy(m->at, image, whole);
		if (kind == MEMORY_PROTECTED)
			MUST(!mprotect(m->at, m->length, PROT_READ));
	}
	free(image);
}

void memory_free(struct memory *m)
{
	if (m->at)
		MUST(!munmap(m->at, m->length));
	m->at = NULL;
}
