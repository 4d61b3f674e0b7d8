// SPDX-License-Identifier: GPL-2.0
/*
 * No file of /proc and no system call tells a Landlock domain. But a thread has a limited number of them, one in the
 * other (Documentation/userspace-api/landlock.rst, "Ruleset layers"): what can enter fewer than a process without any
 * has entered some. A domain cannot be left, so a thread that is made for it and ends enters them.
 */
#include <elf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confinement.h"
#include "inject.h"
#include "log.h"
#include "tasks.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif
#define LANDLOCK_VERSION 1
/* sizeof(handled_access_fs), the first version of struct landlock_ruleset_attr. */
#define RULESET_SIZE 8
/* More than a kernel allows, and an exit status. */
#define MANY 254

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif

/* Where an ELF header is; its field e_phoff is the number 64, as a set of rights LANDLOCK_ACCESS_FS_MAKE_CHAR. */
static int find_header(pid_t pid, const struct task_map *map, void *arg)
{
	uint64_t *found = arg;
	Elf64_Ehdr header;

	if (inject_peek(pid, map->start, &header, sizeof(header)) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) || header.e_phoff != sizeof(header))
		return 0;
	*found = map->start + offsetof(Elf64_Ehdr, e_phoff);
	return 1;
}

/* How many domains one in the other this process can enter; the same for every process without one. */
static int most_domains(void)
{
	static const uint64_t rights = sizeof(Elf64_Ehdr);
	static int most = -1;
	int status;
	pid_t child;

	if (most >= 0)
		return most;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION) < 0)
		return most = 0;
	child = fork();
	if (child < 0)
		return -errno;
	if (!child) {
		int ruleset = syscall(SYS_landlock_create_ruleset, &rights, RULESET_SIZE, 0);
		int count = 0;

		if (ruleset < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
			_exit(0);
		while (count < MANY && !syscall(SYS_landlock_restrict_self, ruleset, 0))
			count++;
		_exit(count);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (!WIFEXITED(status) || !WEXITSTATUS(status))
		return -EIO;
	return most = WEXITSTATUS(status);
}

/* What the thread runs: as the child of most_domains(), with the ruleset in r12. Its exit status is the count, or FAILED. */
#define FAILED 255
extern const char enter_all[], enter_all_end[];
__asm__(
	".pushsection .rodata\n"
	"enter_all:\n"
	"	movl	$157, %eax\n"		/* prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) */
	"	movl	$38, %edi\n"
	"	movl	$1, %esi\n"
	"	xorl	%edx, %edx\n"
	"	xorl	%r10d, %r10d\n"
	"	xorl	%r8d, %r8d\n"
	"	syscall\n"
	"	xorl	%ebx, %ebx\n"
	"1:	movl	$446, %eax\n"		/* landlock_restrict_self(ruleset, 0) */
	"	movl	%r12d, %edi\n"
	"	xorl	%esi, %esi\n"
	"	syscall\n"
	"	testl	%eax, %eax\n"
	"	jnz	2f\n"
	"	incl	%ebx\n"
	"	cmpl	$254, %ebx\n"
	"	jb	1b\n"
	"2:	movl	%ebx, %edi\n"
	"	cmpl	$-7, %eax\n"		/* E2BIG */
	"	je	3f\n"
	"	movl	$255, %edi\n"
	"3:	movl	$60, %eax\n"		/* exit */
	"	syscall\n"
	"	hlt\n"
	"enter_all_end:\n"
	".popsection\n");

struct question {
	struct inject leader;
	int64_t code, ruleset;
	int most;
};

static int look_for_domain(struct inject *inject, const struct question *question)
{
	int entered = inject_thread(inject, question->code, question->ruleset);

	if (entered == question->most)
		return 0;
	if (entered >= 0 && entered != FAILED)
		return task_refuse(inject->pid, "has confined itself with Landlock", NULL);
	log_fail("kernel", "thread %d of the container cannot be asked for a Landlock domain: %s",
		 inject->pid, entered < 0 ? strerror(-entered) : "it may not enter one");
	return entered < 0 ? entered : -EIO;
}

/*
 * Only who has no_new_privs or CAP_SYS_ADMIN may enter a domain, and neither comes back to a thread that has lost it.
 * Most containers have neither, and may have many threads.
 */
static bool may_have_entered(pid_t tid)
{
	unsigned long long privileges = 0, bounding = ~0ULL;
	FILE *file = task_open(tid, "status");
	char line[512];

	if (!file)
		return true;
	while (fgets(line, sizeof(line), file)) {
		sscanf(line, "NoNewPrivs: %llu", &privileges);
		sscanf(line, "CapBnd: %llx", &bounding);
	}
	fclose(file);
	return privileges || bounding & 1ULL << CAP_SYS_ADMIN;
}

static int check_other(pid_t tid, void *arg)
{
	struct question *question = arg;
	struct inject inject;
	int ret, end;

	if (!may_have_entered(tid))
		return 0;
	ret = inject_begin_thread(&inject, tid, &question->leader);
	if (ret)
		return ret;
	ret = look_for_domain(&inject, question);
	end = inject_end(&inject);
	return ret ? ret : end;
}

static int check_domains(pid_t pid, struct question *question)
{
	uint64_t rights = 0;
	int ret, end;

	question->most = most_domains();
	if (question->most <= 0)
		return question->most;
	ret = task_each_map(pid, find_header, &rights);
	if (ret < 0 || !rights)
		return ret < 0 ? ret : -ENOEXEC;
	question->ruleset = inject_syscall(&question->leader, SYS_landlock_create_ruleset, rights,
					   RULESET_SIZE, 0, 0, 0, 0);
	if (question->ruleset < 0)
		return question->ruleset;
	question->code = inject_code(&question->leader, enter_all, enter_all_end - enter_all);
	if (question->code < 0) {
		ret = question->code;
	} else {
		ret = look_for_domain(&question->leader, question);
		if (!ret)
			ret = task_each_thread(pid, check_other, question);
		end = inject_remove_code(&question->leader, question->code);
		ret = ret ? ret : end;
	}
	end = inject_syscall(&question->leader, SYS_close, question->ruleset, 0, 0, 0, 0, 0);
	return ret ? ret : end;
}

/* What prctl() sets for a process and tells nobody else. */
static int check_prctl(struct inject *inject)
{
	int64_t mdwe = inject_syscall(inject, SYS_prctl, PR_GET_MDWE, 0, 0, 0, 0, 0);
	int64_t mce = inject_syscall(inject, SYS_prctl, PR_MCE_KILL_GET, 0, 0, 0, 0, 0);

	if (mdwe > 0)
		return task_refuse(inject->pid, "has confined itself with PR_SET_MDWE", NULL);
	if (mce >= 0 && mce != PR_MCE_KILL_DEFAULT)
		return task_refuse(inject->pid, "has confined itself with PR_MCE_KILL", NULL);
	return 0;
}

int confinement_check(pid_t pid)
{
	struct question question = {};
	int ret, end;

	ret = inject_begin_quietly(&question.leader, pid);
	/* 32-bit code: its system calls are others. */
	if (ret == -EOPNOTSUPP)
		return 0;
	if (ret)
		return ret;
	ret = check_prctl(&question.leader);
	if (!ret)
		ret = check_domains(pid, &question);
	end = inject_end(&question.leader);
	ret = ret ? ret : end;
	if (ret && ret != -EPERM)
		log_fail("kernel", "process %d cannot be asked what it has confined itself with: %s",
			 pid, strerror(-ret));
	return ret;
}
