// SPDX-License-Identifier: GPL-2.0
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "fault.h"
#include "log.h"
#include "unit.h"

static int passed, failed;
static char log_text[4096];

void unit_check(bool ok, const char *what, const char *file, int line)
{
	if (ok) {
		passed++;
		return;
	}
	failed++;
	fprintf(stderr, "%s:%d: %s\n%s", file, line, what, log_text);
}

/* In place of CRIU's. */
void print_on_level(unsigned int level, const char *format, ...)
{
	size_t used = strlen(log_text);
	va_list args;

	(void)level;
	va_start(args, format);
	vsnprintf(log_text + used, sizeof(log_text) - used, format, args);
	va_end(args);
}

const char *unit_log(void)
{
	return log_text;
}

void unit_clear_log(void)
{
	log_text[0] = 0;
}

void unit_seize(pid_t tid)
{
	int status;

	CHECK(!ptrace(PTRACE_SEIZE, tid, NULL, (void *)PTRACE_O_TRACESYSGOOD));
	CHECK(!ptrace(PTRACE_INTERRUPT, tid, NULL, NULL));
	CHECK(waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status));
}

static void unit_fault(void)
{
	unsetenv("SEALIFT_FAULT");
	CHECK(!fault("dump.hold.before"));
	setenv("SEALIFT_FAULT", "dump.hold.after,restore.gate.before", 1);
	CHECK(!fault("dump.hold.before"));
	CHECK(fault("dump.hold.after"));
	CHECK(fault("restore.gate.before"));
	CHECK(!fault("restore.gate"));
	unsetenv("SEALIFT_FAULT");
}

int main(void)
{
	unit_descriptors();
	unit_device_node();
	unit_image();
	unit_files();
	unit_fuzz();
	unit_events();
	unit_gate();
	unit_batch();
	unit_lend();
	unit_limits();
	unit_mapping();
	unit_memory();
	unit_owner();
	unit_outcome();
	unit_ahead();
	unit_pack();
	unit_ring();
	unit_settings();
	unit_sockets();
	unit_socket_options();
	unit_tasks();
	unit_unshared();
	unit_uverbs();
	unit_watches();
	unit_fault();
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}
