// SPDX-License-Identifier: GPL-2.0
/*
 * LIST and DUMP_MR: has a region still the pages that its owner has at its
 * addresses? A restore registers what the owner has.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "expect.h"
#include "protocol.h"
#include "scripted.h"

#define PAGE		4096UL
#define PAGES		8
#define SIZE		(PAGES * PAGE)
#define HUGE_SIZE	(2UL << 20)
#define SAME		(-1)	/* no page is another one */
#define WRITES		(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
#define MAX_OBJECTS	512
#define RACE_MS		2000
#define MEASURES	9

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

static bool anonymous(struct memory *m)
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
	return anonymous(m);
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
	if (!anonymous(m))
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

static void touch(struct memory *m)
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
		touch(m);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		err(1, "fork");
	touch(m);
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
	touch(m);
}

static void unmap(struct memory *m)
{
	if (munmap(m->at + 3 * PAGE, PAGE))
		err(1, "munmap");
}

static void unmap_first(struct memory *m)
{
	if (munmap(m->at, 3 * PAGE))
		err(1, "munmap");
}

static void replace(struct memory *m)
{
	map_at(m, 5, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	touch(m);
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
	touch(m);
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
	touch(m);
}

static void map_another_file(struct memory *m)
{
	map_at(m, 1, 1, PROT_READ | PROT_WRITE, MAP_SHARED, new_file(SIZE), 1);
}

static void truncate_file(struct memory *m)
{
	if (ftruncate(m->fd, 6 * PAGE) || ftruncate(m->fd, SIZE))
		err(1, "ftruncate");
	touch(m);
}

static void punch(struct memory *m)
{
	if (fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      4 * PAGE, PAGE))
		err(1, "fallocate");
}

static const struct page_case page_cases[] = {
	{ "anonymous memory", anonymous, nothing, SAME },
	{ "anonymous memory that is written", anonymous, touch, SAME },
	{ "anonymous memory of a parent", anonymous, pass_time_in_child, SAME },
	{ "protected memory", anonymous, protect, SAME },
	{ "a stack", stack, touch, SAME },
	{ "memory that the device reads", read_only, nothing, SAME },
	{ "memory that the device reads, written", read_only, touch, SAME },
	{ "memory that the device reads, of a parent", read_only, pass_time_in_child, SAME },
	{ "shared memory", shared, touch, SAME },
	{ "shared memory of a parent", shared, pass_time_in_child, SAME },
	{ "shared memory given up, which the kernel keeps", shared, give_up, SAME },
	{ "a file", file, touch, SAME },
	{ "a file that is not in the page tables", file, page_out, SAME },
	{ "a file given up, which the kernel keeps", file, give_up, SAME },
	{ "a file mapped again", file, map_file_again, SAME },
	{ "a private file", private_file, nothing, SAME },
	{ "a private file that is written", private_file, touch, SAME },
	{ "a huge page", transparent, touch, SAME },
	{ "a huge page of a parent", transparent, pass_time_in_child, SAME },
	{ "a page of hugetlbfs", huge, touch, SAME },

	{ "unmapped memory", anonymous, unmap, 3 },
	{ "unmapped memory, of which the end is there", anonymous, unmap_first, 0 },
	{ "an unmapped part of a stack", stack, unmap_first, 0 },
	{ "memory mapped anew", anonymous, replace, 5 },
	{ "memory mapped anew, its last page", anonymous, replace_last, 7 },
	{ "memory mapped anew, that the device reads", read_only, replace, 5 },
	{ "memory moved away", anonymous, move_away, 4 },
	{ "memory given up", anonymous, give_up, 2 },
	{ "memory given up and written", anonymous, give_up_and_touch, 2 },
	{ "a part of a huge page given up", transparent, give_up_and_touch, 2 },
	{ "shared memory mapped anew", shared, replace, 5 },
	{ "shared memory unmapped", shared, unmap, 3 },
	{ "a file mapped elsewhere", file, map_file_elsewhere, 1 },
	{ "a file mapped privately", file, map_file_privately, 1 },
	{ "another file", file, map_another_file, 1 },
	{ "a file cut and grown again", file, truncate_file, 6 },
	{ "a hole in a file", file, punch, 4 },
	{ "a private file cut and grown again", private_file, truncate_file, 6 },
	{ "a private file given up", private_file, give_up_and_touch, 2 },
};

