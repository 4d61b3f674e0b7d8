// SPDX-License-Identifier: Apache-2.0
#include "outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "json_file.h"

#define NAME	"sealift-restore.json"

int outcome_begin(const char *work_path, char path[PATH_MAX], struct reason *why)
{
	if (snprintf(path, PATH_MAX, "%s/" NAME, work_path) >= PATH_MAX) {
		reason_set(why, "BadReply", "the agent's reply has a workPath longer than %d bytes",
			   PATH_MAX);
		return -1;
	}
	if ((unlink(path) < 0 && errno != ENOENT) || setenv("SEALIFT_STATE", path, 1) < 0) {
		reason_set(why, "StateFailed", "cannot remove %s: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}

static void write_state(const char *path, json_t *state)
{
	char unfinished[PATH_MAX], *text = state ? json_dumps(state, JSON_COMPACT) : NULL;
	int fd = -1, written = 0;

	if (text && snprintf(unfinished, sizeof(unfinished), "%s.new", path) < PATH_MAX)
		fd = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0) {
		written = dprintf(fd, "%s\n", text) == (int)strlen(text) + 1;
		written &= close(fd) == 0;
		/* Without the file the agent takes the restore for one that has not ended. */
		if (!written || rename(unfinished, path) < 0)
			unlink(unfinished);
	}
	free(text);
	json_decref(state);
}

void outcome_end(const char *path, int status)
{
	int succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	json_error_t error;
	json_t *state = json_file_load(path, &error);
	const char *word = json_string_value(json_object_get(state, "state"));
	char message[64];

	/* A runc that fails kills what CRIU has restored, whatever CRIU has reported. */
	if (word && (succeeded ? !strcmp(word, "detached") : !strcmp(word, "failed")))
		goto out;
	if (succeeded) {
		write_state(path, json_pack("{s:s}", "state", "detached"));
		goto out;
	}
	snprintf(message, sizeof(message), "runc %s %d",
		 WIFEXITED(status) ? "ended with status" : "was killed by signal",
		 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	write_state(path, json_pack("{s:s, s:s, s:s}", "state", "failed", "code", "runc",
				    "message", message));
out:
	json_decref(state);
}
