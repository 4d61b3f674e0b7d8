// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
#include "fault.h"
#include "log.h"
#include "uverbs.h"

#define GID_TRIES	50
#define GID_WAIT_US	100000

/*
 * Keep a descriptor out of the way of those that CRIU still restores: it
 * places them up to max_fd and its own ones just above, below the next power
 * of two. Where the kernel has no descriptor as high as that, none of the
 * processes has one at free_fd.
 */
static int stash(const PB(Context) *context, int fd, int *place)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, 2 * (int)context->max_fd + 1024);
	int error;

	if (moved < 0 && (errno == EINVAL || errno == EMFILE) && context->has_free_fd)
		moved = fcntl(fd, F_DUPFD_CLOEXEC, (int)context->free_fd);
	error = errno;
	close(fd);
	if (moved < 0) {
		log_fail("kernel", "no room for a descriptor: %s", strerror(error));
		return -error;
	}
	*place = moved;
	return 0;
}

static int check_device(const struct restored *restored, int fd, const char *path)
{
	struct driver_info info;
	int ret;

	if (restored->driver->query(fd, &info)) {
		log_fail("device", "%s has no %s driver with the methods to restore it", path,
			 restored->driver->name);
		return -EPROTONOSUPPORT;
	}
	if (info.abi != restored->driver->abi) {
		log_fail("driver-abi", "%s speaks ABI %u, the image needs %u", path, info.abi,
			 restored->driver->abi);
		return -EPROTONOSUPPORT;
	}
	if (info.held)
		return 0;
	if (restored_has_agent()) {
		log_fail("not-held", "%s is not held; hold it before the restore", path);
		return -EBUSY;
	}
	if (fault("restore.hold.before"))
		return -EIO;
	ret = restored->driver->hold(fd);
	return ret ? ret : fault("restore.hold.after") ? -EIO : 0;
}

/* The device's address table is filled some time after the link comes up. */
static int wait_gid(int fd, const PB(Path) *path, const char *what, uint32_t number)
{
	uint8_t gid[16] = {};
	int ret;

	for (int i = 0; i < GID_TRIES; i++) {
		ret = uverbs_query_gid(fd, path->port, path->sgid_index, gid);
		if (!ret && !memcmp(gid, path->sgid.data, sizeof(gid)))
			return 0;
		if (ret && ret != -ENODATA) {
			log_fail("kernel", "GID index %u cannot be read: %s", path->sgid_index,
				 strerror(-ret));
			return ret;
		}
		usleep(GID_WAIT_US);
	}
	log_fail("gid",
		 "GID index %u is %02x%02x:...:%02x%02x%02x%02x, %s %#x needs ...%02x%02x%02x%02x; give the target the source's address",
		 path->sgid_index, gid[0], gid[1], gid[12], gid[13], gid[14], gid[15],
		 what, number, path->sgid.data[12], path->sgid.data[13],
		 path->sgid.data[14], path->sgid.data[15]);
	return -EADDRNOTAVAIL;
}

static int open_events(struct restored *restored, int fd)
{
	const PB(Context) *context = restored->context;
	int *files = restored->built->files, event_fd, ret = 0;

	if (context->async) {
		ret = uverbs_alloc_async(fd, &event_fd);
		if (!ret)
			ret = stash(context, event_fd, &files[1]);
	}
	for (size_t i = 0; i < context->n_channels && !ret; i++) {
		ret = uverbs_create_channel(fd, &event_fd);
		if (!ret)
			ret = stash(context, event_fd, &files[2 + i]);
	}
	if (ret)
		log_fail("kernel", "event files cannot be created: %s", strerror(-ret));
	return ret;
}

static int fill_handles(int fd, long highest)
{
	for (long i = 0; i <= highest; i++) {
		uint32_t handle;
		int ret = uverbs_alloc_pd(fd, &handle);

		if (!ret && handle != i)
			ret = -EEXIST;
		if (ret) {
			log_fail("kernel", "handle %ld cannot be taken: %s", i, strerror(-ret));
			return ret;
		}
	}
	return 0;
}

static int channel_of(const struct restored *restored, const PB(CompletionQueue) *cq)
{
	long place = cq->has_channel ? image_channel(restored->context, cq->channel) : -1;

	return place < 0 ? -1 : restored->built->files[2 + place];
}

static int same_handle(uint32_t got, uint32_t wanted)
{
	if (got == wanted)
		return 0;
	log_fail("kernel", "an object got handle %u instead of %u", got, wanted);
	return -EEXIST;
}

static int build_cqs(struct restored *restored, int fd)
{
	for (size_t i = 0; i < restored->context->n_cqs; i++) {
		const PB(CompletionQueue) *cq = restored->context->cqs[i];
		uint32_t handle;
		int ret;

		ret = uverbs_destroy_pd(fd, cq->handle);
		if (!ret)
			ret = restored->driver->restore_cq(fd, cq, channel_of(restored, cq),
							   &handle,
							   &restored->built->cq_offset[i]);
		if (!ret)
			ret = same_handle(handle, cq->handle);
		if (ret)
			return ret;
	}
	return 0;
}

