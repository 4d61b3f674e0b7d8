// SPDX-License-Identifier: GPL-2.0
/* Every method, with each of its attributes right, nearly right, or wrong. */
#include <err.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "expect.h"
#include "fuzz.h"
#include "random.h"

#define PAGE	4096UL
#define BYTES	(64 * PAGE)
#define MOST	4	/* attributes of a method, and one too many */
#define FUZZ_EVENTS	5
#define FUZZ_FURTHER	(SEALIFT_RXE_METHOD_DUMP_NAKS + 1)

enum kind {
	END, IN, OUT, HOLD, BUFFER, RINGS, QP, CQ, SRQ, MR, AH, FD,
	IMAGE_QP, IMAGE_CQ, IMAGE_SRQ, IMAGE_AH, EVENTS, NAK, KEYS,
};

static const struct method {
	struct {
		uint8_t kind;
		uint16_t size;
	} attrs[MOST - 1];
} methods[] = {
	[SEALIFT_RXE_METHOD_QUERY] = { {
		{ OUT, sizeof(struct sealift_rxe_query) } } },
	[SEALIFT_RXE_METHOD_HOLD] = { {
		{ HOLD, sizeof(struct sealift_rxe_hold) } } },
	[SEALIFT_RXE_METHOD_RESUME] = { {
		{ IN, sizeof(struct sealift_rxe_resume) } } },
	[SEALIFT_RXE_METHOD_DUMP_CONTEXT] = { {
		{ BUFFER, sizeof(struct sealift_rxe_buffer) },
		{ OUT, sizeof(struct sealift_rxe_context) } } },
	[SEALIFT_RXE_METHOD_FIND_FD] = { {
		{ FD, 0 }, { FD, 0 }, { OUT, sizeof(struct sealift_rxe_fd) } } },
	[SEALIFT_RXE_METHOD_DUMP_CQ] = { {
		{ CQ, 0 }, { BUFFER, sizeof(struct sealift_rxe_buffer) },
		{ OUT, sizeof(struct sealift_rxe_cq) } } },
	[SEALIFT_RXE_METHOD_DUMP_MR] = { {
		{ MR, 0 }, { OUT, sizeof(struct sealift_rxe_mr) } } },
	[SEALIFT_RXE_METHOD_DUMP_QP] = { {
		{ QP, 0 }, { RINGS, sizeof(struct sealift_rxe_qp_buffers) },
		{ OUT, sizeof(struct sealift_rxe_qp) } } },
	[SEALIFT_RXE_METHOD_HINT] = { {
		{ IN, sizeof(struct sealift_rxe_hint) }, { KEYS, 0 } } },
	[SEALIFT_RXE_METHOD_RESTORE_CQ] = { {
		{ CQ, 0 }, { IMAGE_CQ, sizeof(struct sealift_rxe_cq) },
		{ BUFFER, sizeof(struct sealift_rxe_buffer) } } },
	[SEALIFT_RXE_METHOD_RESTORE_QP] = { {
		{ QP, 0 }, { IMAGE_QP, sizeof(struct sealift_rxe_qp) },
		{ RINGS, sizeof(struct sealift_rxe_qp_buffers) } } },
	[SEALIFT_RXE_METHOD_ADOPT] = { {
		{ IN, sizeof(struct sealift_rxe_adopt) } } },
	[SEALIFT_RXE_METHOD_LIST] = { {
		{ BUFFER, sizeof(struct sealift_rxe_buffer) },
		{ OUT, sizeof(struct sealift_rxe_list) } } },
	[SEALIFT_RXE_METHOD_DUMP_SRQ] = { {
		{ SRQ, 0 }, { BUFFER, sizeof(struct sealift_rxe_buffer) },
		{ OUT, sizeof(struct sealift_rxe_srq) } } },
	[SEALIFT_RXE_METHOD_RESTORE_SRQ] = { {
		{ SRQ, 0 }, { IMAGE_SRQ, sizeof(struct sealift_rxe_srq) },
		{ BUFFER, sizeof(struct sealift_rxe_buffer) } } },
	[SEALIFT_RXE_METHOD_DUMP_AH] = { {
		{ AH, 0 }, { OUT, sizeof(struct sealift_rxe_ah) } } },
	[SEALIFT_RXE_METHOD_RESTORE_AH] = { {
		{ AH, 0 }, { IMAGE_AH, sizeof(struct sealift_rxe_ah) } } },
	[SEALIFT_RXE_METHOD_MAY_WRITE] = { {
		{ IN, sizeof(struct sealift_rxe_adopt) } } },
	[SEALIFT_RXE_METHOD_DUMP_EVENTS] = { {
		{ BUFFER, sizeof(struct sealift_rxe_buffer) },
		{ OUT, sizeof(struct sealift_rxe_events) } } },
	[SEALIFT_RXE_METHOD_RESTORE_EVENTS] = { {
		{ IN, sizeof(struct sealift_rxe_events) },
		{ EVENTS, sizeof(struct sealift_rxe_buffer) } } },
	[SEALIFT_RXE_METHOD_DUMP_NAKS] = { {
		{ BUFFER, sizeof(struct sealift_rxe_buffer) },
		{ OUT, sizeof(struct sealift_rxe_naks) } } },
	/* those above SEALIFT_RXE_NS */
	[FUZZ_FURTHER] = { {
		{ NAK, sizeof(struct sealift_rxe_nak) } } },
};

