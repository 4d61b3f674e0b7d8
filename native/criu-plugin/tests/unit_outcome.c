// SPDX-License-Identifier: GPL-2.0
/* What the node agent reads of a dump or restore: whole, the first failure, nothing of an earlier attempt. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "outcome.h"
#include "unit.h"

static char path[64];

/* What the file says, NULL if there is none. */
static const char *said(void)
{
	static char text[8192];
	FILE *file = fopen(path, "r");
	size_t n;

	if (!file)
		return NULL;
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = 0;
	return text;
}

static bool says(const char *line)
{
	const char *text = said();

	return text && !strcmp(text, line);
}

static void ends(void)
{
	CHECK(!outcome_begin());
	CHECK(!said());
	outcome_end("detached");
	CHECK(says("{\"state\":\"detached\"}\n"));
	CHECK(!outcome_begin());
	CHECK(!said());
	outcome_end(NULL);
	CHECK(says("{\"state\":\"failed\",\"code\":\"criu\",\"message\":\"\"}\n"));
}

static void first_failure(void)
{
	int status;
	pid_t pid;

	CHECK(!outcome_begin());
	/* As in a task that CRIU restores. */
	pid = fork();
	if (!pid) {
		log_fail("gid", "GID \"%d\"\nstate\\", 3);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	log_fail("restore", "its consequence");
	outcome_end(NULL);
	CHECK(says("{\"state\":\"failed\",\"code\":\"gid\","
		   "\"message\":\"GID \\u00223\\u0022\\u000astate\\u005c\"}\n"));
	/* The next attempt knows nothing of it. */
	CHECK(!outcome_begin());
	outcome_end(NULL);
	CHECK(strstr(said(), "\"code\":\"criu\""));
}

static void long_text(void)
{
	char text[2000];

	memset(text, '\xff', sizeof(text));
	text[sizeof(text) - 1] = 0;
	CHECK(!outcome_begin());
	log_fail("unsupported", "%s", text);
	outcome_end(NULL);
	CHECK(said() && strlen(said()) > 3000 && strstr(said(), "\\u00ff\"}\n"));
}

void unit_outcome(void)
{
	CHECK(!outcome_begin());
	outcome_end("dumped");
	snprintf(path, sizeof(path), "/tmp/sealift-state-%d", getpid());
	setenv("SEALIFT_STATE", path, 1);
	ends();
	first_failure();
	long_text();
	unlink(path);
	unsetenv("SEALIFT_STATE");
}
