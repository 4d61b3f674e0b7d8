// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "multicast.h"
#include "tasks.h"

struct found {
	struct multicast_group *groups;
	size_t count;
};

/* The kernel's group_filter, with room for all sources. */
union filter {
	struct group_filter head;
	uint8_t bytes[GROUP_FILTER_SIZE(MULTICAST_MAX_SOURCES)];
};

static int add(struct found *found, const struct multicast_group *group)
{
	struct multicast_group *grown = realloc(found->groups, (found->count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	found->groups = grown;
	found->groups[found->count++] = *group;
	return 0;
}

/* An interface has a line, and below it each group one that begins with a tab; the number as the processor has it. */
static int read_igmp(FILE *file, struct found *found)
{
	struct multicast_group group = { .family = AF_INET };
	char line[256];
	int ret = 0;

	while (!ret && fgets(line, sizeof(line), file)) {
		uint32_t address;

		if (*line != '\t') {
			group.interface = strtoul(line, NULL, 10);
		} else if (sscanf(line, "%8x", &address) == 1) {
			memcpy(&group.address, &address, sizeof(address));
			ret = add(found, &group);
		}
	}
	return ret;
}

static int read_igmp6(FILE *file, struct found *found)
{
	struct multicast_group group = { .family = AF_INET6 };
	char line[256], address[33];
	int ret = 0;

	while (!ret && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%u %*s %32[0-9a-f]", &group.interface, address) != 2)
			continue;
		for (int i = 0; i < 16; i++)
			sscanf(address + 2 * i, "%2hhx", &group.address.s6_addr[i]);
		ret = add(found, &group);
	}
	return ret;
}

static int read_file(pid_t pid, const char *name, int (*read)(FILE *file, struct found *found),
		     struct found *found)
{
	FILE *file = task_open(pid, name);
	int ret;

	/* A kernel without multicast, or without IPv6. */
	if (!file)
		return errno == ENOENT ? 0 : -errno;
	ret = read(file, found);
	fclose(file);
	return ret;
}

int multicast_groups(pid_t pid, struct multicast_group **groups)
{
	struct found found = {};
	int ret = read_file(pid, "net/igmp", read_igmp, &found);

	if (!ret)
		ret = read_file(pid, "net/igmp6", read_igmp6, &found);
	if (ret) {
		free(found.groups);
		return ret;
	}
	*groups = found.groups;
	return found.count;
}

unsigned int interface_index(int socket, const char *name)
{
	struct ifreq request = {};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(socket, SIOCGIFINDEX, &request) ? 0 : request.ifr_ifindex;
}

int interface_name(int socket, unsigned int index, char name[16])
{
	struct ifreq request = { .ifr_ifindex = index };

	if (ioctl(socket, SIOCGIFNAME, &request))
		return -errno;
	memcpy(name, request.ifr_name, IFNAMSIZ);
	return 0;
}

static int level_of(int family)
{
	return family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
}

static void set_address(struct sockaddr_storage *to, const struct multicast_group *group)
{
	struct sockaddr_in inet = { .sin_family = AF_INET };
	struct sockaddr_in6 inet6 = { .sin6_family = AF_INET6, .sin6_addr = group->address };

	memcpy(&inet.sin_addr, &group->address, sizeof(inet.sin_addr));
	if (group->family == AF_INET)
		memcpy(to, &inet, sizeof(inet));
	else
		memcpy(to, &inet6, sizeof(inet6));
}

static int record(int socket, const union filter *filter, PB(SocketOptions) *options)
{
	PB(Membership) *membership = calloc(1, sizeof(*membership));
	char name[IFNAMSIZ];
	int ret;

	if (!membership)
		return -ENOMEM;
	sealift__ibverbs__membership__init(membership);
	ret = interface_name(socket, filter->head.gf_interface, name);
	if (!ret)
		ret = (membership->interface = strdup(name)) ? 0 : -ENOMEM;
	if (!ret)
		ret = image_bytes(&membership->filter, filter, GROUP_FILTER_SIZE(filter->head.gf_numsrc));
	if (!ret)
		ret = image_append(&options->memberships, &options->n_memberships, membership);
	if (ret)
		sealift__ibverbs__membership__free_unpacked(membership, NULL);
	return ret;
}

/* A socket is asked for its own filter of a group: it has none if it has not joined. */
int multicast_read(int socket, const struct multicast_group *groups, size_t count,
		   PB(SocketOptions) *options)
{
	static union filter filter;
	int ret = 0;

	for (size_t i = 0; i < count && !ret; i++) {
		socklen_t size = sizeof(filter);

		memset(&filter, 0, sizeof(filter));
		filter.head.gf_interface = groups[i].interface;
		filter.head.gf_numsrc = MULTICAST_MAX_SOURCES;
		set_address(&filter.head.gf_group, &groups[i]);
		if (getsockopt(socket, level_of(groups[i].family), MCAST_MSFILTER, &filter, &size))
			continue;
		if (filter.head.gf_numsrc > MULTICAST_MAX_SOURCES)
			return -E2BIG;
		ret = record(socket, &filter, options);
	}
	return ret;
}

bool multicast_is_sane(const PB(Membership) *membership)
{
	union filter filter = {};
	size_t size = membership->filter.len;

	if (size < GROUP_FILTER_SIZE(0) || size > sizeof(filter))
		return false;
	memcpy(&filter, membership->filter.data, size);
	return filter.head.gf_numsrc <= MULTICAST_MAX_SOURCES &&
	       size == GROUP_FILTER_SIZE(filter.head.gf_numsrc) &&
	       strlen(membership->interface) < IFNAMSIZ;
}

int multicast_join(int socket, const PB(Membership) *membership)
{
	static union filter filter;
	struct group_req request = {};
	int level;

	memcpy(&filter, membership->filter.data, membership->filter.len);
	filter.head.gf_interface = interface_index(socket, membership->interface);
	if (!filter.head.gf_interface)
		return -ENODEV;
	request.gr_interface = filter.head.gf_interface;
	request.gr_group = filter.head.gf_group;
	level = level_of(request.gr_group.ss_family);
	if (setsockopt(socket, level, MCAST_JOIN_GROUP, &request, sizeof(request)) && errno != EADDRINUSE)
		return -errno;
	if (filter.head.gf_fmode == MCAST_EXCLUDE && !filter.head.gf_numsrc)
		return 0;
	return setsockopt(socket, level, MCAST_MSFILTER, &filter, membership->filter.len) ? -errno : 0;
}
