// SPDX-License-Identifier: GPL-2.0
#include "page_cases.h"

#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#define HUGE_SIZE	(2UL << 20)

static bool map(struct memory *m, int prot, int flags, int fd)
{
	void *at = mmap(NULL, m->size, prot, flags, fd, 0);

	m->fd = fd;
	m->at = at;
	return at != MAP_FAILED;
}

static void map_at(struct memory *m, unsigned int page, unsigned int pages,
		   int prot, int flags, int fd, unsigned int file_page)
{
	if (mmap(m->at + page * PAGE, pages * PAGE, prot, flags | MAP_FIXED, fd,
		 file_page * PAGE) == MAP_FAILED)
		err(1, "mmap at page %u", page);
}

bool memory_anonymous(struct memory *m)
{
	return map(m, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/* As a program's: pages below the mapping are not its own. */
static bool stack(struct memory *m)
{
	return map(m, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1);
}

static bool read_only(struct memory *m)
{
	m->access = IBV_ACCESS_REMOTE_READ;
	return memory_anonymous(m);
}

static bool shared(struct memory *m)
{
	return map(m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
}

static int new_file(size_t size)
{
	int fd = memfd_create("pages", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, size))
		err(1, "memfd_create");
	return fd;
}

static bool file(struct memory *m)
{
	return map(m, PROT_READ | PROT_WRITE, MAP_SHARED, new_file(m->size));
}

static bool private_file(struct memory *m)
{
	m->access = IBV_ACCESS_REMOTE_READ;
	return map(m, PROT_READ | PROT_WRITE, MAP_PRIVATE, new_file(m->size));
}

static bool transparent(struct memory *m)
{
	uintptr_t at;

	m->size = 2 * HUGE_SIZE;
	if (!memory_anonymous(m))
		return false;
	at = ((uintptr_t)m->at + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);
	m->at = (void *)at;
	m->size = HUGE_SIZE;
	return !madvise(m->at, m->size, MADV_HUGEPAGE);
}

static bool huge(struct memory *m)
{
	m->size = HUGE_SIZE;
	return map(m, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1);
}

void memory_touch(struct memory *m)
{
	memset(m->at, 0x5a, m->size);
}

static void nothing(struct memory *m)
{
	(void)m;
}

static void pass_time_in_child(struct memory *m)
{
	pid_t pid = fork();

	if (!pid) {
		memory_touch(m);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		err(1, "fork");
	memory_touch(m);
}

static void protect(struct memory *m)
{
	if (mprotect(m->at, m->size, PROT_NONE))
		err(1, "mprotect");
}

/* The page tables lose the page, the page cache has it. */
static void page_out(struct memory *m)
{
	if (madvise(m->at, m->size, MADV_PAGEOUT))
		err(1, "MADV_PAGEOUT");
}

static void give_up(struct memory *m)
{
	if (madvise(m->at + 2 * PAGE, PAGE, MADV_DONTNEED))
		err(1, "MADV_DONTNEED");
}

static void give_up_and_touch(struct memory *m)
{
	give_up(m);
	memory_touch(m);
}

void memory_unmap(struct memory *m)
{
	if (munmap(m->at + 3 * PAGE, PAGE))
		err(1, "munmap");
}

static void unmap_first(struct memory *m)
{
	if (munmap(m->at, 3 * PAGE))
		err(1, "munmap");
}

void memory_replace(struct memory *m)
{
	map_at(m, 5, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory_touch(m);
}

static void replace_last(struct memory *m)
{
	map_at(m, PAGES - 1, 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void move_away(struct memory *m)
{
	if (mremap(m->at + 4 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0)) == MAP_FAILED)
		err(1, "mremap");
	map_at(m, 4, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory_touch(m);
}

static void map_file_again(struct memory *m)
{
	if (munmap(m->at, m->size))
		err(1, "munmap");
	map_at(m, 0, PAGES, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
}

static void map_file_elsewhere(struct memory *m)
{
	map_at(m, 1, 1, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 6);
}

static void map_file_privately(struct memory *m)
{
	map_at(m, 1, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, m->fd, 1);
	memory_touch(m);
}

static void map_another_file(struct memory *m)
{
	map_at(m, 1, 1, PROT_READ | PROT_WRITE, MAP_SHARED, new_file(SIZE), 1);
}

static void truncate_file(struct memory *m)
{
	if (ftruncate(m->fd, 6 * PAGE) || ftruncate(m->fd, SIZE))
		err(1, "ftruncate");
	memory_touch(m);
}

static void punch(struct memory *m)
{
	if (fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      4 * PAGE, PAGE))
		err(1, "fallocate");
}

const struct page_case page_cases[] = {
	{ "anonymous memory", memory_anonymous, nothing, SAME },
	{ "anonymous memory that is written", memory_anonymous, memory_touch, SAME },
	{ "anonymous memory of a parent", memory_anonymous, pass_time_in_child, SAME },
	{ "protected memory", memory_anonymous, protect, SAME },
	{ "a stack", stack, memory_touch, SAME },
	{ "memory that the device reads", read_only, nothing, SAME },
	{ "memory that the device reads, written", read_only, memory_touch, SAME },
	{ "memory that the device reads, of a parent", read_only, pass_time_in_child, SAME },
	{ "shared memory", shared, memory_touch, SAME },
	{ "shared memory of a parent", shared, pass_time_in_child, SAME },
	{ "shared memory given up, which the kernel keeps", shared, give_up, SAME },
	{ "a file", file, memory_touch, SAME },
	{ "a file that is not in the page tables", file, page_out, SAME },
	{ "a file given up, which the kernel keeps", file, give_up, SAME },
	{ "a file mapped again", file, map_file_again, SAME },
	{ "a private file", private_file, nothing, SAME },
	{ "a private file that is written", private_file, memory_touch, SAME },
	{ "a huge page", transparent, memory_touch, SAME },
	{ "a huge page of a parent", transparent, pass_time_in_child, SAME },
	{ "a page of hugetlbfs", huge, memory_touch, SAME },

	{ "unmapped memory", memory_anonymous, memory_unmap, 3 },
	{ "unmapped memory, of which the end is there", memory_anonymous, unmap_first, 0 },
	{ "an unmapped part of a stack", stack, unmap_first, 0 },
	{ "memory mapped anew", memory_anonymous, memory_replace, 5 },
	{ "memory mapped anew, its last page", memory_anonymous, replace_last, 7 },
	{ "memory mapped anew, that the device reads", read_only, memory_replace, 5 },
	{ "memory moved away", memory_anonymous, move_away, 4 },
	{ "memory given up", memory_anonymous, give_up, 2 },
	{ "memory given up and written", memory_anonymous, give_up_and_touch, 2 },
	{ "a part of a huge page given up", transparent, give_up_and_touch, 2 },
	{ "shared memory mapped anew", shared, memory_replace, 5 },
	{ "shared memory unmapped", shared, memory_unmap, 3 },
	{ "a file mapped elsewhere", file, map_file_elsewhere, 1 },
	{ "a file mapped privately", file, map_file_privately, 1 },
	{ "another file", file, map_another_file, 1 },
	{ "a file cut and grown again", file, truncate_file, 6 },
	{ "a hole in a file", file, punch, 4 },
	{ "a private file cut and grown again", private_file, truncate_file, 6 },
	{ "a private file given up", private_file, give_up_and_touch, 2 },
	{ 0 },
};
