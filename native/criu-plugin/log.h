/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lines for CRIU's log. criu-log.h is not usable outside CRIU's own tree.
 */
#ifndef SEALIFT_LOG_H
#define SEALIFT_LOG_H

/* Exported by the criu binary (and by the unit tests). */
void print_on_level(unsigned int level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define LOG_LEVEL_ERROR	1
#define LOG_LEVEL_WARN	2
#define LOG_LEVEL_INFO	3
#define LOG_LEVEL_DEBUG	4

/*
 * A failure: "sealift: <code>: <text>" in the log for people, code and text in
 * the outcome for the node agent (failure.h, outcome.h). A code never changes; README.md
 * lists them.
 */
void log_fail(const char *code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_warn(format, ...) \
	print_on_level(LOG_LEVEL_WARN, "Warn  (ibverbs): " format "\n", ##__VA_ARGS__)
#define log_info(format, ...) \
	print_on_level(LOG_LEVEL_INFO, "ibverbs: " format "\n", ##__VA_ARGS__)
#define log_debug(format, ...) \
	print_on_level(LOG_LEVEL_DEBUG, "ibverbs: " format "\n", ##__VA_ARGS__)

#endif
