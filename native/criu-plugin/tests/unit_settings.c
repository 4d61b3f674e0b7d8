// SPDX-License-Identifier: GPL-2.0
/* What restricts a process: read from a process, written, read again, altered; mounts and processors. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

#include "cpu_affinity.h"
#include "memory_advice.h"
#include "mountinfo.h"
#include "mounts.h"
#include "settings.h"
#include "unit.h"

static void options(void)
{
	char path[] = "/a\\040b\\134c\\011";

	CHECK(mountinfo_attributes("rw,relatime") == 0);
	CHECK(mountinfo_attributes("ro,nosuid,nodev,noexec,relatime") ==
	      (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
	CHECK(mountinfo_attributes("rw,noatime,nodiratime") ==
	      (MOUNT_ATTR_NOATIME | MOUNT_ATTR_NODIRATIME));
	CHECK(mountinfo_attributes("rw") == MOUNT_ATTR_STRICTATIME);
	CHECK(mountinfo_attributes("rw,nosymfollow,relatime") == MOUNT_ATTR_NOSYMFOLLOW);
	mountinfo_unescape(path);
	CHECK(!strcmp(path, "/a b\\c\t"));
}

static void affinity(void)
{
	char text[CPU_LIST_SIZE];
	cpu_set_t all, one;
	int first = 0;

	CHECK(!sched_getaffinity(0, sizeof(all), &all));
	while (!CPU_ISSET(first, &all))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	CHECK(!sched_setaffinity(0, sizeof(one), &one));
	CHECK(!cpu_affinity_read(getpid(), text));
	CHECK(atoi(text) == first || (!strcmp(text, CPU_ALL) && CPU_COUNT(&all) == 1));
	CHECK(!cpu_affinity_restore(getpid(), CPU_ALL));
	CHECK(!cpu_affinity_read(getpid(), text) && !strcmp(text, CPU_ALL));
	/* No node has it, and no node has it besides the first. */
	CHECK(cpu_affinity_restore(getpid(), "8191") == -ENODEV);
	CHECK(cpu_affinity_restore(getpid(), "0,8191") == -ENODEV);
	for (const char **bad = (const char *[]){ "8192", "3-1", "x", "1;", "-1", NULL }; *bad; bad++)
		CHECK(cpu_affinity_restore(getpid(), *bad) < 0);
	CHECK(!cpu_affinity_restore(getpid(), CPU_ALL));
}

static PB(Settings) *read_again(int dir)
{
	struct settings_images all;
	PB(Settings) *only;

	CHECK(!image_read_all_settings(dir, &all));
	CHECK(all.count == 1);
	if (all.count != 1)
		return NULL;
	only = all.items[0];
	all.count = 0;
	image_forget_settings(&all);
	return only;
}

/* A process of ours with four pages: one that a fork empties, two that are sealed, one that is sealed and may not be read. */
static pid_t sleeper(char *memory, bool hides)
{
	pid_t pid = fork();

	if (!pid) {
		madvise(memory, 4096, MADV_WIPEONFORK);
		mprotect(memory + 4096, 4096, PROT_READ);
		syscall(SYS_mseal, memory + 4096, 2 * 4096, 0);
		mprotect(memory + 3 * 4096, 4096, PROT_NONE);
		if (hides)
			syscall(SYS_mseal, memory + 3 * 4096, 4096, 0);
		personality(ADDR_NO_RANDOMIZE);
		prctl(PR_SET_TIMERSLACK, 123456);
		for (;;)
			pause();
	}
	usleep(100000);
	return pid;
}

static bool has_advice(const PB(Settings) *settings, uint64_t start)
{
	bool found = false;

	for (size_t i = 0; i < settings->n_advice; i++)
		found |= settings->advice[i]->start == start &&
			 settings->advice[i]->end == start + 4096;
	return found;
}

static bool has_sealed(const PB(Settings) *settings, uint64_t start)
{
	bool found = false;

	for (size_t i = 0; i < settings->n_sealed; i++)
		found |= settings->sealed[i]->start == start &&
			 settings->sealed[i]->end == start + 2 * 4096;
	return found;
}

