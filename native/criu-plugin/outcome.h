/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The outcome of a dump or restore, for the node agent: one file, replaced
 * whole, at the path that $SEALIFT_STATE gives. A container can write into
 * CRIU's log (the names of its files are logged), but not here.
 */
#ifndef SEALIFT_OUTCOME_H
#define SEALIFT_OUTCOME_H

/*
 * outcome_begin - forget what an earlier attempt has reported
 *
 * Before CRIU forks: what a restored task fails with reaches the file too.
 * 0 or -errno.
 */
int outcome_begin(void);

/*
 * outcome_end - how the dump or restore has ended
 * @good: "dumped", "detached" (CRIU has detached from every restored task); NULL: it has failed
 */
void outcome_end(const char *good);

#endif