static int build_srqs(struct restored *restored, int fd)
{
	for (size_t i = 0; i < restored->context->n_srqs; i++) {
		const PB(SharedReceiveQueue) *srq = restored->context->srqs[i];
		uint32_t handle;
		int ret;

		ret = uverbs_destroy_pd(fd, srq->handle);
		if (!ret)
			ret = restored->driver->restore_srq(fd, srq, &handle,
							    &restored->built->srq_offset[i]);
		if (!ret)
			ret = same_handle(handle, srq->handle);
		if (ret)
			return ret;
	}
	return 0;
}

static int build_ahs(struct restored *restored, int fd)
{
	for (size_t i = 0; i < restored->context->n_ahs; i++) {
		const PB(AddressHandle) *ah = restored->context->ahs[i];
		uint32_t handle;
		int ret;

		ret = wait_gid(fd, ah->path, "address handle", ah->handle);
		if (!ret)
			ret = uverbs_destroy_pd(fd, ah->handle);
		if (!ret)
			ret = restored->driver->restore_ah(fd, ah, &handle);
		if (!ret)
			ret = same_handle(handle, ah->handle);
		if (ret)
			return ret;
	}
	return 0;
}

static int build_qps(struct restored *restored, int fd)
{
	const char *state = getenv("SEALIFT_QP_STATE");
	bool error = state && !strcmp(state, "error");

	for (size_t i = 0; i < restored->context->n_qps; i++) {
		const PB(QueuePair) *qp = restored->context->qps[i];
		uint32_t handle;
		int ret;

		ret = qp->path ? wait_gid(fd, qp->path, "queue pair", qp->qpn) : 0;
		if (!ret)
			ret = uverbs_destroy_pd(fd, qp->handle);
		if (!ret)
			ret = restored->driver->restore_qp(fd, qp, error, &handle,
							   restored->built->qp_offset[i]);
		if (!ret)
			ret = same_handle(handle, qp->handle);
		if (ret)
			return ret;
	}
	return 0;
}

static int build_events(struct restored *restored, int fd)
{
	const PB(EventFile) *async = restored->context->async;
	int ret;

	if (!async || !async->has_port_state)
		return 0;
	ret = restored->driver->restore_events(fd, async);
	if (ret)
		log_fail("kernel", "%zu unread asynchronous events cannot be restored: %s",
			 async->n_events, strerror(-ret));
	return ret;
}

static int open_device(const char *path, int *fd)
{
	uint32_t comp_vectors;
	int ret;

	*fd = open(path, O_RDWR | O_CLOEXEC);
	if (*fd < 0) {
		ret = -errno;
		log_fail("device", "%s cannot be opened: %s", path, strerror(-ret));
		return ret;
	}
	ret = uverbs_get_context(*fd, &comp_vectors);
	if (ret) {
		log_fail("device", "no context on %s: %s", path, strerror(-ret));
		close(*fd);
	}
	return ret;
}

static int build_objects(struct restored *restored, int fd)
{
	int ret = open_events(restored, fd);

	if (!ret)
		ret = fill_handles(fd, image_max_handle(restored->context));
	if (!ret)
		ret = build_cqs(restored, fd);
	if (!ret)
		ret = build_srqs(restored, fd);
	if (!ret)
		ret = build_ahs(restored, fd);
	if (!ret)
		ret = build_qps(restored, fd);
	if (!ret)
		ret = restored->driver->restore_numbers(fd, restored->context->driver);
	if (!ret)
		ret = build_events(restored, fd);
	if (!ret)
		log_info("built %zu CQ, %zu SRQ, %zu AH and %zu QP", restored->context->n_cqs,
			 restored->context->n_srqs, restored->context->n_ahs,
			 restored->context->n_qps);
	return ret ? ret : fault("restore.context.after") ? -EIO : 0;
}

int build_context(struct restored *restored)
{
	const char *path = getenv("SEALIFT_UVERBS");
	int fd, ret;

	if (!path || !*path)
		path = restored->context->node_path;
	if (fault("restore.context.before"))
		return -EIO;
	ret = open_device(path, &fd);
	if (ret)
		return ret;
	ret = stash(restored->context, fd, &restored->built->files[0]);
	if (ret)
		return ret;
	fd = restored->built->files[0];

	ret = check_device(restored, fd, path);
	if (!ret)
		ret = build_objects(restored, fd);
	/* Nothing else would, whether it is held since now or since the dump. */
	if (ret && !restored_has_agent())
		restored->driver->resume(fd);
	return ret;
}
