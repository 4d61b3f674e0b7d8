// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <criu/criu-plugin.h>

#include "build.h"
#include "log.h"
#include "restore.h"
#include "tasks.h"

static PB(FileTable) *files;

int restore_begin(bool listed, bool agent)
{
	int dir = criu_get_image_dir(), ret;

	if (!listed)
		return restored_read(dir, 0, agent);
	ret = image_read_files(dir, &files);
	if (ret == -ENOENT)
		log_fail("image-missing", "%s", IMAGE_FILES_NAME);
	return ret ? ret : restored_read(dir, files->contexts, agent);
}

void restore_end(void)
{
	restored_forget();
	if (files)
		sealift__ibverbs__file_table__free_unpacked(files, NULL);
	files = NULL;
}

/* Built by whichever file of the context CRIU opens first, in whichever task. */
static int built_once(struct restored *restored)
{
	struct built *built = restored->built;

	while (__atomic_exchange_n(&built->lock, 1, __ATOMIC_ACQUIRE))
		usleep(1000);
	if (!built->state) {
		built->builder = getpid();
		built->state = build_context(restored) ?: 1;
	}
	__atomic_store_n(&built->lock, 0, __ATOMIC_RELEASE);
	return built->state < 0 ? built->state : 0;
}

static int stash_index(const struct restored *restored, const PB(File) *file)
{
	long place;

	if (file->kind == SEALIFT__IBVERBS__FILE_KIND__CONTEXT)
		return 0;
	if (file->kind == SEALIFT__IBVERBS__FILE_KIND__ASYNC)
		return 1;
	place = image_channel(restored->context, file->index);
	return place < 0 ? -1 : 2 + place;
}

static int take_file(struct restored *restored, const PB(File) *file)
{
	int index = stash_index(restored, file), stashed = -1, fd;

	if (index >= 0)
		stashed = restored->built->files[index];
	if (stashed < 0) {
		log_fail("image-damaged", "file %#x is not of its context", file->id);
		return -EINVAL;
	}
	if (restored->built->builder == getpid()) {
		fd = fcntl(stashed, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			fd = -errno;
	} else {
		fd = task_get_fd(restored->built->builder, stashed);
	}
	if (fd < 0) {
		log_fail("kernel", "file %#x cannot be handed over: %s", file->id, strerror(-fd));
		return fd;
	}
	/* Only O_NONBLOCK and the like can be set; what open() fixed stays. */
	if (fcntl(fd, F_SETFL, (int)file->flags)) {
		log_fail("kernel", "flags %#x of file %#x: %s", file->flags, file->id,
			 strerror(errno));
		close(fd);
		return -EINVAL;
	}
	return fd;
}

int restore_file(int id)
{
	const PB(File) *file = files ? image_file(files, id) : NULL;
	int ret;

	if (!file)
		return -ENOTSUP;
	ret = built_once(restored_at(file->context));
	return ret ? ret : take_file(restored_at(file->context), file);
}

/* CRIU may use one descriptor for all mappings of a path, and asks for each. */
static uint64_t longest_mapping(void)
{
	uint64_t size = 0;

	for (size_t i = 0; i < restored_count(); i++) {
		const PB(Context) *context = restored_at(i)->context;

		for (size_t k = 0; k < context->n_mappings; k++)
			if (context->mappings[k]->length > size)
				size = context->mappings[k]->length;
	}
	return size;
}

int restore_placeholder(const char *path, uint64_t *offset, int *fd)
{
	static uint64_t size;

	if (!size)
		size = longest_mapping();
	if (strncmp(path, "/dev/infiniband/uverbs", 22) || !size)
		return -ENOTSUP;
	*fd = memfd_create(PLACEHOLDER_NAME, MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, size)) {
		log_fail("kernel", "memory for a queue's place: %s", strerror(errno));
		return -errno;
	}
	*offset = 0;
	return 0;
}
