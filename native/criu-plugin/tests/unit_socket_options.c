// SPDX-License-Identifier: GPL-2.0
/* Two children with the same sockets, in one network: what one of them has set, the other one gets. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "multicast.h"
#include "socket_options.h"
#include "socket_rows.h"
#include "sockets.h"
#include "unit.h"

#define SOCKETS_MAX 32

struct child {
	int fds[SOCKETS_MAX];
	size_t count;
	bool changed[SOCKET_ROWS_MAX];
	volatile bool ready;
};

/* What no other kernel than a late one has, or a network that this one is not, may be missing. */
static const char *const always_there[] = {
	"SO_TIMESTAMPNS_NEW", "SO_TIMESTAMPING_OLD", "SO_PEEK_OFF", "SO_MAX_PACING_RATE", "SO_TXTIME", "SO_LOCK_FILTER",
	"SO_ZEROCOPY", "IP_TOS", "IP_TTL", "IP_MTU_DISCOVER", "IP_RECVERR", "IP_RECVTTL", "IP_RECVTOS", "IP_TRANSPARENT",
	"IP_MINTTL", "IP_BIND_ADDRESS_NO_PORT", "IP_MULTICAST_IF", "IP_MULTICAST_TTL", "IP_MULTICAST_LOOP", "IP_MULTICAST_ALL",
	"IP_UNICAST_IF", "IPV6_UNICAST_HOPS", "IPV6_MULTICAST_IF", "IPV6_MULTICAST_HOPS", "IPV6_MULTICAST_LOOP",
	"IPV6_MTU_DISCOVER", "IPV6_RECVERR", "IPV6_RECVHOPLIMIT", "IPV6_RECVTCLASS", "IPV6_TCLASS", "IPV6_DONTFRAG",
	"IPV6_UNICAST_IF", "TCP_MAXSEG", "TCP_FASTOPEN", "TCP_SYNCNT", "TCP_LINGER2", "TCP_DEFER_ACCEPT", "TCP_CONGESTION",
	"TCP_NOTSENT_LOWAT", "TCP_SAVE_SYN", "TCP_INQ", "UDP_SEGMENT", "UDP_GRO", "NETLINK_EXT_ACK",
	"NETLINK_CAP_ACK", "NETLINK_NO_ENOBUFS",
};

static void keep(struct child *child, int fd)
{
	if (fd < 0)
		_exit(1);
	child->fds[child->count++] = fd;
}

static int made(int family, int type, int protocol)
{
	return socket(family, type, protocol);
}

static int listener(int family)
{
	struct sockaddr_in6 any = { .sin6_family = family };
	int fd = made(family, SOCK_STREAM, 0);

	return bind(fd, (struct sockaddr *)&any, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(any)) ||
	       listen(fd, 5) ? -1 : fd;
}

static int connected(int to)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int fd;

	getsockname(to, (struct sockaddr *)&address, &size);
	fd = made(address.ss_family, SOCK_STREAM, 0);
	return connect(fd, (struct sockaddr *)&address, size) ? -1 : fd;
}

/* One that its peer has reset. */
static int reset(int server)
{
	struct linger at_once = { .l_onoff = 1 };
	int fd = connected(server), peer = accept(server, NULL, NULL);

	setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(peer);
	return fd;
}

static void swap(int a, int b)
{
	int kept = dup(a);

	dup2(b, a);
	dup2(kept, b);
	close(kept);
}

