// SPDX-License-Identifier: GPL-2.0
/* The nodes of a container's device after a move: this kernel's name, none of an earlier move's, nothing outside. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device_node.h"
#include "unit.h"

#define MAJOR	231
#define PLACE	"/dev/infiniband/uverbs0"

static char top[] = "/tmp/sealift-node-XXXXXX";

/* A path below the test's directory. */
static const char *below(const char *path)
{
	static char full[2][256];
	static int turn;

	turn = !turn;
	snprintf(full[turn], sizeof(full[turn]), "%s/%s", top, path);
	return full[turn];
}

static bool make_node(const char *path, unsigned int minor)
{
	return !mknod(below(path), S_IFCHR | 0600, makedev(MAJOR, minor));
}

static bool has_node(const char *path, unsigned int minor)
{
	struct stat st;

	return !lstat(below(path), &st) && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(MAJOR, minor);
}

static bool has(const char *path)
{
	struct stat st;

	return !lstat(below(path), &st);
}

/* A link to the node, as the plugin makes it. */
static bool has_link(const char *path)
{
	char to[64];
	ssize_t n = readlink(below(path), to, sizeof(to) - 1);

	if (n < 0)
		return false;
	to[n] = 0;
	return !strcmp(to, "./uverbs0");
}

static int place(const char *path)
{
	char root[256], names[256];

	snprintf(root, sizeof(root), "%s/root", top);
	snprintf(names, sizeof(names), "%s/names", top);
	unit_clear_log();
	return device_node_place(root, path, names);
}

static void make_places(void)
{
	static const char *const directories[] = {
		"root", "root/dev", "root/dev/infiniband", "names", "outside"
	};

	CHECK(mkdtemp(top));
	for (size_t i = 0; i < sizeof(directories) / sizeof(*directories); i++)
		CHECK(!mkdir(below(directories[i]), 0755));
	CHECK(!symlink("../../devices/virtual/infiniband_verbs/uverbs2", below("names/231:194")));
	CHECK(!symlink("../../devices/virtual/infiniband_verbs/uverbs5", below("names/231:197")));
	CHECK(!symlink("../../devices/virtual/mem/null", below("names/231:3")));
}

/* Three moves; in between the device's node is another one, as CRIU's bind mount is. */
static void moves(void)
{
	CHECK(make_node("root" PLACE, 194));
	CHECK(!place(PLACE));
	/* A node of its own would be a file of the container's /dev: CRIU opens those when it finds one mapped, and may not. */
	CHECK(has_link("root/dev/infiniband/uverbs2"));
	CHECK(!place(PLACE));

	CHECK(!unlink(below("root" PLACE)) && make_node("root" PLACE, 197));
	/* Of a pod that was moved before there were links. */
	CHECK(make_node("root/dev/infiniband/uverbs3", 195));
	CHECK(make_node("root/dev/infiniband/uverbs5", 197));
	CHECK(!place(PLACE));
	CHECK(has_link("root/dev/infiniband/uverbs5"));
	CHECK(!has("root/dev/infiniband/uverbs2") && !has("root/dev/infiniband/uverbs3"));
	CHECK(has_node("root" PLACE, 197));
}

/* Names that are not the kernel's for such a device stay, and so does what is no device. */
static void strangers(void)
{
	CHECK(make_node("root/dev/infiniband/uverbs", 1));
	CHECK(make_node("root/dev/infiniband/uverbs7x", 1));
	CHECK(!symlink("uverbs0", below("root/dev/infiniband/uverbs8")));
	CHECK(!place(PLACE));
	CHECK(has("root/dev/infiniband/uverbs") && has("root/dev/infiniband/uverbs7x"));
	CHECK(has("root/dev/infiniband/uverbs8"));
	/* Another file has the name that is needed. */
	CHECK(!unlink(below("root/dev/infiniband/uverbs5")));
	CHECK(!symlink("uverbs7x", below("root/dev/infiniband/uverbs5")));
	CHECK(place(PLACE) < 0);
	CHECK(strstr(unit_log(), "sealift: device: "));
	/* A link of the container's own that leads to the node will do. */
	CHECK(!unlink(below("root/dev/infiniband/uverbs5")));
	CHECK(!symlink("uverbs0", below("root/dev/infiniband/uverbs5")));
	CHECK(!place(PLACE));
	CHECK(!unlink(below("root/dev/infiniband/uverbs5")));
}

/* A link of the container's to an absolute path leads to a place in its own root. */
static void escapes(void)
{
	char target[256];

	snprintf(target, sizeof(target), "%s", below("outside"));
	CHECK(!symlink(target, below("root/dev/away")));
	CHECK(make_node("outside/uverbs0", 194) && make_node("outside/uverbs9", 9));
	CHECK(place("/dev/away/uverbs0") < 0);
	CHECK(place("/dev/../../outside/uverbs0") < 0);
	CHECK(has("outside/uverbs9") && !has("outside/uverbs2"));
}

static void refused(void)
{
	CHECK(place("uverbs0") < 0);
	CHECK(place("/dev/infiniband/") < 0);
	CHECK(place("/dev/infiniband/uverbs44") < 0);
	/* No verbs device. */
	CHECK(make_node("root/dev/infiniband/uverbs30", 3));
	CHECK(place("/dev/infiniband/uverbs30") < 0);
	CHECK(!unlink(below("root/dev/infiniband/uverbs30")));
	unsetenv("SEALIFT_UVERBS");
	CHECK(!device_node_restore(getpid()));
}

/* The source's name is a mount of the target's device: as stale as it looks, it stays. */
static int mounted(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 77;
	if (!make_node("root/dev/infiniband/uverbs1", 1) || !make_node("other", 193))
		return 1;
	if (mount(below("other"), below("root/dev/infiniband/uverbs1"), NULL, MS_BIND, NULL))
		return 77;
	if (place(PLACE))
		return 1;
	return !has_node("root/dev/infiniband/uverbs1", 193);
}

/* A task that has no /dev of its own: the nodes of other devices stay. */
static int shared(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 77;
	if (!make_node("root/dev/infiniband/uverbs4", 196))
		return 1;
	if (mount(below("root/dev"), "/dev", NULL, MS_BIND, NULL))
		return 77;
	if (place(PLACE))
		return 1;
	return !has_node("root/dev/infiniband/uverbs4", 196);
}

/* @fn: returns 0, or 77 where it cannot be tried */
static void in_child(int (*fn)(void))
{
	pid_t child = fork();
	int status = 0;

	if (!child)
		_exit(fn());
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		printf("skipped: no mounts here\n");
	else
		CHECK(!WEXITSTATUS(status));
}

static void remove_places(void)
{
	char command[320];

	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	CHECK(!system(command));
}

void unit_device_node(void)
{
	make_places();
	if (!make_node("probe", 1)) {
		printf("skipped: no device nodes can be made here\n");
		remove_places();
		return;
	}
	moves();
	strangers();
	escapes();
	refused();
	in_child(mounted);
	in_child(shared);
	remove_places();
}
