// SPDX-License-Identifier: GPL-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "multicast.h"
#include "socket_options.h"
#include "socket_rows.h"
#include "sockets.h"
#include "tasks.h"

struct value {
	uint8_t size;		/* 0: the kernel does not tell */
	uint8_t bytes[SOCKET_VALUE_MAX];
};

/* What one socket says to each row. Many sockets of a process say the same. */
struct values {
	struct value of[SOCKET_ROWS_MAX];
};

/* While the sockets of one process are read: the values of each of the image's. */
struct reading {
	PB(Settings) *settings;
	struct values **known;
	size_t known_count;
	struct multicast_group *groups;
	int group_count;
};

static int tcp_state(int fd)
{
	uint8_t state = 0;
	socklen_t size = sizeof(state);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &size) ? -1 : state;
}

static unsigned int inet_kinds(int fd, int family)
{
	unsigned int kinds = SOCKET_INET | (family == AF_INET6 ? SOCKET_INET6 : 0);
	int type = socket_number(fd, SOL_SOCKET, SO_TYPE);

	if (socket_is_tcp(fd)) {
		int state = tcp_state(fd);

		return kinds | SOCKET_TCP | (state == TCP_LISTEN ? SOCKET_LISTENER : 0) |
		       (state == TCP_CLOSE ? 0 : SOCKET_NOT_CLOSED);
	}
	kinds |= SOCKET_NOT_CLOSED | SOCKET_CAST | (family == AF_INET6 ? SOCKET_CAST6 : 0);
	if (type == SOCK_RAW)
		return kinds | (family == AF_INET6 ? SOCKET_RAW6 : 0);
	return kinds |
	       (socket_number(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDP ? SOCKET_UDP : SOCKET_UDPLITE);
}

static unsigned int kinds_of(int fd)
{
	int family = socket_number(fd, SOL_SOCKET, SO_DOMAIN);

	switch (family) {
	case AF_UNIX:
		return SOCKET_ANY | SOCKET_NOT_CLOSED | SOCKET_UNIX;
	case AF_NETLINK:
		return SOCKET_ANY | SOCKET_NOT_CLOSED | SOCKET_NETLINK;
	case AF_INET:
	case AF_INET6:
		return SOCKET_ANY | inet_kinds(fd, family);
	default:
		return 0;
	}
}

static bool is_interface(const struct socket_row *row)
{
	return row->form == FORM_INTERFACE || row->form == FORM_INTERFACE_BE;
}

static uint32_t swapped(const struct socket_row *row, uint32_t index)
{
	return row->form == FORM_INTERFACE_BE ? htonl(index) : index;
}

static void read_value(int fd, const struct socket_row *row, struct value *value)
{
	socklen_t size = row->size;
	uint32_t index;

	memset(value, 0, sizeof(*value));
	if (getsockopt(fd, row->level, row->name, value->bytes, &size))
		return;
	/* Some are told as one byte if that is enough. */
	value->size = row->size;
	if (!is_interface(row))
		return;
	memcpy(&index, value->bytes, sizeof(index));
	memset(value->bytes, 0, sizeof(value->bytes));
	value->size = IFNAMSIZ;
	if (index && interface_name(fd, swapped(row, index), (char *)value->bytes))
		value->size = 0;
}

static int write_value(int fd, const struct socket_row *row, const struct value *value)
{
	const void *bytes = value->bytes;
	uint32_t index = 0;

	if (is_interface(row)) {
		if (*value->bytes)
			index = interface_index(fd, (const char *)value->bytes);
		if (*value->bytes && !index)
			return -ENODEV;
		index = swapped(row, index);
		bytes = &index;
	}
	return setsockopt(fd, row->level, row->name, bytes, row->size) ? -errno : 0;
}

static void read_values(int fd, unsigned int kinds, struct values *values)
{
	memset(values, 0, sizeof(*values));
	for (size_t i = 0; i < socket_rows_count; i++)
		if (kinds & socket_rows[i].of)
			read_value(fd, &socket_rows[i], &values->of[i]);
}

static int add_option(PB(SocketOptions) *options, const struct socket_row *row, const struct value *value)
{
	PB(SocketOption) *option = calloc(1, sizeof(*option));
	int ret;

	if (!option)
		return -ENOMEM;
	sealift__ibverbs__socket_option__init(option);
	option->level = row->level;
	option->name = row->name;
	ret = image_bytes(&option->value, value->bytes, value->size);
	if (!ret)
		ret = image_append(&options->options, &options->n_options, option);
	if (ret)
		sealift__ibverbs__socket_option__free_unpacked(option, NULL);
	return ret;
}

static int add_fd(PB(SocketOptions) *options, int fd)
{
	uint32_t *grown = realloc(options->fds, (options->n_fds + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	options->fds = grown;
	options->fds[options->n_fds++] = fd;
	return 0;
}

static int add_options(PB(SocketOptions) *options, const struct values *values)
{
	int ret = 0;

	for (size_t i = 0; i < socket_rows_count && !ret; i++)
		if (values->of[i].size)
			ret = add_option(options, &socket_rows[i], &values->of[i]);
	return ret;
}

/* Of an earlier socket that has said the same, and has joined nothing. */
static PB(SocketOptions) *known_options(const struct reading *reading, const struct values *values)
{
	for (size_t i = 0; i < reading->known_count; i++)
		if (!reading->settings->sockets[i]->n_memberships &&
		    !memcmp(reading->known[i], values, sizeof(*values)))
			return reading->settings->sockets[i];
	return NULL;
}

static int know(struct reading *reading, const struct values *values, PB(SocketOptions) *options)
{
	struct values **grown = realloc(reading->known, (reading->known_count + 1) * sizeof(*grown));
	struct values *kept = malloc(sizeof(*kept));

	if (grown)
		reading->known = grown;
	if (!grown || !kept || image_append(&reading->settings->sockets, &reading->settings->n_sockets, options)) {
		free(kept);
		return -ENOMEM;
	}
	*kept = *values;
	reading->known[reading->known_count++] = kept;
	return 0;
}

static int record(struct reading *reading, int fd, int socket, unsigned int kinds)
{
	static struct values values;
	PB(SocketOptions) *options = calloc(1, sizeof(*options)), *known;
	int ret = 0;

	if (!options)
		return -ENOMEM;
	sealift__ibverbs__socket_options__init(options);
	read_values(socket, kinds, &values);
	if (kinds & SOCKET_CAST)
		ret = multicast_read(socket, reading->groups, reading->group_count, options);
	known = ret || options->n_memberships ? NULL : known_options(reading, &values);
	if (known) {
		sealift__ibverbs__socket_options__free_unpacked(options, NULL);
		return add_fd(known, fd);
	}
	if (!ret)
		ret = add_options(options, &values);
	if (!ret)
		ret = add_fd(options, fd);
	if (!ret)
		ret = know(reading, &values, options);
	if (ret)
		sealift__ibverbs__socket_options__free_unpacked(options, NULL);
	return ret;
}

static int read_one(pid_t pid, int fd, const char *link, void *arg)
{
	unsigned int kinds;
	int socket, ret;

	if (!socket_of_link(link))
		return 0;
	socket = task_get_fd(pid, fd);
	if (socket < 0)
		return socket;
	kinds = kinds_of(socket);
	ret = kinds ? record(arg, fd, socket, kinds) : 0;
	close(socket);
	return ret;
}

int socket_options_read(pid_t pid, PB(Settings) *settings)
{
	struct reading reading = { .settings = settings };
	int ret;

	reading.group_count = multicast_groups(pid, &reading.groups);
	ret = reading.group_count < 0 ? reading.group_count : task_each_fd(pid, read_one, &reading);
	for (size_t i = 0; i < reading.known_count; i++)
		free(reading.known[i]);
	free(reading.known);
	if (reading.group_count >= 0)
		free(reading.groups);
	return ret;
}

/* NULL: a later plugin knew it. */
static const struct socket_row *row_of(const PB(SocketOption) *option)
{
	for (size_t i = 0; i < socket_rows_count; i++)
		if (socket_rows[i].level == option->level && socket_rows[i].name == option->name)
			return &socket_rows[i];
	return NULL;
}

static int lost(pid_t pid, uint32_t fd, const char *what, int error)
{
	uint32_t inner = 0;

	task_inner_pid(pid, &inner);
	log_fail("setting", "descriptor %u of process %u of the container has lost its %s: %s", fd, inner, what,
		 strerror(-error));
	return error;
}

static int restore_option(pid_t pid, uint32_t fd, int socket, const PB(SocketOption) *option)
{
	const struct socket_row *row = row_of(option);
	struct value wanted = {}, now;
	int ret;

	if (!row)
		return 0;
	wanted.size = option->value.len;
	memcpy(wanted.bytes, option->value.data, option->value.len);
	read_value(socket, row, &now);
	if (!now.size) {
		log_info("descriptor %u goes on without %s: the node's kernel does not know it", fd, row->text);
		return 0;
	}
	if (!memcmp(&wanted, &now, sizeof(now)))
		return 0;
	ret = write_value(socket, row, &wanted);
	if (ret == -ENOENT && row->form == FORM_ALGORITHM) {
		log_info("descriptor %u goes on with the congestion control %.16s: the node has no %.16s", fd,
			 (const char *)now.bytes, (const char *)wanted.bytes);
		return 0;
	}
	/* IP_MULTICAST_IF by the address of a network in which the pod has another one now. */
	if (ret == -EADDRNOTAVAIL) {
		log_info("descriptor %u goes on with the default for %s: the pod has lost the address", fd, row->text);
		return 0;
	}
	return ret ? lost(pid, fd, row->text, ret) : 0;
}

static int restore_socket(pid_t pid, uint32_t fd, const PB(SocketOptions) *options)
{
	int socket = task_get_fd(pid, fd), ret = 0;

	if (socket < 0)
		return lost(pid, fd, "socket", socket);
	for (size_t i = 0; i < options->n_options && !ret; i++)
		ret = restore_option(pid, fd, socket, options->options[i]);
	for (size_t i = 0; i < options->n_memberships && !ret; i++) {
		ret = multicast_join(socket, options->memberships[i]);
		if (ret == -ENODEV) {
			log_info("descriptor %u leaves a multicast group: the pod has no interface %s any more", fd,
				 options->memberships[i]->interface);
			ret = 0;
		}
		if (ret)
			lost(pid, fd, "multicast group", ret);
	}
	close(socket);
	return ret;
}

int socket_options_restore(pid_t pid, const PB(Settings) *settings)
{
	int ret = 0;

	for (size_t i = 0; i < settings->n_sockets && !ret; i++)
		for (size_t n = 0; n < settings->sockets[i]->n_fds && !ret; n++)
			ret = restore_socket(pid, settings->sockets[i]->fds[n], settings->sockets[i]);
	return ret;
}

static bool is_sane(const PB(SocketOptions) *options)
{
	for (size_t i = 0; i < options->n_options; i++) {
		const struct socket_row *row = row_of(options->options[i]);
		size_t size = options->options[i]->value.len;

		if (row && size != (is_interface(row) ? IFNAMSIZ : row->size))
			return false;
		/* A name ends. */
		if (row && is_interface(row) && options->options[i]->value.data[IFNAMSIZ - 1])
			return false;
	}
	for (size_t i = 0; i < options->n_memberships; i++)
		if (!multicast_is_sane(options->memberships[i]))
			return false;
	for (size_t i = 0; i < options->n_fds; i++)
		if (options->fds[i] >= IMAGE_MAX_FD)
			return false;
	return true;
}

int socket_options_check(const PB(Settings) *settings)
{
	for (size_t i = 0; i < settings->n_sockets; i++)
		if (!is_sane(settings->sockets[i]))
			return -EINVAL;
	return 0;
}
