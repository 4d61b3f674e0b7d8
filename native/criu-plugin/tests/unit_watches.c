// SPDX-License-Identifier: GPL-2.0
/* What an inotify descriptor's fdinfo says, and names of what it watches. `volumes` has names that the kernel has forgotten. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "unit.h"
#include "watches.h"

static void check_lines(void)
{
	static const char line[] =
		"inotify wd:3 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:7e9e0000640d1b6d\n";
	char cut[sizeof(line)], many[512];
	struct watch watch;

	CHECK(!watch_parse(line, &watch));
	CHECK(watch.inode == 0x9e7e && watch.device == makedev(8, 0x13));
	CHECK(watch.handle_bytes == 8 && watch.handle_type == 1);
	CHECK(!memcmp(watch.handle, "\x7e\x9e\x00\x00\x64\x0d\x1b\x6d", 8));
	CHECK(watch_parse("pos:\t0\n", &watch) == -ENOENT);
	for (size_t i = strlen("inotify "); i + 2 < sizeof(line); i++) {
		memcpy(cut, line, i);
		cut[i] = 0;
		CHECK(watch_parse(cut, &watch) == -EINVAL);
	}
	snprintf(many, sizeof(many), "inotify wd:1 ino:1 sdev:1 mask:1 ignored_mask:0 fhandle-bytes:81 fhandle-type:1 f_handle:%0258d\n", 0);
	CHECK(watch_parse(many, &watch) == -EINVAL);
	CHECK(watch_parse("inotify wd:1 ino:1 sdev:1 mask:1 ignored_mask:0 fhandle-bytes:1 fhandle-type:1 f_handle:zz\n", &watch) == -EINVAL);
}

void unit_watches(void)
{
	char path[] = "/tmp/sealift-watches.XXXXXX";
	int file = mkstemp(path), inotify = inotify_init();

	check_lines();
	CHECK(file >= 0 && inotify >= 0);
	CHECK(inotify_add_watch(inotify, path, IN_MODIFY) > 0);
	CHECK(inotify_add_watch(inotify, "/", IN_CREATE) > 0);
	CHECK(!watches_name(getpid()));
	/* It stays as long as it is open. */
	unlink(path);
	CHECK(!watches_name(getpid()));
	close(file);
	close(inotify);
	watches_end();
}
