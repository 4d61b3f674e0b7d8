// SPDX-License-Identifier: GPL-2.0
/*
 * A process with open, mapped and watched files on each kind of volume. Several times a second it writes to /out/state what
 * it sees of them, and appends the inotify events that it reads to /out/events.
 *
 * /config is what a kubelet publishes from an object of the API, /config/..data/key one of its files; /alone the same file mounted
 * alone (subPath); /disk and /memory are emptyDir volumes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096

static FILE *state;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_at(const char *path, int flags, off_t offset)
{
	int fd = open(path, flags, 0644);

	if (fd < 0 || lseek(fd, offset, SEEK_SET) < 0)
		die(path);
	return fd;
}

static const char *map(int fd, int protection)
{
	char *memory = mmap(NULL, PAGE, protection, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

/* What is left from the descriptor's offset on, which stays. */
static void show(const char *name, int fd)
{
	char text[256];
	off_t at = lseek(fd, 0, SEEK_CUR);
	ssize_t n = pread(fd, text, sizeof(text) - 1, at);
	struct stat st;

	text[n < 0 ? 0 : n] = 0;
	if (fstat(fd, &st))
		die(name);
	fprintf(state, "%s: at %ld, mode %o, `%s'\n", name, (long)at, st.st_mode, text);
}

static void show_path(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0) {
		fprintf(state, "%s: %s\n", path, strerror(errno));
		return;
	}
	show(path, fd);
	close(fd);
}

/* Whether another description of the file gets the lock. */
static void show_locks(const char *path, int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5 };
	int other = open(path, O_RDWR);

	if (other < 0)
		die(path);
	fprintf(state, "%s: flock %s, ", path, flock(other, LOCK_EX | LOCK_NB) ? "held" : "free");
	if (fcntl(other, F_OFD_GETLK, &lock))
		die("F_OFD_GETLK");
	fprintf(state, "record lock %s\n", lock.l_type == F_UNLCK ? "free" : "held");
	(void)fd;
	close(other);
}

static int watch(int inotify, const char *path, uint32_t mask)
{
	int wd = inotify_add_watch(inotify, path, mask);

	if (wd < 0)
		die(path);
	return wd;
}

static void note_events(int inotify)
{
	char buffer[4096] __attribute__((aligned(8)));
	FILE *events = fopen("/out/events", "a");
	ssize_t n;

	if (!events)
		die("/out/events");
	while ((n = read(inotify, buffer, sizeof(buffer))) > 0) {
		for (char *p = buffer; p < buffer + n;) {
			const struct inotify_event *event = (void *)p;

			fprintf(events, "%d %x %s\n", event->wd, event->mask, event->len ? event->name : "-");
			p += sizeof(*event) + event->len;
		}
	}
	fclose(events);
}

static int locked(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5 };
	int fd = open_at(path, O_RDWR | O_CREAT | O_APPEND, 0);

	if (write(fd, "written by the process", 22) != 22 || lseek(fd, 8, SEEK_SET) != 8)
		die(path);
	/* A record lock of the process would be lost when any descriptor of the file is closed. */
	if (flock(fd, LOCK_EX) || fcntl(fd, F_OFD_SETLK, &lock))
		die("lock");
	return fd;
}

int main(void)
{
	int key = open_at("/config/key", O_RDONLY, 2);
	int directory = open_at("/config/..data", O_RDONLY | O_DIRECTORY, 0);
	int alone = open_at("/alone", O_RDONLY, 3);
	int disk = locked("/disk/log"), memory = locked("/memory/log");
	int inotify = inotify_init1(IN_NONBLOCK);
	const char *mapped = map(key, PROT_READ), *shared = map(memory, PROT_READ | PROT_WRITE);

	watch(inotify, "/config", IN_MOVED_TO | IN_DELETE);
	watch(inotify, "/config/other", IN_DELETE_SELF);
	watch(inotify, "/config/key", IN_ATTRIB);
	watch(inotify, "/disk", IN_CREATE);
	watch(inotify, "/disk/watched", IN_MODIFY);
	watch(inotify, "/memory", IN_CREATE);

	for (;;) {
		struct stat st;

		state = fopen("/out/state.new", "w");
		if (!state)
			die("/out/state.new");
		show("key", key);
		show_path("/config/key");
		show("alone", alone);
		show("disk", disk);
		show("memory", memory);
		fprintf(state, "mapped: %.4s %.7s\n", mapped, shared);
		fprintf(state, "directory: %s\n", fstatat(directory, "key", &st, 0) ? "gone" : "has the key");
		show_locks("/disk/log", disk);
		show_locks("/memory/log", memory);
		fclose(state);
		if (rename("/out/state.new", "/out/state"))
			die("/out/state");
		note_events(inotify);
		usleep(100000);
	}
}
