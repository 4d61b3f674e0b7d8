// SPDX-License-Identifier: GPL-2.0
/* A process that has a file open by a name that was removed while another one is left. Says so once a second. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define REMOVED "/both/a/removed"
#define LEFT "/both/a/left"

int main(void)
{
	int fd = open(REMOVED, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (fd < 0 || write(fd, "content", 7) != 7 || link(REMOVED, LEFT) || unlink(REMOVED)) {
		perror(REMOVED);
		return 1;
	}
	for (;;) {
		struct stat own, left;
		bool is_one = !fstat(fd, &own) && !stat(LEFT, &left) && own.st_ino == left.st_ino;

		printf("%s, links: %ld\n", is_one ? "one file" : "two files", (long)own.st_nlink);
		sleep(1);
	}
}
