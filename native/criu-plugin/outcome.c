// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "log.h"
#include "outcome.h"

static const char *state_path(void)
{
	const char *path = getenv("SEALIFT_STATE");

	return path && *path ? path : NULL;
}

int outcome_begin(void)
{
	const char *path = state_path();
	int ret;

	ret = failure_reset();
	if (ret)
		return ret;
	return path && unlink(path) && errno != ENOENT ? -errno : 0;
}

/* As a JSON string; what is not ASCII goes byte by byte, so that no cut text is malformed. */
static size_t quote(char *to, size_t size, const char *text)
{
	size_t used = 0;

	for (; *text && used + 7 < size; text++) {
		unsigned char c = *text;

		if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
			used += snprintf(to + used, size - used, "\\u%04x", c);
		else
			to[used++] = c;
	}
	to[used] = 0;
	return used;
}

static int write_state(const char *line)
{
	const char *path = state_path();
	char unfinished[PATH_MAX];
	size_t size = strlen(line);
	int fd, ret = 0;

	if (!path)
		return 0;
	if (snprintf(unfinished, sizeof(unfinished), "%s.new", path) >= (int)sizeof(unfinished))
		return -ENAMETOOLONG;
	fd = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, line, size) != (ssize_t)size)
		ret = errno ? -errno : -ENOSPC;
	if (close(fd) && !ret)
		ret = -errno;
	if (!ret && rename(unfinished, path))
		ret = -errno;
	if (ret)
		unlink(unfinished);
	return ret;
}

void outcome_end(const char *good)
{
	const struct failure *failure = good ? NULL : failure_first();
	char line[sizeof(failure->text) * 6 + 256], text[sizeof(failure->text) * 6 + 8] = "";
	const char *code = "criu";
	int ret;

	if (failure) {
		code = failure->code;
		quote(text, sizeof(text), failure->text);
	}
	if (good)
		snprintf(line, sizeof(line), "{\"state\":\"%s\"}\n", good);
	else
		snprintf(line, sizeof(line),
			 "{\"state\":\"failed\",\"code\":\"%s\",\"message\":\"%s\"}\n", code, text);
	ret = write_state(line);
	if (ret)
		log_warn("the outcome cannot be written to %s: %s", state_path(),
			 strerror(-ret));
}
