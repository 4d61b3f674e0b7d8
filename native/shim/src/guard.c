// SPDX-License-Identifier: Apache-2.0
/*
 * agent ── guard ── runc ── criu
 *
 * CRIU thaws what it dumps, so that its code can run in the tasks, and puts their TCP sockets into repair mode; a
 * CRIU that is killed leaves them so, and to a task that runs then each send and receive is an error. The guard sees
 * CRIU's end before any of the tasks gets a processor (or as good as: it runs before all that is not real-time),
 * freezes them and takes their sockets out of repair mode. It and what it starts are in a cgroup of their own: an
 * agent that ends takes what is in its container's cgroup with it, and a CRIU in the middle of a dump must not end
 * like that.
 *
 * SIGALRM asks the guard to make CRIU give up. CRIU's own way, SIGALRM to itself, ends system calls that wait. One that
 * writes pages has none: it goes on for five seconds and then crashes with its code in the tasks. So the guard lets
 * CRIU write no further. The next page is an error, for which CRIU takes its code out of the tasks and ends. Its plugin
 * ignores SIGXFSZ.
 */
#include "guard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"
#include "pidfd.h"

#define CGROUPS		"/sys/fs/cgroup/"
#define OWN		CGROUPS "sealift"
/* CRIU has much to read before it touches a task. */
#define LOOK_MS		5
/* Of a file, from then on: room for the plugin's report, not for a dump. */
#define GIVE_UP_BYTES	(64 << 10)

static int write_file(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	int fd, error = 0;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		error = -errno;
	close(fd);
	return error;
}

/* From the agent's cgroup into one of this dump's, before all else on the node: the pod stands still meanwhile. */
static int leave(const char *dir)
{
	if ((mkdir(OWN, 0755) < 0 && errno != EEXIST) || (mkdir(dir, 0755) < 0 && errno != EEXIST))
		return -errno;
	/* A node need not share out its processors by weight. */
	write_file(OWN, "cpu.weight", "10000");
	return write_file(dir, "cgroup.procs", "0");
}

static void socket_leave_repair(int fd)
{
	int mode = TCP_REPAIR_OFF;
	socklen_t size = sizeof(mode);

	/* Anything that is no TCP socket says no. */
	if (getsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &mode, &size) || mode != TCP_REPAIR_ON)
		return;
	mode = TCP_REPAIR_OFF;
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &mode, sizeof(mode)))
		fprintf(stderr, "sealift-guard: a socket stays in repair mode: %s\n", strerror(errno));
}

static void task_leave_repair(pid_t pid)
{
	char path[64], link[16];
	struct dirent *entry;
	int task, fd;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return;
	task = pidfd_of(pid);
	while (task >= 0 && (entry = readdir(dir))) {
		if (readlinkat(dirfd(dir), entry->d_name, link, sizeof(link)) < 7 ||
		    strncmp(link, "socket:", 7))
			continue;
		fd = syscall(SYS_pidfd_getfd, task, atoi(entry->d_name), 0);
		if (fd < 0)
			continue;
		socket_leave_repair(fd);
		close(fd);
	}
	if (task >= 0)
		close(task);
	closedir(dir);
}

/* Calls @work with every number in a cgroup.procs until it returns something. */
static int each_task(const char *path, int (*work)(pid_t pid))
{
	FILE *file = fopen(path, "re");
	int pid, result = 0;

	if (!file)
		return 0;
	while (!result && fscanf(file, "%d", &pid) == 1)
		result = work(pid);
	fclose(file);
	return result;
}

static int leave_repair(pid_t pid)
{
	task_leave_repair(pid);
	return 0;
}

static int look(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	if (type == FTW_F && !strcmp(path + ftw->base, "cgroup.procs"))
		each_task(path, leave_repair);
	return 0;
}

/*
 * Whether a dump that was started ahead has not been begun: its CRIU waits for this file before it touches anything
 * (native/criu-plugin/ahead.h), and the tasks run.
 */
static bool is_ahead(void)
{
	const char *when = getenv("SEALIFT_DUMP_WHEN");

	return when && *when && access(when, F_OK) && errno == ENOENT;
}

