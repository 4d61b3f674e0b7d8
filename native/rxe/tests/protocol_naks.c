// SPDX-License-Identifier: GPL-2.0
/* NAKs that end a connection, and that arrive in a hold. */
#include <err.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "expect.h"
#include "protocol.h"
#include "scripted.h"
#include "ud.h"
#include "victim.h"

#define PSN(nth)	((SCRIPTED_SQ_PSN + (nth)) & 0xffffff)

/* A peer that sends such a NAK is in the error state and sends nothing more. */
static void fatal_nak(int syndrome, int status, int move)
{
	struct scripted s;
	uint32_t handle;
	uint64_t id = 0;

	scripted_open(&s);
	scripted_write(&s, 100, 1);
	scripted_write(&s, 100, 2);
	scripted_hold(&s);
	scripted_answer(&s, syndrome, 1);
	usleep(100000);
	if (move)
		scripted_move(&s, &handle);
	scripted_resume(&s);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 1000, &id),
	       "NAK %#x: what was executed before it is done", syndrome);
	expect(1, id, "NAK %#x: it is the first request", syndrome);
	expect(status, scripted_completion(&s, 1000, &id),
	       "NAK %#x: its request fails", syndrome);
	expect(2, id, "NAK %#x: it is the second request", syndrome);
}

/* Three WRITEs, the first of two packets. The peer has executed two of them. */
static void third_request(int move)
{
	struct scripted s;
	uint32_t handle;
	uint64_t id = 0;

	scripted_open(&s);
	scripted_write(&s, WIRE_MTU + 1, 1);
	scripted_write(&s, 100, 2);
	scripted_write(&s, 100, 3);
	scripted_hold(&s);
	scripted_answer(&s, WIRE_NAK_ACCESS, 3);
	usleep(100000);
	if (move)
		scripted_move(&s, &handle);
	scripted_resume(&s);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 1000, &id),
	       "NAK of the third request: the first is done");
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 1000, &id),
	       "NAK of the third request: the second is done");
	expect(2, id, "NAK of the third request: it is the second request");
	expect(IBV_WC_REM_ACCESS_ERR, scripted_completion(&s, 1000, &id),
	       "NAK of the third request: it fails");
	expect(3, id, "NAK of the third request: it is the third request");
}

static void third_request_held(void)
{
	third_request(0);
}

static void third_request_moved(void)
{
	third_request(1);
}

static void fatal_naks(void)
{
	fatal_nak(WIRE_NAK_ACCESS, IBV_WC_REM_ACCESS_ERR, 0);
	scripted_release();
	fatal_nak(WIRE_NAK_INVALID, IBV_WC_REM_INV_REQ_ERR, 0);
	scripted_release();
	fatal_nak(WIRE_NAK_OPERATION, IBV_WC_REM_OP_ERR, 0);
}

static void fatal_nak_moved(void)
{
	fatal_nak(WIRE_NAK_ACCESS, IBV_WC_REM_ACCESS_ERR, 1);
}

/* The result of a READ before it is lost: the READ fails. */
static void fatal_nak_after_read(void)
{
	struct scripted s;
	uint64_t id = 0;

	scripted_open(&s);
	scripted_post(&s, IBV_WR_RDMA_READ, 0, 64, 1);
	expect(1, scripted_count(&s, WIRE_READ, 300), "a READ is sent");
	scripted_write(&s, 100, 2);
	scripted_hold(&s);
	scripted_answer(&s, WIRE_NAK_ACCESS, 1);
	usleep(100000);
	scripted_resume(&s);
	expect(IBV_WC_RETRY_EXC_ERR, scripted_completion(&s, 1000, &id),
	       "a READ before a NAK fails");
	expect(IBV_WC_WR_FLUSH_ERR, scripted_completion(&s, 1000, &id),
	       "the rest is flushed");
}

/* The driver does not keep a NAK for a PSN that it has not sent. */
static void nak_of_nothing(void)
{
	struct scripted s;

	scripted_open(&s);
	scripted_write(&s, 100, 1);
	scripted_hold(&s);
	scripted_answer(&s, WIRE_NAK_ACCESS, 7);
	usleep(100000);
	scripted_resume(&s);
	expect(1, scripted_count(&s, WIRE_WRITE_ONLY, 300),
	       "a NAK of nothing: the request is repeated");
	scripted_answer(&s, WIRE_OK, 0);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 500, NULL),
	       "a NAK of nothing: it completes");
}

/* How many NAKs the device keeps; the first of them. */
static unsigned int kept(const struct scripted *s, struct sealift_rxe_nak *nak)
{
	struct sealift_rxe_naks naks = { 0 };
	struct sealift_rxe_nak list[4];

	memset(list, 0xff, sizeof(list));
	expect(0, sl_dump_naks(s->fd, list, ARRAY_SIZE(list), &naks),
	       "DUMP_NAKS");
	*nak = list[0];
	return naks.count;
}

