// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mountinfo.h"
#include "tasks.h"

static const struct {
	const char *name;
	uint64_t attribute;
} known[] = {
	{ "ro", MOUNT_ATTR_RDONLY },
	{ "nosuid", MOUNT_ATTR_NOSUID },
	{ "nodev", MOUNT_ATTR_NODEV },
	{ "noexec", MOUNT_ATTR_NOEXEC },
	{ "noatime", MOUNT_ATTR_NOATIME },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME },
	{ "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW },
};

static bool has_option(const char *options, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = options; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, name, length) && (!at[length] || at[length] == ','))
			return true;
	}
	return false;
}

uint64_t mountinfo_attributes(const char *options)
{
	uint64_t attributes = 0;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (has_option(options, known[i].name))
			attributes |= known[i].attribute;
	/* show_mnt_opts() says nothing of a strict one. */
	if (!has_option(options, "relatime") && !has_option(options, "noatime"))
		attributes |= MOUNT_ATTR_STRICTATIME;
	return attributes;
}

void mountinfo_unescape(char *path)
{
	char *to = path;

	for (char *from = path; *from; to++) {
		unsigned int code;

		if (sscanf(from, "\\%3o", &code) == 1) {
			*to = code;
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = 0;
}

int mountinfo_each(pid_t pid, int (*fn)(const struct mountinfo_line *line, void *arg), void *arg)
{
	FILE *file = task_open(pid, "mountinfo");
	char *text = NULL, *save;
	size_t size = 0;
	int ret = 0;

	if (!file)
		return -errno;
	/* id, parent, device, root, mount point, options (proc_pid_mountinfo(5)). */
	while (!ret && getline(&text, &size, file) > 0) {
		char *words[6];
		int n = 0;

		for (char *word = strtok_r(text, " \n", &save); word && n < 6;
		     word = strtok_r(NULL, " \n", &save))
			words[n++] = word;
		if (n == 6)
			ret = fn(&(struct mountinfo_line){ strtoull(words[0], NULL, 10), words[4],
						       words[5] }, arg);
	}
	free(text);
	fclose(file);
	return ret;
}
