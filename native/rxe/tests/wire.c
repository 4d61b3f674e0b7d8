// SPDX-License-Identifier: GPL-2.0
#include "wire.h"

#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROCE_PORT	4791
#define BTH_SIZE	12
#define HEADERS		(sizeof(struct iphdr) + sizeof(struct udphdr))
#define PACKET_MAX	(HEADERS + BTH_SIZE + 64 + WIRE_MTU + 4)
#define ACK_REQ		0x80000000U
#define RECEIVE_BYTES	(4 << 20)	/* a window of packets, and their overhead */
#define PSN_MASK	0xffffffU

/* The invariant CRC: Ethernet's, over the headers with what routers change set to ones. */
static uint32_t crc32(uint32_t crc, const uint8_t *p, size_t size)
{
	int bit;

	while (size--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}

static uint32_t icrc(const uint8_t *packet, size_t size)
{
	uint8_t head[HEADERS + BTH_SIZE];
	struct iphdr *ip = (void *)head;
	struct udphdr *udp = (void *)(ip + 1);
	uint32_t crc;

	memcpy(head, packet, sizeof(head));
	ip->tos = 0xff;
	ip->ttl = 0xff;
	ip->check = 0xffff;
	udp->check = 0xffff;
	head[HEADERS + 4] = 0xff;	/* reserved byte before the QP number */

	/* what eight bytes of ones leave in the register: the LRH's place */
	crc = crc32(0xdebb20e3, head, sizeof(head));
	crc = crc32(crc, packet + sizeof(head), size - sizeof(head));
	/* rxe has no payload offset for a FLUSH and takes all of it for one */
	if (packet[HEADERS] == WIRE_FLUSH)
		crc = crc32(crc, packet + HEADERS, size - HEADERS);
	return ~crc;
}

static uint8_t *put(uint8_t *at, uint64_t value, unsigned int bytes)
{
	value = htobe64(value << (64 - 8 * bytes));
	memcpy(at, &value, bytes);
	return at + bytes;
}

static const uint8_t *get(const uint8_t *at, uint64_t *value,
			  unsigned int bytes)
{
	*value = 0;
	memcpy(value, at, bytes);
	*value = be64toh(*value) >> (64 - 8 * bytes);
	return at + bytes;
}

static bool has_reth(uint8_t opcode)
{
	return opcode == WIRE_READ || opcode == WIRE_WRITE_FIRST ||
	       opcode == WIRE_WRITE_ONLY || opcode == WIRE_WRITE_ONLY_IMM ||
	       opcode == WIRE_FLUSH || opcode == WIRE_ATOMIC_WRITE;
}

static bool has_aeth(uint8_t opcode)
{
	return opcode >= WIRE_READ_FIRST && opcode <= WIRE_ATOMIC_ACK &&
	       opcode != WIRE_READ_MIDDLE;
}

static bool has_immediate(uint8_t opcode)
{
	return opcode == WIRE_SEND_LAST_IMM || opcode == WIRE_SEND_ONLY_IMM ||
	       opcode == WIRE_WRITE_LAST_IMM || opcode == WIRE_WRITE_ONLY_IMM ||
	       opcode == WIRE_UD_SEND_IMM;
}

static bool is_datagram(uint8_t opcode)
{
	return opcode == WIRE_UD_SEND || opcode == WIRE_UD_SEND_IMM;
}

static bool is_atomic(uint8_t opcode)
{
	return opcode == WIRE_CMP_SWAP || opcode == WIRE_FETCH_ADD;
}

static uint8_t *put_transport(uint8_t *at, const struct wire_packet *p)
{
	uint8_t pad = -p->size & 3;

	at = put(at, p->opcode, 1);
	at = put(at, pad << 4, 1);
	at = put(at, 0xffff, 2);
	at = put(at, p->qpn, 4);
	at = put(at, (p->ack_req ? ACK_REQ : 0) | p->psn, 4);
	if (is_datagram(p->opcode)) {
		at = put(at, p->qkey, 4);
		at = put(at, p->src_qpn, 4);
	}
	if (p->opcode == WIRE_FLUSH)
		at = put(at, p->flush, 4);
	if (has_reth(p->opcode)) {
		at = put(at, p->va, 8);
		at = put(at, p->rkey, 4);
		at = put(at, p->length, 4);
	}
	if (is_atomic(p->opcode)) {
		at = put(at, p->va, 8);
		at = put(at, p->rkey, 4);
		at = put(at, p->swap_add, 8);
		at = put(at, p->compare, 8);
	}
	if (has_aeth(p->opcode))
		at = put(at, p->syndrome << 24 | p->msn, 4);
	if (p->opcode == WIRE_ATOMIC_ACK)
		at = put(at, p->compare, 8);
	if (has_immediate(p->opcode))
		at = put(at, p->immediate, 4);
	memcpy(at, p->payload, p->size);
	memset(at + p->size, 0, pad);
	return at + p->size + pad;
}

void wire_send(const struct wire *w, const struct wire_packet *p)
{
	uint8_t packet[PACKET_MAX] = { 0 };
	struct iphdr *ip = (void *)packet;
	struct udphdr *udp = (void *)(ip + 1);
	uint8_t *end = put_transport(packet + HEADERS, p);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = w->to };
	size_t size = end - packet + 4;
	uint32_t crc;

	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tot_len = htons(size);
	ip->id = htons(1);
	ip->frag_off = htons(IP_DF);
	ip->ttl = 64;
	ip->protocol = IPPROTO_UDP;
	ip->saddr = w->from.s_addr;
	ip->daddr = w->to.s_addr;
	udp->source = htons(0xc000);
	udp->dest = htons(ROCE_PORT);
	udp->len = htons(size - sizeof(*ip));
	crc = icrc(packet, size - 4);
	memcpy(end, &crc, sizeof(crc));

	if (sendto(w->tx, packet, size, 0, (void *)&to, sizeof(to)) !=
	    (ssize_t)size)
		err(1, "sendto");
}

