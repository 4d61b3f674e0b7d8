// SPDX-License-Identifier: GPL-2.0
/*
 * What a hold, a dump and a restore do to the protocol, seen by a peer that
 * sends and sees single packets; and what such a peer can't do to the kernel.
 * Each case has a process, a context and a queue pair of its own.
 *
 * usage: protocol DEVICE ADDRESS PEER_NETNS PEER_INTERFACE PEER_ADDRESS [CASE]
 */
#include <err.h>
#include <string.h>
#include <sys/wait.h>

#include "apart.h"
#include "expect.h"
#include "protocol.h"
#include "scripted.h"

#define CASE_SECONDS 600 /* a debug kernel beside other work is slow */

static const struct protocol_case *const cases[] = {
	protocol_image_cases, protocol_hold_cases, protocol_naks_cases, protocol_state_cases,
	protocol_races_cases, protocol_list_cases, protocol_list_state_cases, protocol_process_cases,
	protocol_fork_cases, protocol_peer_cases, protocol_receive_cases, protocol_retry_cases,
	protocol_srq_cases, protocol_srq_events_cases, protocol_srq_image_cases,
	protocol_events_cases,
	protocol_ud_cases, protocol_ud_hold_cases, protocol_ud_numbers_cases,
	protocol_early_cases, protocol_window_cases, protocol_pages_cases,
	protocol_bytes_cases, protocol_odd_cases, protocol_mapping_cases,
	protocol_numbers_cases, protocol_rereg_cases, protocol_adopt_cases
};

static void run_case(const void *c)
{
	((const struct protocol_case *)c)->run();
}

static void run(const struct protocol_case *c)
{
	int status = apart(CASE_SECONDS, run_case, c);

	if (status && !(WIFEXITED(status) && WEXITSTATUS(status) == 1))
		expect(0, status, "%s ends", c->name);
	else if (status)
		expect_failed = 1;
	/* what a case has left held would fail the next ones */
	scripted_release();
}

int main(int argc, char **argv)
{
	const struct protocol_case *c;
	unsigned int i;

	if (argc < 6)
		errx(2, "usage: %s DEVICE ADDRESS PEER_NETNS PEER_INTERFACE PEER_ADDRESS [CASE]",
		     argv[0]);
	scripted_place = (struct scripted_place){
		argv[1], argv[2], argv[3], argv[4], argv[5]
	};
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		for (c = cases[i]; c->name; c++)
			if (argc < 7 || strstr(c->name, argv[6]))
				run(c);
	return expect_failed;
}
