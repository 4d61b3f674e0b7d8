/* SPDX-License-Identifier: GPL-2.0 */
/* Cases of a test program: "ok <what>" or "not ok <what>: ..." each. */
#ifndef EXPECT_H
#define EXPECT_H

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* 1 once a case has failed: the program's exit code */
extern int expect_failed;

void expect(int want, int got, const char *fmt, ...);

#endif /* EXPECT_H */
