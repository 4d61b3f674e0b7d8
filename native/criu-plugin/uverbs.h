/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Verbs commands in the ioctl encoding. write() is never used: the kernel
 * refuses it when the caller's credentials are not the opener's, and CRIU
 * restores credentials after it opens files.
 *
 * A command is built in one buffer that contains the header, the attributes and
 * whatever they point to, so that it can as well be copied into another
 * process and called there.
 */
#ifndef SEALIFT_UVERBS_H
#define SEALIFT_UVERBS_H

#include <stddef.h>
#include <stdint.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#define UVERBS_MAX_ATTRS	16
#define UVERBS_NONE		0xffffffffU

struct uverbs_cmd {
	uint64_t base;		/* where `bytes` lies for the process that calls */
	uint32_t used;
	union {
		struct ib_uverbs_ioctl_hdr hdr;
		uint8_t bytes[4096];
	};
};

/*
 * uverbs_init - begin a command
 * @base: address of cmd->bytes in the calling process; 0 for this process
 */
void uverbs_init(struct uverbs_cmd *cmd, uint64_t base, uint16_t object, uint16_t method);

/* Append an attribute. A command that overflows fails in uverbs_call(). */
void uverbs_in(struct uverbs_cmd *cmd, uint16_t id, const void *data, uint16_t size);
void uverbs_in_u32(struct uverbs_cmd *cmd, uint16_t id, uint32_t value);
void uverbs_in_u64(struct uverbs_cmd *cmd, uint16_t id, uint64_t value);
void uverbs_object(struct uverbs_cmd *cmd, uint16_t id, int64_t handle);

/* Room for an answer; returns where in `bytes` it will be. */
uint32_t uverbs_out(struct uverbs_cmd *cmd, uint16_t id, uint16_t size);

/* The handle or descriptor that the kernel wrote into attribute number @nth. */
int64_t uverbs_new_object(const struct uverbs_cmd *cmd, unsigned int nth);

/* 0 or -errno. */
int uverbs_call(int fd, struct uverbs_cmd *cmd);

/*
 * What the plugin needs of verbs. All return 0 or -errno; handles and
 * descriptors come back through pointers.
 */
int uverbs_get_context(int fd, uint32_t *comp_vectors);
int uverbs_alloc_async(int fd, int *event_fd);
int uverbs_create_channel(int fd, int *channel_fd);
int uverbs_alloc_pd(int fd, uint32_t *handle);
int uverbs_destroy_pd(int fd, uint32_t handle);
int uverbs_query_gid(int fd, uint32_t port, uint32_t index, uint8_t gid[16]);

struct uverbs_cq_request {
	uint32_t cqe;
	uint64_t user_handle;
	int channel_fd;		/* or -1 */
	void *driver_out;	/* filled by the driver */
	uint16_t driver_out_size;
};

int uverbs_create_cq(int fd, const struct uverbs_cq_request *request, uint32_t *handle);

struct uverbs_srq_request {
	uint64_t user_handle;
	uint32_t pd, max_wr, max_sge;
	void *driver_out;
	uint16_t driver_out_size;
};

/* A basic one: neither XRC nor tag matching. */
int uverbs_create_srq(int fd, const struct uverbs_srq_request *request, uint32_t *handle);

struct uverbs_ah_request {
	uint64_t user_handle;
	uint32_t pd, port, sgid_index;
	void *driver_out;
	uint16_t driver_out_size; /* 0: the driver is to answer nothing */
};

/* To all nodes of the link: of a multicast address the kernel asks no one. */
int uverbs_create_ah(int fd, const struct uverbs_ah_request *request, uint32_t *handle);

struct uverbs_qp_request {
	uint64_t user_handle;
	uint32_t type;
	uint32_t pd, send_cq, recv_cq;
	int has_srq;
	uint32_t srq;
	uint32_t max_send_wr, max_send_sge, max_inline, max_recv_wr, max_recv_sge;
	int sq_sig_all;
	void *driver_out;
	uint16_t driver_out_size;
};

int uverbs_create_qp(int fd, const struct uverbs_qp_request *request, uint32_t *handle,
		     uint32_t *qpn);

struct uverbs_mr_request {
	uint64_t start, length, iova;
	uint32_t pd, access;
};

struct uverbs_mr_answer {
	uint32_t handle, lkey, rkey;
};

/* REG_MR pins the caller's own memory, so it is only built here. */
uint32_t uverbs_build_reg_mr(struct uverbs_cmd *cmd, uint64_t base,
			     const struct uverbs_mr_request *request);
void uverbs_parse_reg_mr(const struct uverbs_cmd *cmd, uint32_t out,
			 struct uverbs_mr_answer *answer);

#endif
