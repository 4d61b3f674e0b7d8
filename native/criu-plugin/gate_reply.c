// SPDX-License-Identifier: GPL-2.0
/* As much of JSON as it takes to find one boolean in an object. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "gate.h"

struct reader {
	const char *at, *end;
};

static void skip_space(struct reader *r)
{
	while (r->at < r->end && strchr(" \t\r\n", *r->at) && *r->at)
		r->at++;
}

/* At the opening quote; leaves @r after the closing one. */
static int skip_string(struct reader *r)
{
	for (r->at++; r->at < r->end; r->at++) {
		if (*r->at == '\\')
			r->at++;
		else if (*r->at == '"') {
			r->at++;
			return 0;
		}
	}
	return -EINVAL;
}

/* Any value; brackets are only counted. */
static int skip_value(struct reader *r)
{
	int depth = 0;

	while (r->at < r->end) {
		char c = *r->at;

		if (c == '"') {
			if (skip_string(r))
				return -EINVAL;
			continue;
		}
		if (!depth && (c == ',' || c == '}'))
			return 0;
		if (c == '{' || c == '[')
			depth++;
		if (c == '}' || c == ']')
			depth--;
		r->at++;
	}
	return -EINVAL;
}

static bool literal(const struct reader *r, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(r->end - r->at) >= n && !memcmp(r->at, word, n);
}

int gate_parse_reply(const char *reply, size_t size)
{
	struct reader r = { reply, reply + size };
	int ok = 0;

	skip_space(&r);
	if (r.at >= r.end || *r.at++ != '{')
		return -EINVAL;
	for (;;) {
		const char *name;
		bool is_ok;

		skip_space(&r);
		if (r.at < r.end && *r.at == '}')
			return ok;
		name = r.at;
		if (r.at >= r.end || *r.at != '"' || skip_string(&r))
			return -EINVAL;
		is_ok = r.at - name == 4 && !memcmp(name, "\"ok\"", 4);
		skip_space(&r);
		if (r.at >= r.end || *r.at++ != ':')
			return -EINVAL;
		skip_space(&r);
		if (is_ok)
			ok = literal(&r, "true");
		if (skip_value(&r) || r.at >= r.end)
			return -EINVAL;
		if (*r.at == ',')
			r.at++;
	}
}
