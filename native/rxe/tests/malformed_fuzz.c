// SPDX-License-Identifier: GPL-2.0
/*
 * Random images (mutate.h). The driver may accept or refuse each of them, but
 * must not fail, and must accept none that breaks a rule of
 * rxe_sealift_invariants.h.
 */
#include <err.h>
#include <stdio.h>
#include <unistd.h>

#include "expect.h"
#include "malformed.h"
#include "mutate.h"
#include "../src/rxe_sealift_invariants.h"

void malformed_fuzz(struct victim *v, const struct mutate_memory *mem,
		    unsigned int rounds)
{
	unsigned int i, accepted = 0, wrong = 0;
	const char *broken;
	uint32_t handle;

	for (i = 0; i < rounds; i++) {
		mutate(v, mem);
		broken = rxe_image_broken_limit(&v->qp);
		if (!broken)
			broken = rxe_image_broken_rule(&v->qp);
		if (!broken)
			broken = rxe_image_broken_taken(&v->qp,
							v->max_recv_sge);
		if (!victim_restore(v, &handle)) {
			accepted++;
			if (broken) {
				wrong++;
				printf("# accepted: %s\n", broken);
			}
			sl_resume(v->fd);
			usleep(2000);
			if (sl_hold(v->fd, TIMER, 5000))
				errx(1, "HOLD");
			raw_destroy(v->fd, UVERBS_OBJECT_QP, handle);
		}
		victim_reset(v);
	}
	expect(0, wrong, "random images: %u of %u accepted", accepted, rounds);
}
