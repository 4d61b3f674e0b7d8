// SPDX-License-Identifier: GPL-2.0
/* Sockets of IP with options that CRIU leaves out. What is said is what the kernel says of them. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeps.h"

static int listener, client, server, datagrams, datagrams6;

static void set(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value))) {
		perror("setsockopt");
		exit(1);
	}
}

static int get(int fd, int level, int name)
{
	int value = 0;
	socklen_t size = sizeof(value);

	return getsockopt(fd, level, name, &value, &size) ? -1 : value;
}

static const char *congestion(int fd)
{
	static char name[17];
	socklen_t size = 16;

	memset(name, 0, sizeof(name));
	return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size) ? "none" : name;
}

static int bound(int family, int type)
{
	struct sockaddr_in6 any = { .sin6_family = family };
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(any)) ||
	    (type == SOCK_STREAM && listen(fd, 5))) {
		perror("bind");
		exit(1);
	}
	return fd;
}

static struct sockaddr_in own(int fd)
{
	struct sockaddr_in address = {};
	socklen_t size = sizeof(address);

	getsockname(fd, (struct sockaddr *)&address, &size);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static void join(void)
{
	struct ip_mreqn group = { .imr_multiaddr.s_addr = inet_addr("239.1.2.3"), .imr_ifindex = 1 };

	if (setsockopt(datagrams, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group))) {
		perror("IP_ADD_MEMBERSHIP");
		exit(1);
	}
}

/* A datagram to the group arrives; `TCP` is what a connection carries. */
static const char *arrives(void)
{
	struct sockaddr_in group = own(datagrams);
	struct ip_mreqn by = { .imr_ifindex = 1 };
	static char text[8];
	int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	group.sin_addr.s_addr = inet_addr("239.1.2.3");
	memset(text, 0, sizeof(text));
	if (setsockopt(sender, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(by)) ||
	    sendto(sender, "group", 5, 0, (struct sockaddr *)&group, sizeof(group)) != 5)
		perror("sendto");
	usleep(20000);
	if (recv(datagrams, text, sizeof(text) - 1, MSG_DONTWAIT) < 0)
		strcpy(text, "nothing");
	close(sender);
	return text;
}

static void say_options(void)
{
	printf("%d %d %s, %d %d %d, %d %s", get(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT), get(listener, IPPROTO_TCP, TCP_MAXSEG),
	       congestion(listener), get(datagrams, IPPROTO_IP, IP_RECVERR), get(datagrams, IPPROTO_IP, IP_MTU_DISCOVER),
	       get(datagrams, IPPROTO_UDP, UDP_GRO), get(datagrams6, IPPROTO_IPV6, IPV6_RECVTCLASS), arrives());
	if (client)
		printf(", %d %s %d", get(client, IPPROTO_TCP, TCP_SYNCNT), congestion(server),
		       get(server, IPPROTO_TCP, TCP_NOTSENT_LOWAT));
	printf("\n");
}

static void say_here(void)
{
	printf("here\n");
}

static void make_options(void)
{
	listener = bound(AF_INET, SOCK_STREAM);
	set(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 7);
	set(listener, IPPROTO_TCP, TCP_MAXSEG, 700);
	setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	datagrams = bound(AF_INET, SOCK_DGRAM);
	set(datagrams, IPPROTO_IP, IP_RECVERR, 1);
	set(datagrams, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
	set(datagrams, IPPROTO_UDP, UDP_GRO, 1);
	datagrams6 = bound(AF_INET6, SOCK_DGRAM);
	set(datagrams6, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	join();
}

static void make_connection(void)
{
	int plain = bound(AF_INET, SOCK_STREAM);
	struct sockaddr_in to = own(plain);

	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!connect(client, (struct sockaddr *)&to, sizeof(to)))
		server = accept4(plain, NULL, NULL, SOCK_CLOEXEC);
	if (server <= 0) {
		perror("connect");
		exit(1);
	}
	set(client, IPPROTO_TCP, TCP_SYNCNT, 9);
	setsockopt(server, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	set(server, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384);
}

static int connected(int to, int family)
{
	struct sockaddr_in inet = own(to);
	struct sockaddr_in6 inet6 = { .sin6_family = AF_INET6, .sin6_port = inet.sin_port, .sin6_addr = in6addr_loopback };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet.sin_family = AF_INET;
	if (family == AF_INET ? connect(fd, (struct sockaddr *)&inet, sizeof(inet)) :
	    connect(fd, (struct sockaddr *)&inet6, sizeof(inet6))) {
		perror("connect");
		exit(1);
	}
	return fd;
}

/* Connections of both families and mixed, half closed and ended; sockets without any. Nothing is set: nothing may differ. */
static void make_states(void)
{
	int six = bound(AF_INET6, SOCK_STREAM), four = bound(AF_INET, SOCK_STREAM);
	struct linger at_once = { .l_onoff = 1 };
	struct sockaddr_in to = own(bound(AF_INET, SOCK_DGRAM));
	int ended;

	connected(six, AF_INET6);
	accept(six, NULL, NULL);
	connected(six, AF_INET);
	accept(six, NULL, NULL);
	shutdown(connected(four, AF_INET), SHUT_WR);
	accept(four, NULL, NULL);
	connected(four, AF_INET);
	ended = accept(four, NULL, NULL);
	setsockopt(ended, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(ended);
	socket(AF_INET, SOCK_STREAM, 0);
	socket(AF_INET6, SOCK_STREAM, 0);
	socket(AF_INET6, SOCK_DGRAM, 0);
	socket(AF_INET, SOCK_RAW, 89);
	socket(AF_NETLINK, SOCK_RAW, 0);
	if (connect(socket(AF_INET, SOCK_DGRAM, 0), (struct sockaddr *)&to, sizeof(to))) {
		perror("connect");
		exit(1);
	}
	/* What they have begun with each other has arrived. */
	usleep(300000);
}

static void make_keys(void)
{
	struct tcp_md5sig key = { .tcpm_addr.ss_family = AF_INET, .tcpm_keylen = 3, .tcpm_key = "abc" };

	((struct sockaddr_in *)&key.tcpm_addr)->sin_addr.s_addr = inet_addr("10.1.2.3");
	if (setsockopt(bound(AF_INET, SOCK_STREAM), IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key))) {
		perror("TCP_MD5SIG");
		exit(1);
	}
}

void (*sockets_begin(const char *what))(void)
{
	if (!strcmp(what, "inet-plain"))
		bound(AF_INET, SOCK_DGRAM);
	else if (!strcmp(what, "inet-states"))
		make_states();
	else if (!strcmp(what, "inet-keys"))
		make_keys();
	else if (!strncmp(what, "inet-options", 12))
		make_options();
	else
		return NULL;
	if (!strcmp(what, "inet-options-connected"))
		make_connection();
	return datagrams ? say_options : say_here;
}
