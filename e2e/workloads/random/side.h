/* SPDX-License-Identifier: Apache-2.0 */
/* What this side of a run has made. The parts of the program work on it. */
#ifndef RANDOM_SIDE_H
#define RANDOM_SIDE_H

#include <infiniband/verbs.h>
#include <sys/types.h>

#include "../ledger/control.h"
#include "flow.h"
#include "memory.h"
#include "plan.h"
#include "queue.h"

#define PORT	1
#define QKEY	0x11111111u
#define GIDS	32 /* of the table, that are compared */

/* What the other side of a pair works on. */
struct arena {
	uint64_t sum, swaps;
	uint8_t pad[PAGE - 16];
	uint8_t writes[WRITES][SLOT];
	uint8_t told[MAX_RECEIVES + 2][SLOT]; /* by WRITE with immediate */
	uint8_t out[MAX_WINDOW][SLOT];
	uint8_t in[MAX_WINDOW][SLOT];
};

/* Where the other end of a pair is. */
struct remote {
	uint32_t qpn, psn, arena_key, source_key;
	uint64_t arena, source;
	union ibv_gid gid[PATHS]; /* 0: it has none */
};

/* This end of a pair. */
struct link {
	unsigned int number;
	const struct plan_pair *pair;
	const struct plan_end *plan;
	struct ibv_qp *qp;
	struct ibv_ah *ah;
	struct memory arena_memory, source;
	struct arena *arena;
	struct ibv_mr *arena_mr, *source_mr;
	struct inbox own, *inbox;
	struct remote remote;
	struct flow out, in;
	uint64_t told, told_here; /* WRITEs with immediate, posted and come */
	uint64_t swaps; /* posted */
	uint64_t next_ms; /* before it nothing is posted */
	bool stop_sent;
	uint64_t peer_posted;
};

struct idle {
	const struct plan_idle *plan;
	struct ibv_qp *qp;
	bool has_event;
};

struct region {
	struct memory memory;
	struct ibv_mr *mr;
	uint32_t key;
};

struct refused_thing {
	enum refused kind; /* as it was made */
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_mw *window;
	struct ibv_mr *mr;
	struct ibv_context *context;
	union ibv_gid group;
	int fd;
	struct memory memory;
};

/* A queue pair as ibv_query_qp() shows it. */
struct looks {
	struct ibv_qp_attr attr;
	struct ibv_qp_init_attr init;
};

/* A fault of this side, which has to be found. */
enum inject { INJECT_NOTHING, INJECT_CORRUPT, INJECT_LOSE, INJECT_ATTRIBUTE, INJECT_FLUSH };

struct side {
	const struct plan *all;
	const struct plan_side *plan;
	enum side_name name;
	const char *directory;
	enum inject inject;
	struct ibv_context *context[MAX_CONTEXTS];
	struct ibv_comp_channel *channel[MAX_CONTEXTS];
	struct ibv_pd *pd[MAX_PDS];
	struct queue queue[MAX_CQS];
	struct ibv_srq *srq[MAX_SRQS];
	struct inbox inbox[MAX_SRQS];
	struct region region[MAX_REGIONS];
	struct ibv_ah *handle[MAX_HANDLES];
	struct idle idle[MAX_IDLES];
	struct link link[MAX_PAIRS];
	struct refused_thing refused;
	/* the device's */
	union ibv_gid gid[GIDS];
	int gid_index[PATHS]; /* or NONE */
	/* its child */
	pid_t child;
	int to_child;
	/* as it was before */
	struct looks link_looks[MAX_PAIRS], idle_looks[MAX_IDLES];
	/* the run */
	uint64_t operations;
	uint64_t last_ms; /* something completed */
	bool stopping, peer_stops;
};

/* objects.c: in the order of the calls */
void side_open(struct side *s, const char *device);
void side_make(struct side *s);
void side_destroy(struct side *s);

/* idle.c */
void idles_make(struct side *s, const struct remote *peer);
/* They are as they were, and give back what was posted. */
void idles_check(struct side *s);

/* link.c */
void link_make(struct side *s, unsigned int number);
void link_address(const struct side *s, const struct link *l, struct remote *own);
void link_connect(struct side *s, struct link *l);
void link_destroy(struct link *l);

/* traffic.c */
/* Posts what is due, and takes completions. Return: how many there were. */
unsigned int traffic_step(struct side *s);
/* Everything that this side has posted is complete, and is to be: nothing more follows. */
bool traffic_is_over(const struct side *s);
/* Every message of the other side has come. */
bool traffic_has_come(const struct side *s);
/* What the other side has written is there. */
void traffic_check(struct side *s);

/* looks.c */
void looks_keep(struct side *s);
void looks_check(struct side *s);

/* refused.c */
/* Makes what the plan has, or nothing if this node lacks it. */
void refused_make(struct side *s);
void refused_drop(struct side *s);

/* family.c: the first before the device is opened, the second when everything is made */
void family_before(struct side *s);
void family_make(struct side *s);
/* Lets it look at what it has, and end. */
void family_end(struct side *s);

/* meeting.c */
struct meeting {
	int listens; /* the server's socket */
	const char *peer; /* the client's: the server's address */
	struct control control;
};

void meeting_open(struct meeting *m, const char *peer);
/* Waits up to @within_ms. Return: the two have met. */
bool meeting_try(struct meeting *m, int within_ms);
/* Between its parts the other side may be moved. */
void meeting_part(struct meeting *m);
void meeting_exchange(struct meeting *m, struct side *s);

#endif