static bool parse(const struct wire *w, const uint8_t *packet, size_t size,
		  struct wire_packet *p)
{
	const struct iphdr *ip = (const void *)packet;
	const struct udphdr *udp = (const void *)(ip + 1);
	const uint8_t *at = packet + HEADERS;
	uint64_t opcode, flags, value;

	if (size < HEADERS + BTH_SIZE + 4 || ip->version != 4 ||
	    ip->protocol != IPPROTO_UDP || udp->dest != htons(ROCE_PORT) ||
	    ip->saddr != w->to.s_addr || ip->daddr != w->from.s_addr)
		return false;

	memset(p, 0, sizeof(*p));
	at = get(at, &opcode, 1);
	at = get(at, &flags, 1);
	p->opcode = opcode;
	at = get(at + 2, &value, 4);
	p->qpn = value & PSN_MASK;
	at = get(at, &value, 4);
	p->psn = value & PSN_MASK;
	p->ack_req = value & ACK_REQ;
	if (is_datagram(p->opcode)) {
		at = get(at, &value, 4);
		p->qkey = value;
		at = get(at, &value, 4);
		p->src_qpn = value & PSN_MASK;
	}
	if (p->opcode == WIRE_FLUSH)
		at += 4;
	if (has_reth(p->opcode) || is_atomic(p->opcode)) {
		at = get(at, &p->va, 8);
		at = get(at, &value, 4);
		p->rkey = value;
	}
	if (has_reth(p->opcode)) {
		at = get(at, &value, 4);
		p->length = value;
	}
	if (is_atomic(p->opcode))
		at += 16;
	if (has_aeth(p->opcode)) {
		at = get(at, &value, 4);
		p->syndrome = value >> 24;
		p->msn = value & PSN_MASK;
	}
	if (p->opcode == WIRE_ATOMIC_ACK)
		at = get(at, &p->compare, 8);
	if (has_immediate(p->opcode)) {
		at = get(at, &value, 4);
		p->immediate = value;
	}
	p->size = packet + size - at - 4 - (flags >> 4 & 3);
	if (p->size <= WIRE_MTU)
		memcpy(p->payload, at, p->size);
	return true;
}

bool wire_recv(const struct wire *w, struct wire_packet *p, int ms)
{
	struct pollfd ready = { .fd = w->rx, .events = POLLIN };
	uint8_t packet[PACKET_MAX];
	ssize_t size;

	while (poll(&ready, 1, ms) > 0) {
		size = recv(w->rx, packet, sizeof(packet), 0);
		if (size > 0 && parse(w, packet, size, p))
			return true;
	}
	return false;
}

void wire_drain(const struct wire *w)
{
	struct wire_packet p;

	while (wire_recv(w, &p, 0))
		;
}

void wire_open(struct wire *w, const char *netns, const char *dev,
	       const char *from, const char *to)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there;
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
	};
	int size = RECEIVE_BYTES;
	char path[128];

	inet_pton(AF_INET, from, &w->from);
	inet_pton(AF_INET, to, &w->to);
	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (there < 0 || home < 0 || setns(there, CLONE_NEWNET))
		err(1, "%s", path);
	at.sll_ifindex = if_nametoindex(dev);
	w->tx = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	w->rx = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP));
	if (w->tx < 0 || w->rx < 0 ||
	    setsockopt(w->rx, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    bind(w->rx, (void *)&at, sizeof(at)))
		err(1, "sockets in %s", netns);
	if (setns(home, CLONE_NEWNET))
		err(1, "setns");
	close(there);
	close(home);
}