static void secure(const char *tasks)
{
	int error;

	if (is_ahead())
		return;
	error = write_file(tasks, "cgroup.freeze", "1");
	/* Gone, and its tasks with it: nothing is left to be frozen. */
	if (error == -ENOENT || error == -ENODEV)
		return;
	if (error)
		fprintf(stderr, "sealift-guard: cannot freeze %s: %s\n", tasks, strerror(-error));
	nftw(tasks, look, 16, FTW_PHYS);
}

/* A pidfd for a task called criu, or nothing. */
static int criu;
/* What the guard has started itself. */
static pid_t command;
static bool giving_up;

static bool is_criu(pid_t pid)
{
	char path[64], name[8] = "";
	FILE *file;

	if (pid == command || pid == getpid())
		return false;
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = 0;
	fclose(file);
	return !strcmp(name, "criu\n");
}

static int give_up(pid_t pid)
{
	const struct rlimit limit = { GIVE_UP_BYTES, GIVE_UP_BYTES };

	if (!is_criu(pid))
		return 0;
	/* It waits, and has touched nothing: a limit would not wake it. */
	if (is_ahead()) {
		kill(pid, SIGKILL);
		return 0;
	}
	if (prlimit(pid, RLIMIT_FSIZE, &limit, NULL) && errno != ESRCH)
		fprintf(stderr, "sealift-guard: cannot limit CRIU: %s\n", strerror(errno));
	/* A stopped one notices nothing. */
	kill(pid, SIGCONT);
	return 0;
}

static int take_criu(pid_t pid)
{
	if (!is_criu(pid))
		return 0;
	if (giving_up)
		give_up(pid);
	criu = pidfd_of(pid);
	return criu >= 0;
}

static void take_request(int requests, const char *procs)
{
	struct signalfd_siginfo request;

	while (read(requests, &request, sizeof(request)) > 0)
		giving_up = true;
	each_task(procs, give_up);
}

/* Until the command has ended, and every CRIU. */
static void watch(const char *own, const char *tasks, int requests)
{
	char procs[PATH_MAX];
	int ended = pidfd_of(command);
	struct pollfd fds[3];

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", own);
	criu = -1;
	while (ended >= 0 || criu >= 0) {
		/* The one that was started first stands first. */
		if (criu < 0)
			each_task(procs, take_criu);
		fds[0] = (struct pollfd){ .fd = ended, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = criu, .events = POLLIN };
		fds[2] = (struct pollfd){ .fd = requests, .events = POLLIN };
		if (poll(fds, 3, criu < 0 ? LOOK_MS : -1) < 0 && errno != EINTR)
			break;
		if (fds[2].revents)
			take_request(requests, procs);
		if (criu >= 0 && fds[1].revents) {
			secure(tasks);
			close(criu);
			criu = -1;
		}
		if (ended >= 0 && fds[0].revents) {
			close(ended);
			ended = -1;
			/* It may have left one that has not been seen yet. */
			if (criu < 0)
				each_task(procs, take_criu);
		}
	}
	secure(tasks);
}

int guard_main(int argc, char **argv)
{
	const struct sched_param first = { .sched_priority = 1 };
	char own[NAME_MAX];
	sigset_t asking, before;
	int error, status;

	if (argc < 4 || strchr(argv[1], '/') || argv[1][0] == '.' ||
	    strncmp(argv[2], CGROUPS, strlen(CGROUPS)) ||
	    snprintf(own, sizeof(own), OWN "/%s", argv[1]) >= (int)sizeof(own)) {
		fprintf(stderr, "usage: sealift-guard <name> " CGROUPS "<cgroup> <command> [arguments]\n");
		return 2;
	}
	error = leave(own);
	if (error) {
		fprintf(stderr, "sealift-guard: cannot enter %s: %s\n", own, strerror(-error));
		return 1;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* Before the fork, so that a request that comes early is not lost. */
	sigemptyset(&asking);
	sigaddset(&asking, SIGALRM);
	sigprocmask(SIG_BLOCK, &asking, &before);
	command = fork();
	if (command < 0) {
		fprintf(stderr, "sealift-guard: fork: %s\n", strerror(errno));
		return 1;
	}
	if (!command) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		_exit(host_exec(argv + 3));
	}
	/* Without it the guard only comes a little later. */
	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
	watch(own, argv[2], signalfd(-1, &asking, SFD_CLOEXEC | SFD_NONBLOCK));
	while (waitpid(command, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