static void round_trip(void)
{
	char path[] = "/tmp/sealift-settings.XXXXXX";
	char *memory = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool can_seal = syscall(SYS_mseal, NULL, 0, 0) == 0;
	pid_t pid = sleeper(memory, false);
	PB(Settings) *settings;
	const PB(Setting) *found;
	int dir;

	CHECK(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(!settings_dump_begin(dir));
	CHECK(!settings_dump_task(dir, pid));
	settings_dump_end();
	settings = read_again(dir);
	CHECK(settings && settings->n_threads == 1);
	if (settings) {
		found = settings_find(settings->threads[0], "timer slack");
		CHECK(found && !strcmp(found->value, "123456"));
		found = settings_find(settings->threads[0], "Max open files");
		CHECK(found && strstr(found->value, "files"));
		CHECK(settings_find(settings->threads[0], "NoNewPrivs"));
		/* The mount namespace is CRIU's own: its mounts are the node's. */
		CHECK(settings->n_mounts == 0);
		/* The C library may have memory of that kind too. */
		CHECK(has_advice(settings, (uintptr_t)memory));
		/* Both pages are one record; a kernel that seals its own pages makes others. */
		CHECK(has_sealed(settings, (uintptr_t)memory + 4096) == can_seal);
		found = settings_find(settings->threads[0], "personality");
		CHECK(found && strtoul(found->value, NULL, 16) & ADDR_NO_RANDOMIZE);
		sealift__ibverbs__settings__free_unpacked(settings, NULL);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* A later dump forgets it. */
	CHECK(!settings_dump_begin(dir));
	if (can_seal) {
		pid = sleeper(memory, true);
		unit_clear_log();
		CHECK(settings_dump_task(dir, pid) == -ECANCELED);
		CHECK(strstr(unit_log(), "sealift: unsupported: process") && !strstr(unit_log(), "kernel"));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	munmap(memory, 4 * 4096);
	CHECK(settings_restore_begin(dir) == -ENOENT);
	close(dir);
	CHECK(!rmdir(path));
}

/* In a restored task; a seal that the kernel refuses fails the restore. */
static void seals(void)
{
	char *memory = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	PB(Sealed) sealed, *list[] = { &sealed };
	PB(Settings) settings, now;
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	unit_seize(pid);
	sealift__ibverbs__settings__init(&now);
	sealift__ibverbs__settings__init(&settings);
	sealift__ibverbs__sealed__init(&sealed);
	settings.sealed = list;
	settings.n_sealed = 1;
	sealed.start = (uintptr_t)memory + 4096;
	sealed.end = sealed.start + 2 * 4096;
	if (!syscall(SYS_mseal, NULL, 0, 0)) {
		CHECK(!memory_advice_seal(pid, &settings));
		CHECK(!memory_advice_read(pid, &now) && has_sealed(&now, sealed.start));
	}
	sealed.start = 4096;
	sealed.end = 8192;
	unit_clear_log();
	CHECK(memory_advice_seal(pid, &settings) < 0);
	CHECK(strstr(unit_log(), "sealift: setting: memory of process 0 cannot be sealed again: "));
	for (size_t i = 0; i < now.n_sealed; i++)
		free(now.sealed[i]);
	free(now.sealed);
	for (size_t i = 0; i < now.n_advice; i++)
		free(now.advice[i]);
	free(now.advice);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap(memory, 4 * 4096);
}

static void altered(void)
{
	PB(Thread) thread, *threads[] = { &thread };
	PB(Mount) mount, *mounts[] = { &mount };
	PB(Advice) advice, *advices[] = { &advice };
	PB(Sealed) sealed, *seals[] = { &sealed };
	PB(Settings) settings, *decoded;
	bool refused = true;
	uint8_t *data;
	size_t size;

	sealift__ibverbs__thread__init(&thread);
	sealift__ibverbs__mount__init(&mount);
	mount.path = "/";
	mount.options = "ro";
	sealift__ibverbs__advice__init(&advice);
	advice.start = 4096;
	advice.end = 8192;
	sealift__ibverbs__sealed__init(&sealed);
	sealed.start = 4096;
	sealed.end = 8192;
	sealift__ibverbs__settings__init(&settings);
	settings.n_threads = settings.n_mounts = settings.n_advice = settings.n_sealed = 1;
	settings.sealed = seals;
	settings.threads = threads;
	settings.mounts = mounts;
	settings.advice = advices;
	data = image_encode(&settings.base, &size);
	CHECK(!image_decode_settings(data, size, "sample", &decoded));
	sealift__ibverbs__settings__free_unpacked(decoded, NULL);
	for (size_t n = 0; n < size; n++) {
		uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, data, n);
		refused &= image_decode_settings(copy, n, "short", &decoded) != 0;
		free(copy);
	}
	for (size_t bit = 0; bit < size * 8; bit++) {
		data[bit / 8] ^= 1 << bit % 8;
		refused &= image_decode_settings(data, size, "flipped", &decoded) != 0;
		data[bit / 8] ^= 1 << bit % 8;
	}
	CHECK(refused);
	free(data);

	advice.end = 4096;
	data = image_encode(&settings.base, &size);
	CHECK(image_decode_settings(data, size, "empty memory", &decoded) == -EINVAL);
	free(data);
	advice.end = 8192;
	sealed.end = 1ULL << 48;
	data = image_encode(&settings.base, &size);
	CHECK(image_decode_settings(data, size, "memory beyond all", &decoded) == -EINVAL);
	free(data);
	sealed.end = 8192;
	mount.path = "relative";
	data = image_encode(&settings.base, &size);
	CHECK(image_decode_settings(data, size, "relative path", &decoded) == -EINVAL);
	free(data);
}

void unit_settings(void)
{
	unit_clear_log();
	options();
	affinity();
	round_trip();
	seals();
	altered();
	unit_clear_log();
}