/* One that comes when the image is made already. */
static void after_the_dump(int syndrome, int status, uint32_t flags)
{
	struct sealift_rxe_naks naks = { 0 };
	struct sealift_rxe_nak nak, none;
	struct scripted s;
	struct victim v;
	uint32_t handle;
	uint64_t id = 0;

	scripted_open(&s);
	scripted_write(&s, 100, 1);
	scripted_write(&s, 100, 2);
	scripted_write(&s, 100, 3);
	scripted_hold(&s);
	victim_dump(&v, s.fd, s.end.qp->handle);
	expect(0, kept(&s, &nak), "no NAK is kept");

	/* no wait: DUMP_NAKS looks at what was received before */
	scripted_answer(&s, syndrome, 1);
	expect(1, kept(&s, &nak), "NAK %#x after the dump is kept", syndrome);
	expect(s.end.qp->qp_num, nak.qpn, "NAK %#x: of its queue pair", syndrome);
	expect(PSN(1), nak.psn, "NAK %#x: of its PSN", syndrome);
	expect(syndrome, nak.syndrome, "NAK %#x: it says what", syndrome);
	expect(0, nak.reserved, "NAK %#x: nothing else", syndrome);
	expect(0, sl_dump_naks(s.fd, NULL, 0, &naks), "only counted");
	expect(1, naks.count, "the count");
	expect(-ENOSPC, sl_dump_naks(s.fd, &none, 0, &naks), "no room");
	expect(1, naks.count, "the count, without room");
	expect(-EFAULT, sl_dump_naks(s.fd, (void *)8, 1, &naks), "no memory");

	if (raw_destroy(s.fd, UVERBS_OBJECT_QP, s.end.qp->handle))
		errx(1, "DESTROY_QP");
	expect(0, kept(&s, &none), "it is gone with its queue pair");
	expect(-ENOENT, sl_restore_nak(s.fd, &nak), "there is no queue pair");
	if (victim_restore(&v, &handle))
		errx(1, "RESTORE_QP");
	expect(0, kept(&s, &none), "the image has none");
	if (sl_hold_with(s.fd, SCRIPTED_TIMER, 5000, flags))
		errx(1, "HOLD");
	expect(0, sl_restore_nak(s.fd, &nak), "RESTORE_NAK");
	expect(0, sl_restore_nak(s.fd, &nak), "RESTORE_NAK once more");
	expect(1, kept(&s, &none), "the restored queue pair keeps it");
	expect(0, memcmp(&nak, &none, sizeof(nak)), "it is the same");

	wire_drain(&s.wire);
	scripted_resume(&s);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 1000, &id),
	       "NAK %#x after the dump: what was executed is done", syndrome);
	expect(status, scripted_completion(&s, 1000, &id),
	       "NAK %#x after the dump: its request fails", syndrome);
	expect(2, id, "NAK %#x after the dump: it is the second", syndrome);
	expect(IBV_WC_WR_FLUSH_ERR, scripted_completion(&s, 1000, &id),
	       "NAK %#x after the dump: the rest is flushed", syndrome);
	expect(0, scripted_count(&s, WIRE_WRITE_ONLY, 300),
	       "NAK %#x after the dump: nothing is asked again", syndrome);
	victim_free(&v);
}

static void naks_after_the_dump(void)
{
	after_the_dump(WIRE_NAK_ACCESS, IBV_WC_REM_ACCESS_ERR, 0);
	scripted_release();
	after_the_dump(WIRE_NAK_INVALID, IBV_WC_REM_INV_REQ_ERR,
		       SEALIFT_RXE_HOLD_RECEIVE_UD);
	scripted_release();
	after_the_dump(WIRE_NAK_OPERATION, IBV_WC_REM_OP_ERR,
		       SEALIFT_RXE_HOLD_CHOOSE);
}

/* A queue pair keeps the first NAK that it gets, from its peer or its image. */
static void first_nak_stays(void)
{
	struct sealift_rxe_nak nak, later;
	struct scripted s;

	scripted_open(&s);
	scripted_write(&s, 100, 1);
	scripted_write(&s, 100, 2);
	scripted_hold(&s);
	scripted_answer(&s, WIRE_NAK_INVALID, 0);
	expect(1, kept(&s, &nak), "a NAK is kept");
	later = nak;
	later.psn = PSN(1);
	later.syndrome = WIRE_NAK_ACCESS;
	expect(0, sl_restore_nak(s.fd, &later), "another NAK");
	expect(1, kept(&s, &later), "one NAK stays");
	expect(0, memcmp(&nak, &later, sizeof(nak)), "it is the first");
	scripted_resume(&s);
	expect(IBV_WC_REM_INV_REQ_ERR, scripted_completion(&s, 1000, NULL),
	       "the first NAK is obeyed");
}

static void refused(const struct scripted *s, int want,
		    struct sealift_rxe_nak nak, const char *what)
{
	struct sealift_rxe_nak none;