/* With @differs the ends of connections are the other way round, and one is a connection that has ended. */
static void make_sockets(struct child *child, bool differs)
{
	int server, client, accepted, pair[2];

	for (int family = AF_INET; family; family = family == AF_INET ? AF_INET6 : 0) {
		server = listener(family);
		keep(child, server);
		client = connected(server);
		accepted = accept(server, NULL, NULL);
		if (differs)
			swap(client, accepted);
		keep(child, client);
		keep(child, accepted);
		keep(child, differs ? reset(server) : made(family, SOCK_STREAM, 0));
		keep(child, made(family, SOCK_DGRAM, 0));
		keep(child, made(family, SOCK_RAW, 89));
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		_exit(1);
	keep(child, pair[0]);
	keep(child, pair[1]);
	keep(child, made(AF_UNIX, SOCK_DGRAM, 0));
	keep(child, made(AF_NETLINK, SOCK_RAW, 0));
	/* Nothing is read of one that CRIU keeps by itself. */
	keep(child, made(AF_PACKET, SOCK_RAW, 0));
}

/* Another value than it has, whichever it takes. */
static bool change(int fd, const struct socket_row *row)
{
	static const uint32_t values[] = {
		1, 2, 0, 5, 24, 30, 500, 1500, 100000, 300000, 0x88b87530, 0x0100007f, 0x01000000
	};
	uint32_t value[4], before[4] = {}, after[4] = {};
	socklen_t size = row->size, same = row->size;

	if (getsockopt(fd, row->level, row->name, before, &size))
		return false;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		memset(value, 0, sizeof(value));
		value[0] = values[i];
		if (row->form == FORM_ALGORITHM)
			strcpy((char *)value, "reno");
		same = row->size;
		if (!setsockopt(fd, row->level, row->name, value, row->size) &&
		    !getsockopt(fd, row->level, row->name, after, &same) && memcmp(before, after, row->size))
			return true;
	}
	return false;
}

static void join(const struct child *child)
{
	struct group_source_req source = { .gsr_interface = 1 };
	struct sockaddr_in group = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr("239.1.2.3") };
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr("10.9.8.7") };
	struct sockaddr_in6 group6 = { .sin6_family = AF_INET6 };
	struct group_req all = { .gr_interface = 1 };
	int bad = 0;

	memcpy(&all.gr_group, &group, sizeof(group));
	bad |= setsockopt(child->fds[4], IPPROTO_IP, MCAST_JOIN_GROUP, &all, sizeof(all));
	group.sin_addr.s_addr = inet_addr("239.4.5.6");
	memcpy(&source.gsr_group, &group, sizeof(group));
	memcpy(&source.gsr_source, &from, sizeof(from));
	bad |= setsockopt(child->fds[4], IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &source, sizeof(source));
	inet_pton(AF_INET6, "ff05::1:3", &group6.sin6_addr);
	memcpy(&all.gr_group, &group6, sizeof(group6));
	bad |= setsockopt(child->fds[10], IPPROTO_IPV6, MCAST_JOIN_GROUP, &all, sizeof(all));
	if (bad)
		_exit(1);
}

static void run(struct child *child, bool changes, bool differs)
{
	make_sockets(child, differs);
	for (size_t n = 0; n < child->count && changes; n++)
		for (size_t i = 0; i < socket_rows_count; i++)
			child->changed[i] |= change(child->fds[n], &socket_rows[i]);
	if (changes)
		join(child);
	child->ready = true;
	for (;;)
		pause();
}

static pid_t start(struct child *child, bool changes, bool differs)
{
	pid_t pid;

	memset(child, 0, sizeof(*child));
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run(child, changes, differs);
	}
	for (int i = 0; i < 5000 && !child->ready; i++)
		usleep(1000);
	CHECK(child->ready);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static PB(Settings) *read_of(pid_t pid)
{
	PB(Settings) *settings = calloc(1, sizeof(*settings));

	sealift__ibverbs__settings__init(settings);
	settings->pid = 1;
	CHECK(!socket_options_read(pid, settings));
	CHECK(!socket_options_check(settings));
	return settings;
}

static void forget(PB(Settings) *settings)
{
	sealift__ibverbs__settings__free_unpacked(settings, NULL);
}

static bool same(const PB(Settings) *a, const PB(Settings) *b)
{
	size_t size = sealift__ibverbs__settings__get_packed_size(a);
	uint8_t *one = malloc(size), *other = malloc(size);
	bool is_same = size == sealift__ibverbs__settings__get_packed_size(b);

	sealift__ibverbs__settings__pack(a, one);
	if (is_same)
		sealift__ibverbs__settings__pack(b, other);
	is_same = is_same && !memcmp(one, other, size);
	free(one);
	free(other);
	return is_same;
}