static struct sealift_rxe_device_object objects[MAX_OBJECTS];

static const struct sealift_rxe_device_object *listed(const struct scripted *s,
						      uint32_t rkey)
{
	struct sealift_rxe_list out;
	uint32_t i;

	if (sl_list(s->fd, objects, MAX_OBJECTS, &out))
		errx(1, "LIST");
	for (i = 0; i < out.count; i++)
		if (objects[i].kind == SEALIFT_RXE_KIND_MR &&
		    objects[i].number == rkey)
			return &objects[i];
	errx(1, "no region %#x in the list", rkey);
}

/* The page that LIST and DUMP_MR say, or SAME. */
static int page_of(uint8_t flags, uint32_t page)
{
	return flags & SEALIFT_RXE_OBJECT_REMAPPED ? (int)page :
	       page ? -2 : SAME;
}

static void look(const struct scripted *s, const struct ibv_mr *mr, int want,
		 const char *what)
{
	const struct sealift_rxe_device_object *o = listed(s, mr->rkey);
	struct sealift_rxe_mr dumped;

	expect(want, page_of(o->flags, o->remapped_page), "LIST: %s", what);
	if (sl_dump_mr(s->fd, mr->handle, &dumped))
		errx(1, "DUMP_MR");
	expect(want, page_of(dumped.flags, dumped.remapped_page), "DUMP_MR: %s",
	       what);
}

static void run_case(const struct scripted *s, const struct page_case *c)
{
	struct memory m = { .size = SIZE, .access = WRITES };
	struct ibv_mr *mr;

	if (!c->make(&m)) {
		printf("# skipped: %s, which this kernel has not\n", c->what);
		return;
	}
	/* neither end is a page's */
	mr = ibv_reg_mr(s->end.pd, m.at + 100, m.size - 300, m.access);
	if (!mr)
		err(1, "a region over %s", c->what);
	c->change(&m);
	look(s, mr, c->want, c->what);
	if (ibv_dereg_mr(mr))
		err(1, "ibv_dereg_mr");
}

static void kinds(void)
{
	struct scripted s;
	unsigned int i;

	scripted_open_end(&s, IBV_QPT_RC);
	for (i = 0; i < ARRAY_SIZE(page_cases); i++)
		run_case(&s, &page_cases[i]);
}

/* A child's region is compared with the child's memory. */
static void of_a_child(void)
{
	int go[2], told[2];
	struct scripted s;
	struct memory m = { .size = SIZE };
	struct ibv_mr mr, *own;
	pid_t pid;
	char c;

	scripted_open_end(&s, IBV_QPT_RC);
	if (!anonymous(&m) || pipe(go) || pipe(told))
		err(1, "pipe");
	pid = fork();
	if (!pid) {
		own = ibv_reg_mr(s.end.pd, m.at, SIZE, WRITES);
		if (!own || write(told[1], own, sizeof(*own)) < 0 ||
		    read(go[0], &c, 1) != 1)
			err(1, "child");
		replace(&m);
		if (write(told[1], "", 1) != 1 || read(go[0], &c, 1) != 1)
			err(1, "child");
		_exit(0);
	}
	if (read(told[0], &mr, sizeof(mr)) != sizeof(mr))
		errx(1, "the child is gone");
	replace(&m);
	look(&s, &mr, SAME, "a child's memory, beside the parent's");
	if (write(go[1], "", 1) != 1 || read(told[0], &c, 1) != 1)
		errx(1, "the child is gone");
	look(&s, &mr, 5, "a child's memory mapped anew");
	if (write(go[1], "", 1) != 1 || waitpid(pid, NULL, 0) != pid)
		err(1, "wait");
	look(&s, &mr, SAME, "nobody's memory is compared");
}

