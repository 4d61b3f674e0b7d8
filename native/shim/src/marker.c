// SPDX-License-Identifier: Apache-2.0
#include "marker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "json_file.h"
#include "process.h"

#define RESTORED	"sealift-restored"
#define WAITING		"sealift-waiting"
#define MOVING		"sealift-moving"

static int join(char path[PATH_MAX], const char *folder, const char *name)
{
	int length = snprintf(path, PATH_MAX, "%s/%s", folder, name);

	if (length > 0 && length < PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

static int set(const char *bundle, const char *marker)
{
	char path[PATH_MAX];
	int fd;

	if (join(path, bundle, marker) < 0)
		return -1;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	return close(fd);
}

static int clear(const char *bundle, const char *marker)
{
	char path[PATH_MAX];

	if (join(path, bundle, marker) < 0)
		return -1;
	return unlink(path) == 0 || errno == ENOENT ? 0 : -1;
}

int marker_set_restored(const char *bundle)
{
	return set(bundle, RESTORED);
}

int marker_clear_restored(const char *bundle)
{
	return clear(bundle, RESTORED);
}

/* `<pid> <start time>`, a line for each process. */
int marker_set_waiting(const char *bundle, pid_t runc)
{
	pid_t pids[] = { getpid(), runc };
	char path[PATH_MAX], unfinished[PATH_MAX], text[128];
	int fd, used = 0;
	size_t i;

	if (join(path, bundle, WAITING) < 0 || join(unfinished, bundle, WAITING ".new") < 0)
		return -1;
	for (i = 0; i < sizeof(pids) / sizeof(pids[0]); i++)
		if (pids[i])
			used += snprintf(text + used, sizeof(text) - used, "%d %llu\n", pids[i],
					 process_start_time(pids[i]));
	fd = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	if (write(fd, text, used) != used) {
		close(fd);
		return -1;
	}
	/* By a rename, because the plugin gives the restore up as soon as it does not find the file. */
	return close(fd) < 0 ? -1 : rename(unfinished, path);
}

/* Whether one of the processes that would remove the marker is there. Yes, if it does not say which they are. */
static int is_attended(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long long start;
	int pid, lines = 0, alive = 0;

	while (file && fscanf(file, "%d %llu", &pid, &start) == 2) {
		lines++;
		alive |= pid > 0 && start && process_start_time(pid) == start;
	}
	if (file)
		fclose(file);
	return alive || !lines;
}

int marker_clear_waiting(const char *bundle)
{
	return clear(bundle, WAITING);
}

int marker_waiting_path(const char *bundle, char path[PATH_MAX])
{
	return join(path, bundle, WAITING);
}

/* Returns 1 with *@state filled, 0 if runc has no such container, or -1 with @why filled. */
static int load_state(const char *root, const char *id, json_t **state, struct reason *why)
{
	char folder[PATH_MAX], path[PATH_MAX];
	json_error_t error;

	/* An id with a slash is none of runc's. */
	if (!*id || strchr(id, '/') || join(folder, root, id) < 0 ||
	    join(path, folder, "state.json") < 0 || access(path, F_OK) < 0)
		return 0;
	*state = json_file_load(path, &error);
	if (*state)
		return 1;
	reason_set(why, "BadState",
		   "%s cannot be read: %s; whether the container may run is not known, so delete it and let it be made anew",
		   path, error.text);
	return -1;
}

/*
 * Whether runc's container has the marker, whose path is left in @path then. runc keeps the bundle's path as a
 * label in the container's state, after those that are annotations.
 */
static int is_marked(const char *root, const char *id, const char *marker, char path[PATH_MAX],
		     struct reason *why)
{
	json_t *state = NULL, *label;
	int marked = load_state(root, id, &state, why);
	size_t at;

	if (marked <= 0)
		return marked;
	marked = 0;
	json_array_foreach(json_object_get(json_object_get(state, "config"), "labels"), at, label) {
		const char *value = json_string_value(label);

		if (!value || strncmp(value, "bundle=", 7) || join(path, value + 7, marker) < 0)
			continue;
		marked = access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
	}
	json_decref(state);
	return marked;
}

int marker_is_restored(const char *root, const char *id, struct reason *why)
{
	char path[PATH_MAX];

	return is_marked(root, id, RESTORED, path, why);
}

int marker_is_waiting(const char *root, const char *id, struct reason *why)
{
	char path[PATH_MAX];
	int marked = is_marked(root, id, WAITING, path, why);

	return marked > 0 ? is_attended(path) : marked;
}

/* The first line of a file, as far as it can be printed. */
static void read_line(const char *path, char *line, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t length = fd < 0 ? 0 : read(fd, line, size - 1);
	char *at;

	if (fd >= 0)
		close(fd);
	line[length > 0 ? length : 0] = '\0';
	for (at = line; *at >= ' ' && *at <= '~'; at++)
		;
	*at = '\0';
}

int marker_is_moving(const char *root, const char *id, char *by, size_t size, struct reason *why)
{
	char path[PATH_MAX];
	int marked = is_marked(root, id, MOVING, path, why);

	if (marked > 0)
		read_line(path, by, size);
	return marked;
}

long long marker_init_pid(const char *root, const char *id, struct reason *why)
{
	json_t *state = NULL;
	long long pid;

	switch (load_state(root, id, &state, why)) {
	case 1:
		pid = json_number_value(json_object_get(state, "init_process_pid"));
		json_decref(state);
		if (pid > 0)
			return pid;
		/* fall through */
	case 0:
		reason_set(why, "RestoreFailed", "runc knows no process of %s", id);
	}
	return 0;
}