static void all_are_put_back(struct child *one, struct child *other)
{
	pid_t source = start(one, true, false), target = start(other, false, false);
	PB(Settings) *wanted = read_of(source), *now = read_of(target);
	size_t memberships = 0, groups = now->n_sockets;

	CHECK(!memcmp(one->fds, other->fds, sizeof(one->fds)));
	CHECK(!same(wanted, now));
	/* Of 17 that have options: accepted and connected ones are the same, and both of a pair. */
	CHECK(groups < 17);
	for (size_t i = 0; i < wanted->n_sockets; i++)
		memberships += wanted->sockets[i]->n_memberships;
	CHECK(memberships == 3);
	for (size_t i = 0; i < sizeof(always_there) / sizeof(always_there[0]); i++) {
		bool changed = false;

		for (size_t n = 0; n < socket_rows_count; n++)
			changed |= !strcmp(socket_rows[n].text, always_there[i]) && one->changed[n];
		unit_check(changed, always_there[i], __FILE__, __LINE__);
	}
	forget(now);
	unit_clear_log();
	CHECK(!socket_options_restore(target, wanted));
	now = read_of(target);
	CHECK(same(wanted, now));
	/* Once more: another process has the same sockets. */
	CHECK(!socket_options_restore(target, wanted));
	forget(now);
	now = read_of(target);
	CHECK(same(wanted, now));
	forget(now);
	forget(wanted);
	end(source);
	end(target);
}

/* Accepted and ended connections have values of their own, and a restored one is new: none of them may be in the way. */
static void past_is_no_obstacle(struct child *one, struct child *other)
{
	pid_t source = start(one, true, true), target = start(other, false, false);
	PB(Settings) *wanted = read_of(source);

	CHECK(!socket_options_restore(target, wanted));
	forget(wanted);
	end(source);
	end(target);
}

static void what_cannot_be(struct child *one)
{
	pid_t target = start(one, true, false);
	PB(Settings) *wanted = read_of(target);
	PB(Membership) *membership = NULL;
	PB(SocketOption) *algorithm = NULL;
	PB(SocketOptions) *of = NULL;

	for (size_t i = 0; i < wanted->n_sockets; i++) {
		PB(SocketOptions) *options = wanted->sockets[i];

		for (size_t n = 0; n < options->n_options; n++)
			if (options->options[n]->level == IPPROTO_TCP && options->options[n]->name == TCP_CONGESTION)
				algorithm = options->options[n];
		if (options->n_memberships) {
			of = options;
			membership = options->memberships[0];
		}
	}
	CHECK(algorithm && membership);
	/* A node may have another congestion control. */
	memcpy(algorithm->value.data, "none_such", 10);
	unit_clear_log();
	CHECK(!socket_options_restore(target, wanted));
	CHECK(strstr(unit_log(), "none_such"));
	strcpy(membership->interface, "x");
	/* The program had made it itself. */
	CHECK(!socket_options_restore(target, wanted));
	CHECK(strstr(unit_log(), "no interface x any more"));
	/* An image that says more than there is. */
	membership->filter.len--;
	CHECK(socket_options_check(wanted) == -EINVAL);
	membership->filter.len++;
	((struct group_filter *)membership->filter.data)->gf_numsrc = 1000;
	CHECK(socket_options_check(wanted) == -EINVAL);
	((struct group_filter *)membership->filter.data)->gf_numsrc = 0;
	CHECK(socket_options_check(wanted) || !strcmp(membership->interface, "x"));
	of->fds[0] = IMAGE_MAX_FD;
	CHECK(socket_options_check(wanted) == -EINVAL);
	of->fds[0] = 3;
	algorithm->value.len = 3;
	CHECK(socket_options_check(wanted) == -EINVAL);
	algorithm->value.len = SOCKET_VALUE_MAX;
	/* A later plugin's options are not ours. */
	algorithm->level = 1000;
	CHECK(!socket_options_check(wanted));
	of->fds[0] = 1000;
	unit_clear_log();
	CHECK(socket_options_restore(target, wanted) == -EBADF);
	CHECK(strstr(unit_log(), "descriptor 1000"));
	forget(wanted);
	end(target);
}

/* In a network of our own, whose loopback is up. */
static void in_network(void)
{
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING };
	struct child *children = mmap(NULL, 2 * sizeof(*children), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(!ioctl(fd, SIOCSIFFLAGS, &up));
	close(fd);
	all_are_put_back(&children[0], &children[1]);
	past_is_no_obstacle(&children[0], &children[1]);
	what_cannot_be(&children[0]);
	munmap(children, 2 * sizeof(*children));
}

void unit_socket_options(void)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (!geteuid()) {
		CHECK(!unshare(CLONE_NEWNET));
		in_network();
		CHECK(!setns(own, CLONE_NEWNET));
	}
	close(own);
}
