/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON files that Go programs have written. */
#ifndef SHIM_JSON_FILE_H
#define SHIM_JSON_FILE_H

#include <jansson.h>

/*
 * Reads a file that Go has written: its numbers may be as large as 2^64-1 (RLIM_INFINITY) and its strings
 * may have NULs, either of which jansson refuses by itself. Numbers come as reals, exact up to 2^53 only: for
 * what reads a file, not for what writes one back. Returns NULL with @error filled.
 */
static inline json_t *json_file_load(const char *path, json_error_t *error)
{
	return json_load_file(path, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, error);
}

#endif
