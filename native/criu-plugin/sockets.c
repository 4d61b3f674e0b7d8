// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "sockets.h"
#include "tasks.h"

/* linux/tcp.h: TCP_AO_INFO, the size of struct tcp_ao_info_opt; TCP_ULP_NAME_MAX of include/net/tcp.h. */
#define AO_INFO 40
#define AO_INFO_SIZE 48
#define LAYER_NAME_MAX 16

/* Of one network namespace, that of @netns: its TCP sockets with MD5 keys. All processes of a container have the same. */
static ino_t netns;
static uint32_t *with_md5;
static size_t with_md5_count;

void sockets_forget(void)
{
	free(with_md5);
	with_md5 = NULL;
	with_md5_count = 0;
	netns = 0;
}

int socket_number(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, level, name, &value, &size) ? -1 : value;
}

bool socket_is_tcp(int fd)
{
	int family = socket_number(fd, SOL_SOCKET, SO_DOMAIN);

	return (family == AF_INET || family == AF_INET6) &&
	       socket_number(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM &&
	       socket_number(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP;
}

uint32_t socket_of_link(const char *link)
{
	unsigned int inode;

	return sscanf(link, "socket:[%u]", &inode) == 1 ? inode : 0;
}

static int note_with_md5(uint32_t inode)
{
	uint32_t *grown = realloc(with_md5, (with_md5_count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	with_md5 = grown;
	with_md5[with_md5_count++] = inode;
	return 0;
}

static bool has_md5(uint32_t inode)
{
	for (size_t i = 0; i < with_md5_count; i++)
		if (with_md5[i] == inode)
			return true;
	return false;
}

/* One answer: a socket, and whether it has keys. */
static int read_socket(const struct nlmsghdr *header)
{
	const struct inet_diag_msg *socket = NLMSG_DATA(header);
	int left = (int)header->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*socket));
	struct rtattr *attribute = (struct rtattr *)(socket + 1);

	for (; left > 0 && RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		if ((attribute->rta_type & NLA_TYPE_MASK) == INET_DIAG_MD5SIG)
			return note_with_md5(socket->idiag_inode);
	return 0;
}

/* 1: that was all. */
static int read_answer(const uint8_t *data, ssize_t size)
{
	const struct nlmsghdr *header = (const struct nlmsghdr *)data;
	unsigned int left = size;
	int ret = 0;

	for (; !ret && NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
		if (header->nlmsg_type == NLMSG_DONE) {
			/* The kernel says with it how the dump has ended. */
			int error = header->nlmsg_len >= NLMSG_LENGTH(sizeof(int)) ? *(int *)NLMSG_DATA(header) : 0;

			return error < 0 ? error : 1;
		}
		if (header->nlmsg_type == NLMSG_ERROR)
			return ((struct nlmsgerr *)NLMSG_DATA(header))->error ?: -EPROTO;
		if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			ret = read_socket(header);
	}
	return ret;
}

static int ask(int netlink, int family)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
	} request = {
		.header = { .nlmsg_len = sizeof(request), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		/* The keys come with INET_DIAG_INFO only (net/ipv4/inet_diag.c, inet_sk_diag_fill()). */
		.body = { .sdiag_family = family, .sdiag_protocol = IPPROTO_TCP,
			  .idiag_ext = 1 << (INET_DIAG_INFO - 1), .idiag_states = ~0U },
	};
	static uint8_t answer[65536] __attribute__((aligned(8)));
	int ret = 0;

	if (send(netlink, &request, sizeof(request), 0) != sizeof(request))
		return -errno;
	while (!ret) {
		ssize_t size = recv(netlink, answer, sizeof(answer), 0);

		if (size < 0 && errno == EINTR)
			continue;
		ret = size < 0 ? -errno : read_answer(answer, size);
	}
	return ret < 0 ? ret : 0;
}

/* A netlink socket in the network namespace of @pid, or -errno. */
static int open_there(pid_t pid)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), other, netlink;
	char path[64];

	if (own < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	other = open(path, O_RDONLY | O_CLOEXEC);
	netlink = other < 0 || setns(other, CLONE_NEWNET) ? -errno :
		  socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (netlink == -1)
		netlink = -errno;
	/* CRIU would go on in the container's network. */
	if (setns(own, CLONE_NEWNET))
		abort();
	if (other >= 0)
		close(other);
	close(own);
	return netlink;
}

static int find_with_md5(pid_t pid)
{
	char path[64];
	struct stat namespace;
	int netlink, ret;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	if (stat(path, &namespace))
		return -errno;
	if (namespace.st_ino == netns)
		return 0;
	sockets_forget();
	netlink = open_there(pid);
	if (netlink < 0)
		return netlink;
	ret = ask(netlink, AF_INET);
	if (!ret)
		ret = ask(netlink, AF_INET6);
	close(netlink);
	if (!ret)
		netns = namespace.st_ino;
	return ret;
}

static int refuse(pid_t pid, int fd, const char *what, const char *advice)
{
	uint32_t inner = 0;

	task_inner_pid(pid, &inner);
	log_fail("unsupported", "descriptor %d of process %u of the container is a socket with %s, which cannot be restored: %s",
		 fd, inner, what, advice);
	/* CRIU takes ENOTSUP for a hook that has nothing to do. */
	return -EPERM;
}

static int check_tcp(pid_t pid, int fd, int socket, uint32_t inode)
{
	char layer[LAYER_NAME_MAX + 1] = "", what[64], info[AO_INFO_SIZE] = "";
	socklen_t layer_size = LAYER_NAME_MAX, info_size = sizeof(info);
	int ret;

	if (!getsockopt(socket, IPPROTO_TCP, TCP_ULP, layer, &layer_size) && *layer) {
		snprintf(what, sizeof(what), "the upper layer %s (TCP_ULP)", layer);
		return refuse(pid, fd, what, "let the process encrypt by itself, without kernel TLS");
	}
	if (!getsockopt(socket, IPPROTO_TCP, AO_INFO, info, &info_size))
		return refuse(pid, fd, "keys of TCP-AO", "close it, or use TLS");
	ret = find_with_md5(pid);
	if (ret)
		return ret;
	return has_md5(inode) ? refuse(pid, fd, "MD5 keys (TCP_MD5SIG)", "close it, or use TLS") : 0;
}

static int check(pid_t pid, int fd, const char *link, void *arg)
{
	uint32_t inode = socket_of_link(link);
	socklen_t none = 0;
	int socket, ret = 0;

	(void)arg;
	if (!inode)
		return 0;
	socket = task_get_fd(pid, fd);
	if (socket < 0)
		return socket;
	if (getsockopt(socket, SOL_SOCKET, SO_GET_FILTER, NULL, &none) && errno == EACCES)
		ret = refuse(pid, fd, "an eBPF program as filter (SO_ATTACH_BPF)",
			     "use a classic one (SO_ATTACH_FILTER)");
	else if (socket_is_tcp(socket))
		ret = check_tcp(pid, fd, socket, inode);
	close(socket);
	return ret;
}

int sockets_check(pid_t pid)
{
	int ret = task_each_fd(pid, check, NULL);

	if (ret && ret != -EPERM)
		log_fail("kernel", "the sockets of process %d are not known: %s", pid, strerror(-ret));
	return ret;
}
