/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One queue pair and the accounts of both of its ends.
 *
 * A stream works in rounds. Round r of one side is, in this order: WRITE of record r into the peer's
 * ring, WRITE_WITH_IMM (immediate r) of record r into a second ring, READ of the newest page that
 * the peer is known to have written, FETCH_ADD, CMP_SWAP, and a SEND that says "round r". RC keeps the
 * order, so when that SEND arrives, all the rest must be there: the receiver checks it then, marks
 * the records as consumed and writes page r + 1. Both sides do this at once, so requester and
 * responder of both ends carry state at any moment.
 */
#ifndef LEDGER_STREAM_H
#define LEDGER_STREAM_H

#include "arena.h"
#include "endpoint.h"
#include "verify.h"

#define STREAM_WINDOW 8 /* rounds without the peer's acknowledgement */
#define STREAM_OPERATIONS 6 /* per round */

enum inject {
	INJECT_NONE,
	INJECT_LOSE,
	INJECT_DUPLICATE,
	INJECT_CORRUPT,
	INJECT_REORDER,
};

struct operation {
	uint8_t kind; /* enum stream_kind */
	uint64_t number;
	uint64_t expects; /* READ: page version */
};

/* What a side has issued; sent to the peer at the end. */
struct totals {
	uint64_t rounds;
	uint64_t messages;
	uint64_t adds; /* sum of all FETCH_ADD steps */
};

struct stream {
	uint16_t index;
	uint16_t peer_index;
	struct endpoint *endpoint;
	struct ibv_qp *qp;
	struct address own, peer;
	struct arena arena;
	enum inject inject;

	/* As requester. */
	uint64_t round;
	uint64_t peer_seen; /* rounds that the peer has reported as checked */
	uint64_t message;
	uint64_t posted, completed;
	struct operation operations[STREAM_SEND_DEPTH];
	struct book completions;
	struct adder adder;
	uint64_t adds;

	/* As responder. */
	struct book messages, rounds, immediates, receives;
	uint64_t seen;
	uint64_t acknowledged;
	uint64_t received; /* of the requests that this stream has posted */
	struct totals peer_totals;
};

/* Creates the QP and posts all receives. @base: arena_size() bytes of the endpoint's memory. */
int stream_open(struct stream *l, struct endpoint *e, uint16_t index, size_t record_size,
	      uint8_t *base);
int stream_connect(struct stream *l, const struct retries *r);
void stream_close(struct stream *l);

/* True when a whole round may be posted now. */
bool stream_may_issue(const struct stream *l);
int stream_issue(struct stream *l);
/* Sends the peer the number of checked rounds, if that is new and there is room. */
int stream_acknowledge(struct stream *l);

/*
 * Both take a successful completion of @l's queue pair. @home: the stream that has posted the request,
 * another one if a receive queue is shared. Return 0 or -errno.
 */
int stream_sent(struct stream *l, struct stream *home, const struct ibv_wc *wc, struct tally *t);
int stream_received(struct stream *l, struct stream *home, const struct ibv_wc *wc, struct tally *t);

/* All own work is complete and the peer has checked all rounds. */
bool stream_drained(const struct stream *l);
/* Closes the books with the peer's totals. */
void stream_finish(struct stream *l, struct tally *t);

#endif
