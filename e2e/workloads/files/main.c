// SPDX-License-Identifier: Apache-2.0
/*
 * files watch DIRECTORY: prints `event MASK NAME` for each change in a directory.
 * files lock FILE: takes the file's lock (flock), prints `locked`, and keeps it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#define USAGE 2

static int watch(const char *directory)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	int fd = inotify_init();

	if (fd < 0 || inotify_add_watch(fd, directory, IN_CREATE | IN_DELETE | IN_MOVED_TO) < 0) {
		perror(directory);
		return 1;
	}
	for (;;) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n <= 0) {
			perror("inotify");
			return 1;
		}
		for (char *at = buffer; at < buffer + n;) {
			const struct inotify_event *event = (const void *)at;

			printf("event %x %s\n", event->mask, event->len ? event->name : "");
			at += sizeof(*event) + event->len;
		}
		fflush(stdout);
	}
}

static int lock(const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT, 0666);

	if (fd < 0 || flock(fd, LOCK_EX)) {
		perror(file);
		return 1;
	}
	puts("locked");
	fflush(stdout);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "watch"))
		return watch(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "lock"))
		return lock(argv[2]);
	fprintf(stderr, "usage: files watch DIRECTORY | files lock FILE\n");
	return USAGE;
}