static uint16_t number(unsigned int method)
{
	return method < FUZZ_FURTHER ? method :
				       SEALIFT_RXE_NS + method - FUZZ_FURTHER;
}

/* Memory that ends where nothing is mapped; its last page but one can't be written. */
static unsigned char *memory(void)
{
	static unsigned char *at;

	if (at)
		return at;
	at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED || munmap(at + BYTES - PAGE, PAGE) ||
	    mprotect(at + BYTES - 3 * PAGE, PAGE, PROT_READ))
		err(1, "mmap");
	return at;
}

static uint64_t address(void)
{
	unsigned char *at = memory();

	switch (any(16)) {
	case 0:
		return interesting();
	case 1:
		return (uintptr_t)at + BYTES - 3 * PAGE;
	case 2:
		return (uintptr_t)at + BYTES - PAGE - any(64);
	case 3:
		return 0;
	default:
		return (uintptr_t)at + any(8) * PAGE;
	}
}

static struct sealift_rxe_buffer buffer(void)
{
	return (struct sealift_rxe_buffer){
		.address = address(),
		.size = any(4) ? any(16 * PAGE) : interesting(),
		.reserved = any(16) ? 0 : interesting(),
	};
}

static uint32_t some_handle(const struct fuzz *f, uint8_t kind)
{
	if (any(8) == 0)
		return any(2) ? any(32) : interesting();
	if (kind == CQ)
		return f->cq_handle;
	if (kind == SRQ)
		return f->srq_handle;
	if (kind == AH)
		return f->ah_handle;
	return kind == MR ? f->mr_handle : f->qp_handle;
}

static int32_t some_fd(const struct fuzz *f)
{
	switch (any(5)) {
	case 0:
		return f->s.end.channel->fd;
	case 1:
		return f->s.end.ctx->async_fd;
	case 2:
		return f->s.fd;
	case 3:
		return any(16);
	default:
		return interesting();
	}
}

/* A HOLD may wait, but not for long. */
static struct sealift_rxe_hold some_hold(void)
{
	return (struct sealift_rxe_hold){
		.rnr_timer = any(4) ? any(40) : interesting(),
		.timeout_ms = any(100),
		.flags = any(4) ? any(4) : interesting(),
		.reserved = any(16) ? 0 : interesting(),
	};
}

/* The struct of 8 bytes that a method takes. */
static uint64_t small(const struct fuzz *f, unsigned int method)
{
	uint32_t first = any(4) ? any(40) : interesting(), second = any(100);

	switch (method) {
	case SEALIFT_RXE_METHOD_RESUME:
		first = any(8) ? 0 : first;
		second = any(8) ? 0 : interesting();
		break;
	case SEALIFT_RXE_METHOD_HINT:
		first = any(5);
		second = any(2) ? any(0x20000) : interesting();
		break;
	case SEALIFT_RXE_METHOD_ADOPT:
	case SEALIFT_RXE_METHOD_MAY_WRITE:
		first = any(4) ? f->s.fd : some_fd(f);
		second = any(2) ? 0 : any(2) ? (uint32_t)getpid() : any(100);
		break;
	case SEALIFT_RXE_METHOD_RESTORE_EVENTS:
		first = any(8) ? FUZZ_EVENTS : first;
		second = any(8) ? (any(2) ? 1 : 4) : second;
		break;
	}
	return first | (uint64_t)second << 32;
}

/* Arguments live as long as the call. */
struct arguments {
	struct sealift_rxe_qp qp;
	struct sealift_rxe_cq cq;
	struct sealift_rxe_srq srq;
	struct sealift_rxe_ah ah;
	struct sealift_rxe_qp_buffers rings;
	struct sealift_rxe_buffer buffer;
	struct sealift_rxe_hold hold;
	struct sealift_rxe_event events[FUZZ_EVENTS];
	struct sealift_rxe_nak nak;
	uint32_t keys[SEALIFT_RXE_HINT_KEYS_MAX + 1];
};

/* Most of the time one that its object may have. */
static struct sealift_rxe_event some_event(const struct fuzz *f)
{
	static const struct {
		uint32_t object, type;
		uint8_t kind;
	} right[] = {
		{ UVERBS_OBJECT_QP, IBV_EVENT_SQ_DRAINED, QP },
		{ UVERBS_OBJECT_QP, IBV_EVENT_QP_LAST_WQE_REACHED, QP },
		{ UVERBS_OBJECT_CQ, IBV_EVENT_CQ_ERR, CQ },
		{ UVERBS_OBJECT_SRQ, IBV_EVENT_SRQ_LIMIT_REACHED, SRQ },
		{ UVERBS_OBJECT_AH, IBV_EVENT_SQ_DRAINED, AH },
		{ SEALIFT_RXE_NONE, IBV_EVENT_GID_CHANGE, END },
		{ SEALIFT_RXE_NONE, IBV_EVENT_PORT_ERR, END },
	};
	unsigned int i = any(ARRAY_SIZE(right));

