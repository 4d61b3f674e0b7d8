// SPDX-License-Identifier: Apache-2.0
#include "marker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "json_file.h"

#define RESTORED	"sealift-restored"
#define WAITING		"sealift-waiting"
#define STARTED		"sealift-started"
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

int marker_set_waiting(const char *bundle)
{
	return set(bundle, WAITING);
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

int marker_start_restored(const char *root, const char *id, struct reason *why)
{
	char path[PATH_MAX];
	int marked = is_marked(root, id, RESTORED, path, why);

	if (marked <= 0)
		return marked;
	*strrchr(path, '/') = '\0';
	if (set(path, STARTED) == 0)
		return 1;
	reason_set(why, "MarkerFailed", "cannot mark %s: %s", path, strerror(errno));
	return -1;
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

void marker_kill_frozen(const char *root, const char *id)
{
	char path[PATH_MAX];
	const char *cgroup;
	json_t *state = NULL;
	struct reason why;
	int fd = -1;

	if (is_marked(root, id, RESTORED, path, &why) <= 0 ||
	    is_marked(root, id, MOVING, path, &why) <= 0 || load_state(root, id, &state, &why) <= 0)
		return;
	/* cgroup v2: one path, of no controller. */
	cgroup = json_string_value(json_object_get(json_object_get(state, "cgroup_paths"), ""));
	if (cgroup && join(path, cgroup, "cgroup.kill") == 0)
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0) {
		if (write(fd, "1", 1) < 0)
			fprintf(stderr, "sealift: cannot write to %s: %s\n", path, strerror(errno));
		close(fd);
	}
	json_decref(state);
}
