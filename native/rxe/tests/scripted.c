// SPDX-License-Identifier: GPL-2.0
#include "clock.h"
#include "expect.h"
#include "scripted.h"
#include "victim.h"

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PSN_MASK	0xffffffU

struct scripted_place scripted_place;

void scripted_peer_gid(const struct scripted *s, union ibv_gid *gid)
{
	memset(gid, 0, sizeof(*gid));
	gid->raw[10] = 0xff;
	gid->raw[11] = 0xff;
	memcpy(gid->raw + 12, &s->wire.from, 4);
}

void scripted_open_end(struct scripted *s, enum ibv_qp_type type)
{
	static const struct ibv_qp_cap cap = {
		.max_send_wr = 16,
		.max_recv_wr = 16,
		.max_send_sge = 2,
		.max_recv_sge = 2,
		.max_inline_data = 64,
	};
	const struct scripted_place *at = &scripted_place;

	memset(s, 0, sizeof(*s));
	s->mem = mmap(NULL, SCRIPTED_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->mem == MAP_FAILED)
		err(1, "mmap");
	wire_open(&s->wire, at->peer_netns, at->peer_dev, at->peer_address,
		  at->address);
	endpoint_open(&s->end, at->device, type, &cap, s->mem, SCRIPTED_BYTES,
		      s);
	s->fd = s->end.ctx->cmd_fd;
	if (fcntl(s->end.ctx->async_fd, F_SETFL, O_NONBLOCK))
		err(1, "fcntl");
}

void scripted_open_path(struct scripted *s, struct endpoint_path path)
{
	scripted_open_end(s, IBV_QPT_RC);
	scripted_peer_gid(s, &path.gid);
	path.qpn = SCRIPTED_QPN;
	path.sq_psn = SCRIPTED_SQ_PSN;
	path.rq_psn = SCRIPTED_RQ_PSN;
	endpoint_init(&s->end);
	endpoint_connect(&s->end, &path);
}

void scripted_open(struct scripted *s)
{
	/* 4.3 s: no test waits that long by chance */
	scripted_open_path(s, (struct endpoint_path){
		.timeout = 20,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.min_rnr_timer = 1,
	});
}

void scripted_hold(const struct scripted *s)
{
	int ret = sl_hold(s->fd, SCRIPTED_TIMER, 5000);

	if (ret)
		errx(1, "HOLD: %s", strerror(-ret));
}

void scripted_resume(const struct scripted *s)
{
	if (sl_resume(s->fd))
		errx(1, "RESUME");
}

void scripted_move(struct scripted *s, uint32_t *handle)
{
	struct victim v;

	victim_take(&v, s->fd, s->end.qp->handle);
	if (victim_restore(&v, handle))
		errx(1, "RESTORE_QP");
	/* the CQ that libibverbs polls is the same; only the QP is new */
	victim_free(&v);
}

void scripted_release(void)
{
	struct ibv_context *ctx = endpoint_open_device(scripted_place.device);

	if (sl_resume(ctx->cmd_fd))
		errx(1, "RESUME");
	ibv_close_device(ctx);
}

void scripted_post_recv(struct scripted *s, uint32_t size)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)s->mem,
		.length = size,
		.lkey = s->end.mr->lkey,
	};
	struct ibv_recv_wr wr = { .sg_list = &sge, .num_sge = 1 };

	endpoint_post_recv(&s->end, &wr);
}

void scripted_post(struct scripted *s, enum ibv_wr_opcode opcode,
		   uint32_t offset, uint32_t size, uint64_t wr_id)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)s->mem + offset,
		.length = size,
		.lkey = s->end.mr->lkey,
	};
	struct ibv_send_wr *bad, wr = {
		.wr_id = wr_id,
		.opcode = opcode,
		.sg_list = &sge,
		.num_sge = 1,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { .remote_addr = 0x10000, .rkey = 0x777 },
	};

	if (opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		wr.wr.atomic.remote_addr = 0x10000;
		wr.wr.atomic.rkey = 0x777;
		wr.wr.atomic.compare_add = 1;
	}
	if (ibv_post_send(s->end.qp, &wr, &bad))
		err(1, "ibv_post_send");
}

struct wire_packet scripted_request(const struct scripted *s, uint8_t opcode,
				    uint32_t nth)
{
	return (struct wire_packet){
		.opcode = opcode,
		.ack_req = true,
		.qpn = s->end.qp->qp_num,
		.psn = (SCRIPTED_RQ_PSN + nth) & PSN_MASK,
		.va = (uintptr_t)s->mem,
		.rkey = s->end.mr->rkey,
	};
}

void scripted_answer(const struct scripted *s, uint8_t syndrome, uint32_t nth)
{
	struct wire_packet p = {
		.opcode = WIRE_ACK,
		.qpn = s->end.qp->qp_num,
		.psn = (SCRIPTED_SQ_PSN + nth) & PSN_MASK,
		.syndrome = syndrome,
	};

	wire_send(&s->wire, &p);
}

int scripted_completion(struct scripted *s, int ms, uint64_t *wr_id)
{
	double end = now_ms() + ms;
	struct ibv_wc wc;
	int n;

	do {
		n = ibv_poll_cq(s->end.cq, 1, &wc);
		if (n < 0)
			errx(1, "ibv_poll_cq");
		if (n) {
			if (wr_id)
				*wr_id = wc.wr_id;
			return wc.status;
		}
		usleep(1000);
	} while (now_ms() < end);
	return -1;
}

int scripted_event(struct scripted *s, int ms)
{
	struct pollfd p = { .fd = s->end.ctx->async_fd, .events = POLLIN };
	struct ibv_async_event ev;

	if (poll(&p, 1, ms) <= 0 || ibv_get_async_event(s->end.ctx, &ev))
		return -1;
	ibv_ack_async_event(&ev);
	return ev.event_type;
}

unsigned int scripted_count(struct scripted *s, uint8_t opcode, int ms)
{
	double end = now_ms() + ms;
	struct wire_packet p;
	unsigned int n = 0;

	while (end > now_ms())
		if (wire_recv(&s->wire, &p, end - now_ms() + 1))
			n += p.opcode == opcode;
	return n;
}

void scripted_write(struct scripted *s, uint32_t size, uint64_t wr_id)
{
	scripted_post(s, IBV_WR_RDMA_WRITE, 0, size, wr_id);
	expect(1, scripted_count(s, size > WIRE_MTU ? WIRE_WRITE_LAST :
					WIRE_WRITE_ONLY, 300),
	       "a WRITE is sent");
}
