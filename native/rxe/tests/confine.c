// SPDX-License-Identifier: GPL-2.0
#include "confine.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECURITYFS "/sys/kernel/security"
#define NAMESPACES SECURITYFS "/apparmor/policy/namespaces"
/*
 * A policy namespace needs no policy tool, and its own "unconfined" is a label
 * like any other. Who is in one sees none beside it.
 */
#define FIRST NAMESPACES "/sl_first"
#define SECOND NAMESPACES "/sl_second"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif
#define LANDLOCK_READ_FILE (1ULL << 2)

static bool read_line(const char *path, char *line, unsigned int size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, size - 1);

	if (fd >= 0)
		close(fd);
	line[n < 0 ? 0 : n] = 0;
	line[strcspn(line, "\n")] = 0;
	return n >= 0;
}

bool confine_in_use(const char *name)
{
	char line[256], *module, *rest;

	if (!read_line(SECURITYFS "/lsm", line, sizeof(line))) {
		mount("securityfs", SECURITYFS, "securityfs", 0, NULL);
		if (!read_line(SECURITYFS "/lsm", line, sizeof(line)))
			return false;
	}
	for (module = strtok_r(line, ",", &rest); module;
	     module = strtok_r(NULL, ",", &rest))
		if (!strcmp(module, name))
			return true;
	return false;
}

void confine_begin(void)
{
	if (!confine_in_use("apparmor"))
		return;
	if ((mkdir(FIRST, 0755) && errno != EEXIST) ||
	    (mkdir(SECOND, 0755) && errno != EEXIST))
		err(1, FIRST);
}

void confine_end(void)
{
	if (confine_in_use("apparmor") &&
	    (rmdir(SECOND) || rmdir(FIRST)))
		err(1, FIRST);
}

static int capabilities(unsigned int drop)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		return -errno;
	if (drop <= CAP_LAST_CAP)
		data[CAP_TO_INDEX(drop)].effective &= ~CAP_TO_MASK(drop);
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

/* capset() makes a new object whatever it changes. */
int confine_own_object(void)
{
	return capabilities(CAP_LAST_CAP + 1);
}

int confine_drop_capability(unsigned int cap)
{
	return capabilities(cap);
}

int confine_label(const char *name)
{
	bool apparmor = confine_in_use("apparmor");
	char text[64];
	int fd, n, ret;

	n = snprintf(text, sizeof(text),
		     apparmor ? "stack :sl_%s:unconfined" : "sl_%s", name);
	fd = open("/proc/thread-self/attr/current", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = write(fd, text, n) == n ? 0 : -errno;
	close(fd);
	return ret;
}

int confine_domain(void)
{
	uint64_t handled = LANDLOCK_READ_FILE;
	int ruleset = syscall(SYS_landlock_create_ruleset, &handled,
			      sizeof(handled), 0);
	int ret;

	if (ruleset < 0)
		return -errno;
	ret = syscall(SYS_landlock_restrict_self, ruleset, 0) ? -errno : 0;
	close(ruleset);
	return ret;
}

bool confine_may_read(void)
{
	int fd = open("/proc/version", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void confine_get_label(char *label, unsigned int size)
{
	/* "current" tells a label from within its namespace, which is "unconfined" */
	const char *path = confine_in_use("apparmor") ?
		SECURITYFS "/apparmor/.ns_name" : "/proc/thread-self/attr/current";

	if (!read_line(path, label, size))
		label[0] = 0;
}
