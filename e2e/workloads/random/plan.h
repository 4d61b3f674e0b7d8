/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a seed stands for: the objects of both sides, how they are connected, what moves when. There are no verbs in here:
 * both sides make the same plan, and so do tests.
 */
#ifndef RANDOM_PLAN_H
#define RANDOM_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MAX_CONTEXTS	3
#define MAX_PDS		6
#define MAX_CQS		12
#define MAX_SRQS	4
#define MAX_REGIONS	8
#define MAX_HANDLES	6
#define MAX_IDLES	7
#define MAX_PAIRS	6
#define NONE		(-1)

#define PAGE		4096u
#define SLOT		4096u	/* of a message */
#define MAX_WINDOW	16	/* requests under way of a queue pair */
#define MAX_RECEIVES	32	/* of a queue pair, or of all that share a queue */
#define DEVICE_PAGES	8	/* of a region that a peer reads */

enum side_name { SERVER, CLIENT, SIDES };

/* The device may write to the first ones. */
enum memory_kind {
	MEMORY_ANONYMOUS, MEMORY_SHARED, MEMORY_MEMFD, MEMORY_TMPFS, MEMORY_SEVERAL, MEMORY_NOT_FORKED,
	MEMORY_TRANSPARENT, MEMORY_HUGE,
	MEMORY_PROTECTED, MEMORY_FILE_PRIVATE, MEMORY_FILE_SHARED, MEMORY_KINDS,
};
#define MEMORY_WRITABLE MEMORY_PROTECTED

enum armed { ARMED_NOT, ARMED_ALL, ARMED_SOLICITED };
enum transport { TRANSPORT_RC, TRANSPORT_UD };
/* The fabric's own address: of IPv4, on an IPv6-only fabric of IPv6. The others if both sides have them. */
enum path { PATH_FABRIC, PATH_LINK_LOCAL, PATH_IPV6, PATHS };
enum idle_state { IDLE_RESET, IDLE_INIT, IDLE_RTR, IDLE_RTS, IDLE_SQD, IDLE_ERR, IDLE_STATES };

/* What shares a side's queues with it. */
enum family {
	FAMILY_NONE, FAMILY_INHERITS, /* a child, since a fork */
	FAMILY_WORKER, /* a child that registers memory of its own */
	FAMILY_PASSED, /* a child that got the context's descriptor */
	FAMILIES,
};

/* What cannot be moved, and has to be named before anything is held. */
enum refused {
	REFUSED_NOTHING, REFUSED_UC, REFUSED_WINDOW, REFUSED_GROUP, REFUSED_CM, REFUSED_FREED, REFUSED_ORPHAN,
	REFUSED_KINDS,
};

struct plan_pd {
	int context;
	bool gap; /* another one was there before, and is gone */
};

struct plan_cq {
	int context;
	bool quiet; /* nobody takes its completions until the end */
	bool events; /* it has a channel */
	enum armed armed;
	uint32_t entries;
	uint32_t resized; /* 0: not */
	uint32_t acknowledged_by; /* as many events at once */
	bool gap;
	bool extended; /* read field by field */
};

struct plan_srq {
	int pd;
	bool quiet;
	uint32_t entries, sges;
	uint32_t posted; /* of a quiet one */
	uint32_t limit;
	uint32_t resized;
	enum memory_kind memory;
};

struct plan_region {
	int pd;
	enum memory_kind memory;
	uint32_t offset, length;
	bool remote_reads;
	bool gap;
};

struct plan_handle {
	int pd;
	bool destroyed;
};

/* A queue pair without traffic. */
struct plan_idle {
	enum transport transport;
	enum idle_state state;
	int pd, send_cq, receive_cq;
	int srq; /* or NONE */
	uint32_t sends, receives, sges, inline_bytes;
	uint32_t posted; /* receive requests */
	bool signals_all;
	bool reads_event; /* that its send queue is drained */
	bool gap;
};

/* One end of a pair. */
struct plan_end {
	int pd, send_cq, receive_cq;
	int srq; /* or NONE */
	uint32_t window, receives, sges, inline_bytes;
	bool signals_all;
	bool extended; /* its requests are written call by call */
	enum memory_kind arena, source, inbox;
	uint32_t burst, pause_ms; /* posted at once, and then waited */
	uint32_t first_psn;
	uint32_t rnr_timer, timeout, reads;
	uint32_t traffic_class, hop_limit;
};

struct plan_pair {
	enum transport transport;
	enum path path;
	uint32_t mtu; /* IB code */
	struct plan_end end[SIDES];
};

struct plan_side {
	unsigned int contexts, pds, cqs, srqs, regions, handles, idles;
	struct plan_pd pd[MAX_PDS];
	struct plan_cq cq[MAX_CQS];
	struct plan_srq srq[MAX_SRQS];
	struct plan_region region[MAX_REGIONS];
	struct plan_handle handle[MAX_HANDLES];
	struct plan_idle idle[MAX_IDLES];
	enum family family;
	bool fork_safe; /* ibv_fork_init() */
	enum refused refused;
};

struct plan {
	uint64_t seed;
	enum side_name moves;
	uint32_t moment_ms; /* to wait, in traffic, before it moves */
	unsigned int pairs;
	struct plan_pair pair[MAX_PAIRS];
	struct plan_side side[SIDES];
};

void plan_make(struct plan *p, uint64_t seed);
const char *side_word(enum side_name side);
const char *refused_word(enum refused refused);
const char *memory_word(enum memory_kind kind);
/* One line: `plan {...}`. */
void plan_print(FILE *out, const struct plan *p, enum side_name side);
/* Every object, a line each, for people. */
void plan_describe(FILE *out, const struct plan *p);

#endif