	expect(want, sl_restore_nak(s->fd, &nak), "RESTORE_NAK of %s", what);
	expect(0, kept(s, &none), "%s is not kept", what);
}

/* What is given to a queue pair is checked as what its peer sends. */
static void hostile_naks(void)
{
	static const uint32_t syndromes[] = {
		0, WIRE_OK, WIRE_RNR, WIRE_NAK_SEQUENCE, 0x64, 0x7f,
		WIRE_NAK_ACCESS | 0x100, WIRE_NAK_ACCESS | 1U << 31, 0xffffffff,
	};
	struct sealift_rxe_naks naks;
	struct sealift_rxe_nak good, bad;
	struct scripted s;
	unsigned int i;

	scripted_open(&s);
	good = (struct sealift_rxe_nak){
		s.end.qp->qp_num, PSN(0), WIRE_NAK_ACCESS, 0,
	};
	expect(-EBUSY, sl_restore_nak(s.fd, &good), "RESTORE_NAK, not held");
	expect(-EBUSY, sl_dump_naks(s.fd, NULL, 0, &naks),
	       "DUMP_NAKS, not held");
	scripted_hold(&s);
	refused(&s, -EINVAL, good, "a NAK for an empty queue");
	scripted_resume(&s);
	scripted_write(&s, 100, 1);
	scripted_write(&s, 100, 2);
	scripted_hold(&s);
	for (i = 0; i < ARRAY_SIZE(syndromes); i++) {
		bad = good;
		bad.syndrome = syndromes[i];
		refused(&s, -EINVAL, bad, "a syndrome");
	}
	bad = good;
	bad.psn = PSN(-1);
	refused(&s, -EINVAL, bad, "an answered PSN");
	bad.psn = PSN(2);
	refused(&s, -EINVAL, bad, "a PSN that was not sent");
	bad.psn = PSN(0x800000);
	refused(&s, -EINVAL, bad, "a PSN far away");
	bad.psn = PSN(1) | 1 << 24;
	refused(&s, -EINVAL, bad, "a PSN of 25 bits");
	bad = good;
	bad.reserved = 1;
	refused(&s, -EINVAL, bad, "a reserved field");
	bad = good;
	bad.qpn = 0xffffffff;
	refused(&s, -ENOENT, bad, "no queue pair");
	bad.qpn = good.qpn + 1000;
	refused(&s, -ENOENT, bad, "no queue pair");
	bad.qpn = 1;
	refused(&s, -ENOENT, bad, "the special queue pair");
	wire_drain(&s.wire);
	scripted_resume(&s);
	expect(2, scripted_count(&s, WIRE_WRITE_ONLY, 300),
	       "refused NAKs: the requests are repeated");
	scripted_answer(&s, WIRE_OK, 1);
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 500, NULL),
	       "refused NAKs: the first request completes");
	expect(IBV_WC_SUCCESS, scripted_completion(&s, 500, NULL),
	       "refused NAKs: the second request completes");
}

/* A queue pair that has no connection, or has lost it, keeps none. */
static void without_connection(enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };
	struct sealift_rxe_nak nak;
	struct scripted s;

	scripted_open(&s);
	scripted_write(&s, 100, 1);
	scripted_hold(&s);
	if (ibv_modify_qp(s.end.qp, &attr, IBV_QP_STATE))
		err(1, "modify_qp");
	nak = (struct sealift_rxe_nak){
		s.end.qp->qp_num, PSN(0), WIRE_NAK_ACCESS, 0,
	};
	refused(&s, -EINVAL, nak, "a NAK without a connection");
	scripted_answer(&s, WIRE_NAK_ACCESS, 0);
	expect(0, kept(&s, &nak), "nor is it told of");
	scripted_resume(&s);
}

static void naks_without_connection(void)
{
	struct sealift_rxe_nak nak;
	struct ud u;

	without_connection(IBV_QPS_ERR);
	scripted_release();
	without_connection(IBV_QPS_RESET);
	scripted_release();
	ud_open(&u, IBV_QPS_RTS);
	scripted_hold(&u.s);
	nak = (struct sealift_rxe_nak){
		u.s.end.qp->qp_num, PSN(0), WIRE_NAK_ACCESS, 0,
	};
	refused(&u.s, -EINVAL, nak, "a NAK for UD");
	scripted_resume(&u.s);
}

const struct protocol_case protocol_naks_cases[] = {
	{ "fatal NAKs in a hold", fatal_naks },
	{ "fatal NAK in a hold, moved", fatal_nak_moved },
	{ "fatal NAK of the third request", third_request_held },
	{ "fatal NAK of the third request, moved", third_request_moved },
	{ "fatal NAK after a READ", fatal_nak_after_read },
	{ "fatal NAK after the dump", naks_after_the_dump },
	{ "first fatal NAK", first_nak_stays },
	{ "hostile NAKs", hostile_naks },
	{ "NAKs without a connection", naks_without_connection },
	{ "NAK of nothing", nak_of_nothing },
	{ 0 },
};
