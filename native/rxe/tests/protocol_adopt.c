// SPDX-License-Identifier: GPL-2.0
/*
 * Who may take the credentials of its process's first thread: who is restored,
 * which its tracer shows, and who is as confined as that thread is.
 */
#include <err.h>
#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apart.h"
#include "confine.h"
#include "expect.h"
#include "protocol.h"
#include "scripted.h"

#define CASE_SECONDS 300

enum tracer { NOBODY, UNPRIVILEGED, PRIVILEGED };

struct attempt {
	int fd;
	int (*change)(void);	/* what the thread does to itself before */
	enum tracer tracer;
	sem_t ready, go;
	pid_t tid;
	int changed, adopted, may_write;
	bool may_read;
	char label[128];
};

/* Trace a thread of the caller's process until it is killed. */
static pid_t trace(pid_t tid, bool privileged)
{
	int done[2];
	char byte;
	pid_t pid;

	if (pipe(done))
		err(1, "pipe");
	pid = fork();
	if (!pid) {
		if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
			err(1, "PTRACE_SEIZE");
		if (!privileged && confine_drop_capability(CAP_SYS_PTRACE))
			errx(1, "capset");
		if (write(done[1], "", 1) != 1)
			err(1, "write");
		for (;;)
			pause();
	}
	close(done[1]);
	if (pid < 0 || read(done[0], &byte, 1) != 1)
		err(1, "a tracer");
	close(done[0]);
	return pid;
}

static void *in_thread(void *arg)
{
	struct attempt *a = arg;

	a->tid = gettid();
	a->changed = a->change();
	sem_post(&a->ready);
	sem_wait(&a->go);
	a->adopted = sl_adopt(a->fd);
	a->may_read = confine_may_read();
	confine_get_label(a->label, sizeof(a->label));
	a->may_write = sl_may_write(a->fd, a->tid);
	return NULL;
}

/* @meanwhile: what the first thread does before the other adopts, or NULL */
static struct attempt attempt_while(int fd, int (*change)(void),
				    enum tracer tracer, void (*meanwhile)(int))
{
	struct attempt a = { .fd = fd, .change = change, .tracer = tracer };
	pthread_t thread;
	pid_t pid = 0;

	sem_init(&a.ready, 0, 0);
	sem_init(&a.go, 0, 0);
	if (pthread_create(&thread, NULL, in_thread, &a))
		errx(1, "pthread_create");
	sem_wait(&a.ready);
	if (a.changed)
		errx(1, "a thread's credentials: %s", strerror(-a.changed));
	if (meanwhile)
		meanwhile(fd);
	if (tracer != NOBODY)
		pid = trace(a.tid, tracer == PRIVILEGED);
	sem_post(&a.go);
	pthread_join(thread, NULL);
	if (pid && (kill(pid, SIGKILL) || waitpid(pid, NULL, 0) != pid))
		err(1, "the tracer's end");
	return a;
}

static struct attempt attempt(int fd, int (*change)(void), enum tracer tracer)
{
	return attempt_while(fd, change, tracer, NULL);
}

static void expect_refused(const struct attempt *a, int error, const char *who)
{
	expect(error, a->adopted, "%s adopts nothing", who);
	expect(-EACCES, a->may_write, "%s may not write", who);
}

static void expect_taken(const struct attempt *a, const char *who)
{
	expect(0, a->adopted, "%s adopts", who);
	expect(0, a->may_write, "%s may write", who);
}

static int fewer(void)
{
	return confine_drop_capability(CAP_SYS_TIME);
}

static int first(void)
{
	return confine_label("first");
}

static int second(void)
{
	return confine_label("second");
}

static void tracers(void)
{
	struct scripted s;
	struct attempt a;

	scripted_open(&s);
	a = attempt(s.fd, confine_own_object, NOBODY);
	expect_refused(&a, -EPERM, "a thread that nobody restores");
	a = attempt(s.fd, confine_own_object, UNPRIVILEGED);
	expect_refused(&a, -EPERM, "one whose tracer may not trace any process");
	a = attempt(s.fd, confine_own_object, PRIVILEGED);
	expect_taken(&a, "a thread that is restored");
	a = attempt(s.fd, fewer, PRIVILEGED);
	expect_refused(&a, -EACCES, "one that may do less");
	/* the file is of other credentials than the first thread has now */
	if (confine_own_object())
		errx(1, "capset");
	a = attempt(s.fd, confine_own_object, PRIVILEGED);
	expect_refused(&a, -EACCES, "one whose process has another object");
}

static bool has_labels(void)
{
	if (confine_in_use("apparmor") || confine_in_use("smack"))
		return true;
	printf("# skipped: labels, as neither AppArmor nor Smack is in use\n");
	return false;
}

static void become_first(int fd)
{
	if (first() || sl_adopt_tid(fd, getpid()))
		errx(1, "the first thread's label");
}

/* The first thread is as any; then it has a label itself. */
static void with_labels(const void *unused)
{
	struct scripted s;
	struct attempt a;

	(void)unused;
	scripted_open(&s);
	a = attempt(s.fd, first, PRIVILEGED);
	expect_refused(&a, -EACCES, "a thread with a label of its own");
	expect(0, strcmp(a.label, "sl_first"), "and keeps %s", a.label);

	a = attempt_while(s.fd, second, PRIVILEGED, become_first);
	expect_refused(&a, -EACCES, "one with another label than the first");
	expect(0, strcmp(a.label, "sl_second"), "and keeps %s", a.label);
	a = attempt(s.fd, confine_own_object, PRIVILEGED);
	expect_taken(&a, "one with the first thread's label");
	expect(0, strcmp(a.label, "sl_first"), "which is still %s", a.label);
}

static void labels(void)
{
	if (!has_labels())
		return;
	confine_begin();
	/* the namespaces of labels go when nobody is in them */
	if (apart(CASE_SECONDS, with_labels, NULL))
		expect_failed = 1;
	confine_end();
}

/* Nothing outside of the kernel's Landlock tells one domain from another. */
static void domains(void)
{
	struct scripted s;
	struct attempt a;

	if (!confine_in_use("landlock")) {
		printf("# skipped: Landlock, which is not in use\n");
		return;
	}
	scripted_open(&s);
	a = attempt(s.fd, confine_domain, NOBODY);
	expect_refused(&a, -EPERM, "a thread in a Landlock domain");
	expect(0, a.may_read, "and is still in it");
	expect(1, confine_may_read(), "which its process is not");
}

const struct protocol_case protocol_adopt_cases[] = {
	{ "adopt: who is restored", tracers },
	{ "adopt: labels", labels },
	{ "adopt: Landlock", domains },
	{ 0 }
};
