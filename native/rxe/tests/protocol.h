/* SPDX-License-Identifier: GPL-2.0 */
/* The cases of the test `protocol`. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

struct protocol_case {
	const char *name;
	void (*run)(void);
};

/* Each list ends with a case without a name. */
extern const struct protocol_case protocol_image_cases[];
extern const struct protocol_case protocol_hold_cases[];
extern const struct protocol_case protocol_naks_cases[];
extern const struct protocol_case protocol_state_cases[];
extern const struct protocol_case protocol_races_cases[];
extern const struct protocol_case protocol_list_cases[];
extern const struct protocol_case protocol_list_state_cases[];
extern const struct protocol_case protocol_process_cases[];
extern const struct protocol_case protocol_fork_cases[];
extern const struct protocol_case protocol_peer_cases[];
extern const struct protocol_case protocol_retry_cases[];
extern const struct protocol_case protocol_receive_cases[];
extern const struct protocol_case protocol_srq_cases[];
extern const struct protocol_case protocol_srq_events_cases[];
extern const struct protocol_case protocol_srq_image_cases[];
extern const struct protocol_case protocol_events_cases[];
extern const struct protocol_case protocol_ud_cases[];
extern const struct protocol_case protocol_ud_hold_cases[];
extern const struct protocol_case protocol_ud_numbers_cases[];
extern const struct protocol_case protocol_early_cases[];
extern const struct protocol_case protocol_window_cases[];
extern const struct protocol_case protocol_pages_cases[];
extern const struct protocol_case protocol_bytes_cases[];
extern const struct protocol_case protocol_odd_cases[];
extern const struct protocol_case protocol_mapping_cases[];
extern const struct protocol_case protocol_numbers_cases[];
extern const struct protocol_case protocol_adopt_cases[];
extern const struct protocol_case protocol_rereg_cases[];

#endif /* PROTOCOL_H */