	return (struct sealift_rxe_event){
		.type = any(16) ? right[i].type : interesting(),
		.object = any(32) ? right[i].object : interesting(),
		.handle = right[i].kind == END ? any(16) != 0 :
						 some_handle(f, right[i].kind),
		.reserved = any(64) ? 0 : interesting(),
	};
}

/* Most of the time one that the queue pair's peer could send. */
static struct sealift_rxe_nak some_nak(const struct fuzz *f)
{
	const struct sealift_rxe_qp *qp = &f->v.qp;
	uint32_t psn = qp->comp.psn + any(4);

	return (struct sealift_rxe_nak){
		.qpn = any(16) ? qp->qpn : any(2) ? any(0x20000) : interesting(),
		.psn = any(8) ? psn & 0xffffff : interesting(),
		.syndrome = any(8) ? 0x61 + any(3) : interesting(),
		.reserved = any(32) ? 0 : interesting(),
	};
}

static struct sl_attr attribute(const struct fuzz *f, struct arguments *args,
				unsigned int method, unsigned int nth)
{
	uint8_t kind = methods[method].attrs[nth].kind;
	struct sl_attr attr = {
		.id = nth + SEALIFT_RXE_ATTR_QUERY_OUT,
		.len = methods[method].attrs[nth].size,
	};

	switch (kind) {
	case IN:
		attr.data = small(f, method);
		break;
	case OUT:
		attr.data = address();
		break;
	case KEYS:
		for (unsigned int i = 0; i < ARRAY_SIZE(args->keys); i++)
			args->keys[i] = any(64) ? any(1 << 20) << 8 | any(256) :
						  interesting();
		attr.len = any(4) ? 4 * any(ARRAY_SIZE(args->keys)) :
				    any(sizeof(args->keys));
		attr.data = any(16) ? (uintptr_t)args->keys : address();
		break;
	case HOLD:
		args->hold = some_hold();
		attr.data = (uintptr_t)&args->hold;
		break;
	case BUFFER:
		args->buffer = buffer();
		attr.data = (uintptr_t)&args->buffer;
		break;
	case RINGS:
		args->rings = any(2) ? victim_buffers(&f->v) :
			(struct sealift_rxe_qp_buffers){
				buffer(), buffer(), buffer(),
			};
		attr.data = (uintptr_t)&args->rings;
		break;
	case IMAGE_QP:
		args->qp = f->v.qp;
		((unsigned char *)&args->qp)[any(sizeof(args->qp))] = any(256);
		attr.data = (uintptr_t)&args->qp;
		break;
	case IMAGE_CQ:
		((unsigned char *)&args->cq)[any(sizeof(args->cq))] = any(256);
		attr.data = (uintptr_t)&args->cq;
		break;
	case IMAGE_SRQ:
		((unsigned char *)&args->srq)[any(sizeof(args->srq))] = any(256);
		attr.data = (uintptr_t)&args->srq;
		break;
	case IMAGE_AH:
		((unsigned char *)&args->ah)[any(sizeof(args->ah))] = any(256);
		attr.data = (uintptr_t)&args->ah;
		break;
	case EVENTS:
		for (unsigned int i = 0; i < FUZZ_EVENTS; i++)
			args->events[i] = some_event(f);
		args->buffer = any(8) ? sl_buffer(args->events, sizeof(args->events)) :
					buffer();
		attr.data = (uintptr_t)&args->buffer;
		break;
	case NAK:
		args->nak = some_nak(f);
		attr.data = (uintptr_t)&args->nak;
		break;
	case FD:
		attr.data = (int64_t)some_fd(f);
		break;
	default:
		attr.data = some_handle(f, kind);
	}
	return attr;
}

static void damage(struct sl_attr *attrs, unsigned int *num)
{
	struct sl_attr *attr = &attrs[any(*num)];

	switch (any(6)) {
	case 0:
		attr->len = any(2) ? attr->len + any(17) - 8 : interesting();
		break;
	case 1:
		attr->data = address();
		break;
	case 2:
		attr->id = any(2) ? attr->id + 1U : interesting();
		break;
	case 3:
		--*num;
		break;
	case 4:
		attrs[*num] = *attr;
		++*num;
		break;
	default:
		attr->id -= any(2);
	}
}

void fuzz_call(struct fuzz *f)
{
	unsigned int method = any(ARRAY_SIZE(methods)), num = 0;
	struct sl_attr attrs[MOST];
	static struct arguments args;

	while (num < MOST - 1 && methods[method].attrs[num].kind != END) {
		attrs[num] = attribute(f, &args, method, num);
		num++;
	}
	/* one of the two, or both */
	if (method == SEALIFT_RXE_METHOD_FIND_FD && any(8)) {
		attrs[any(2)] = attrs[2];
		num = 2;
	}
	if (any(3) == 0)
		damage(attrs, &num);
	sl_call(f->s.fd, SEALIFT_RXE_OBJECT,
		any(64) ? number(method) : interesting(), attrs, num);
}
