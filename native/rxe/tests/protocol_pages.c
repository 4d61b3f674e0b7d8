// SPDX-License-Identifier: GPL-2.0
/*
 * LIST and DUMP_MR: has a region still the pages that its owner has at its
 * addresses? A restore registers what the owner has.
 */
#include <err.h>
#include <errno.h>
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
#include "listed.h"
#include "page_cases.h"
#include "protocol.h"
#include "scripted.h"

#define RACE_MS		2000
#define MEASURES	9

/* The page that LIST and DUMP_MR say, or SAME. */
static int page_of(uint8_t flags, uint32_t page)
{
	return flags & SEALIFT_RXE_OBJECT_REMAPPED ? (int)page :
	       page ? -2 : SAME;
}

static void look(const struct scripted *s, const struct ibv_mr *mr, int want,
		 const char *what)
{
	struct sealift_rxe_device_object o =
		listed_now(s->fd, SEALIFT_RXE_KIND_MR, mr->rkey);
	struct sealift_rxe_mr dumped;

	expect(want, page_of(o.flags, o.remapped_page), "LIST: %s", what);
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
	for (i = 0; page_cases[i].what; i++)
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
	if (!memory_anonymous(&m) || pipe(go) || pipe(told))
		err(1, "pipe");
	pid = fork();
	if (!pid) {
		own = ibv_reg_mr(s.end.pd, m.at, SIZE, WRITES);
		if (!own || write(told[1], own, sizeof(*own)) < 0 ||
		    read(go[0], &c, 1) != 1)
			err(1, "child");
		memory_replace(&m);
		if (write(told[1], "", 1) != 1 || read(go[0], &c, 1) != 1)
			err(1, "child");
		_exit(0);
	}
	if (read(told[0], &mr, sizeof(mr)) != sizeof(mr))
		errx(1, "the child is gone");
	memory_replace(&m);
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
		if (!memory_anonymous(&m))
			err(1, "mmap");
		mr = ibv_reg_mr(s->end.pd, m.at, SIZE, WRITES);
		if (!mr)
			err(1, "ibv_reg_mr");
		memory_replace(&m);
		memory_unmap(&m);
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
	struct listed l;
	double start = now_ms();
	unsigned int lists = 0;
	pthread_t thread;
	struct scripted s;
	int ret = 0;

	signal(SIGCHLD, SIG_IGN);
	scripted_open_end(&s, IBV_QPT_RC);
	if (!memory_anonymous(&m) || pthread_create(&thread, NULL, churn, &s))
		err(1, "pthread_create");
	while (!ret && now_ms() - start < RACE_MS) {
		if (lists++ % 8 == 0 && lists < 8 * LISTED_MAX / 4)
			end_child(&s, &m);
		ret = sl_list(s.fd, l.objects, LISTED_MAX, &out);
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

	if (!memory_anonymous(&m) ||
	    (madvise(m.at, m.size, is_huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) &&
	     is_huge))
		return 0;
	memory_touch(&m);
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
