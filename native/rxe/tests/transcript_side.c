// SPDX-License-Identifier: GPL-2.0
/* The two ends of transcript.c. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "datagram.h"
#include "random.h"
#include "transcript.h"

#define FIRST_PSN	0xfffff8
#define TRAFFIC_CLASS	8		/* stock.sh has routes for it */

struct side side[2];

static void open_side(int n, const char *device, enum ibv_qp_type type)
{
	struct ibv_qp_cap cap = {
		.max_send_wr = DEPTH, .max_recv_wr = DEPTH,
		.max_send_sge = 3, .max_recv_sge = 3, .max_inline_data = INLINE,
	};
	struct side *s = &side[n];
	unsigned int i;

	s->mem = mmap(NULL, sizeof(*s->mem), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->mem == MAP_FAILED)
		err(1, "mmap");
	for (i = 0; i < SLOTS * SLOT; i++)
		(&s->mem->out[0][0])[i] = i * 7 + (i >> 8) + n * 101;
	endpoint_open(&s->e, device, type, &cap, s->mem, sizeof(*s->mem), s);
	printf("caps %u %u %u\n", cap.max_send_wr, cap.max_recv_wr,
	       cap.max_inline_data);
}

void open_sides(char **device, enum ibv_qp_type type, bool shared)
{
	int n;

	printf("%s%s\n", type == IBV_QPT_UD ? "datagrams" : "connection",
	       shared ? ", shared receive queues" : "");
	if (shared)
		setenv("LIVE_SRQ", "1", 1);
	for (n = 0; n < 2; n++)
		open_side(n, device[n], type);
	for (n = 0; n < 2 && type == IBV_QPT_UD; n++)
		side[n].ah = datagram_handle(&side[n].e, &side[!n].e.gid);
}

void connect_side(int n, uint8_t rnr_retry)
{
	struct endpoint_path path = {
		.gid = side[!n].e.gid,
		.qpn = side[!n].e.qp->qp_num,
		.sq_psn = FIRST_PSN,
		.rq_psn = FIRST_PSN,
		.timeout = 18,		/* 1.07 s */
		.retry_cnt = 3,
		.rnr_retry = rnr_retry,
		.min_rnr_timer = 1,	/* 10 us */
		.traffic_class = TRAFFIC_CLASS,
	};

	if (side[n].ah) {
		datagram_ready(&side[n].e);
		return;
	}
	printf("end %d: init %d", n, endpoint_try_init(&side[n].e));
	printf(", connect %d\n", endpoint_try_connect(&side[n].e, &path));
}

void close_sides(void)
{
	int n;

	for (n = 0; n < 2; n++) {
		if (side[n].ah && ibv_destroy_ah(side[n].ah))
			err(1, "ibv_destroy_ah");
		endpoint_close(&side[n].e);
	}
}

uint32_t sum_of_memory(int n)
{
	struct memory *mem = side[n].mem;
	const uint8_t *bytes = (const uint8_t *)mem;
	uint32_t hash = 2166136261U;
	size_t i;

	/* an IP header has a number of its own */
	for (i = 0; i < SLOTS && side[n].ah; i++)
		memset(mem->recv[i], 0, DATAGRAM_GRH);
	for (i = 0; i < sizeof(*mem); i++)
		hash = (hash ^ bytes[i]) * 16777619U;
	return hash;
}

/* A step never lacks requests because of its size. */
void change_shared(int n)
{
	struct ibv_srq *srq = side[n].e.srq;
	struct ibv_srq_attr attr = { .srq_limit = any(DEPTH + 2) };
	bool is_limit = any(2);
	int ret;

	if (!srq)
		return;
	if (!is_limit)
		attr.max_wr = any(4) ? MOST + any(2 * DEPTH) : 0;
	ret = ibv_modify_srq(srq, &attr, is_limit ? IBV_SRQ_LIMIT : IBV_SRQ_MAX_WR);
	printf("end %d: shared receive queue, %s %u: %d", n,
	       is_limit ? "limit" : "size", is_limit ? attr.srq_limit : attr.max_wr,
	       ret);
	ret = ibv_query_srq(srq, &attr);
	printf(", query %d: %u of %u elements, limit %u\n", ret, attr.max_wr,
	       attr.max_sge, attr.srq_limit);
}