static bool stop;

/* Registers, maps anew and deregisters, as fast as it can. */
static void *churn(void *arg)
{
	struct scripted *s = arg;
	struct memory m = { .size = SIZE };
	struct ibv_mr *mr;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (!anonymous(&m))
			err(1, "mmap");
		mr = ibv_reg_mr(s->end.pd, m.at, SIZE, WRITES);
		if (!mr)
			err(1, "ibv_reg_mr");
		replace(&m);
		unmap(&m);
		if (ibv_dereg_mr(mr) || munmap(m.at, SIZE))
			err(1, "ibv_dereg_mr");
	}
	return NULL;
}

/* The memory that LIST looks at goes away under it, with its process. */
static void end_child(struct scripted *s, struct memory *m)
{
	pid_t pid = fork();

	if (!pid) {
		if (!ibv_reg_mr(s->end.pd, m->at, SIZE, WRITES))
			_exit(1);
		_exit(0);
	}
	if (pid < 0)
		err(1, "fork");
}

static void in_a_race(void)
{
	struct memory m = { .size = SIZE };
	struct sealift_rxe_list out;
	double start = now_ms();
	unsigned int lists = 0;
	pthread_t thread;
	struct scripted s;
	int ret = 0;

	signal(SIGCHLD, SIG_IGN);
	scripted_open_end(&s, IBV_QPT_RC);
	if (!anonymous(&m) || pthread_create(&thread, NULL, churn, &s))
		err(1, "pthread_create");
	while (!ret && now_ms() - start < RACE_MS) {
		if (lists++ % 8 == 0 && lists < 8 * MAX_OBJECTS / 4)
			end_child(&s, &m);
		ret = sl_list(s.fd, objects, MAX_OBJECTS, &out);
		if (ret == -ENOSPC) /* one more since it has counted */
			ret = 0;
	}
	expect(0, ret, "LIST beside who registers and ends");
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

/* Return: ns, the best of some measures */
static double time_dump(const struct scripted *s, const struct ibv_mr *mr)
{
	struct sealift_rxe_mr dumped;
	double start, best = 1e9;
	unsigned int i;

	for (i = 0; i < MEASURES; i++) {
		start = now_ms();
		if (sl_dump_mr(s->fd, mr->handle, &dumped) || dumped.flags)
			errx(1, "DUMP_MR");
		if (now_ms() - start < best)
			best = now_ms() - start;
	}
	return best * 1e6;
}

static double cost(const struct scripted *s, size_t pages, bool is_huge)
{
	struct memory m = { .size = pages * PAGE, .access = WRITES };
	struct ibv_mr *mr;
	double ns;

	if (!anonymous(&m) ||
	    (madvise(m.at, m.size, is_huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) &&
	     is_huge))
		return 0;
	touch(&m);
	mr = ibv_reg_mr(s->end.pd, m.at, m.size, m.access);
	if (!mr)
		err(1, "a region of %zu pages", pages);
	ns = time_dump(s, mr) / pages;
	if (ibv_dereg_mr(mr) || munmap(m.at, m.size))
		err(1, "ibv_dereg_mr");
	printf("# %zu %spages: %.1f ns each\n", pages,
	       is_huge ? "transparent huge memory's " : "", ns);
	return ns;
}

/* It is in the pause: no more for each page the more there are. */
static void time_pages(void)
{
	struct scripted s;
	double few, many;

	scripted_open_end(&s, IBV_QPT_RC);
	few = cost(&s, 1024, false);
	many = cost(&s, 32768, false);
	cost(&s, 32768, true);
	expect(1, many < 3 * few, "what a page costs (%.1f ns, %.1f ns)", few, many);
}

const struct protocol_case protocol_pages_cases[] = {
	{ "pages of a region", kinds },
	{ "pages of a child", of_a_child },
	{ "pages in a race", in_a_race },
	{ "pages, how long", time_pages },
	{ 0 },
};
