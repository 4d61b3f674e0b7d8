// SPDX-License-Identifier: Apache-2.0
#include "cni_state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_DIR	"/var/lib/sealift/cni"
/* Of a file that is not complete yet. A runtime makes one call for an interface at a time. */
#define UNFINISHED	".new"

struct paths {
	char folder[PATH_MAX];
	char file[PATH_MAX];
	char unfinished[PATH_MAX];
};

static int find_paths(const struct cni *cni, struct paths *of, struct reason *why)
{
	const char *folder = getenv("SEALIFT_CNI_STATE");
	int written;

	if (!folder)
		folder = STATE_DIR;
	if (strchr(cni->container, '/') || strchr(cni->ifname, '/'))
		goto failed;
	/* The longest of the three. */
	written = snprintf(of->unfinished, PATH_MAX, "%s/%s-%s.json" UNFINISHED, folder,
			   cni->container, cni->ifname);
	if (written < 0 || written >= PATH_MAX)
		goto failed;
	memcpy(of->file, of->unfinished, (size_t)written + 1);
	of->file[(size_t)written - strlen(UNFINISHED)] = '\0';
	strcpy(of->folder, folder);
	return 0;
failed:
	reason_set(why, "BadEnvironment", "CNI_CONTAINERID or CNI_IFNAME names no file");
	return -1;
}

/* Makes the names in it durable. */
static int sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int status, error;

	if (fd < 0)
		return -1;
	status = fsync(fd);
	error = errno;
	close(fd);
	errno = error;
	return status;
}

static int write_whole(const char *path, const json_t *state)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int status, error;

	if (fd < 0)
		return -1;
	errno = ENOMEM;
	status = json_dumpfd(state, fd, JSON_COMPACT) == 0 && fsync(fd) == 0 ? 0 : -1;
	error = errno;
	if (close(fd) < 0 && status == 0)
		return -1;
	errno = error;
	return status;
}

int cni_state_save(const struct cni *cni, const json_t *state, struct reason *why)
{
	struct paths of;

	if (find_paths(cni, &of, why) < 0)
		return -1;
	if (mkdir(of.folder, 0700) < 0 && errno != EEXIST)
		goto failed;
	if (write_whole(of.unfinished, state) < 0 || rename(of.unfinished, of.file) < 0) {
		int error = errno;

		unlink(of.unfinished);
		errno = error;
		goto failed;
	}
	if (sync_folder(of.folder) == 0)
		return 0;
failed:
	reason_set(why, "StateFailed", "cannot write %s: %s", of.file, strerror(errno));
	return -1;
}

json_t *cni_state_load(const struct cni *cni, int *failed, struct reason *why)
{
	struct paths of;

	*failed = find_paths(cni, &of, why);
	return *failed ? NULL : json_load_file(of.file, 0, NULL);
}

void cni_state_remove(const struct cni *cni)
{
	struct reason why;
	struct paths of;

	if (find_paths(cni, &of, &why) < 0)
		return;
	unlink(of.file);
	unlink(of.unfinished);
	rmdir(of.folder);
}
