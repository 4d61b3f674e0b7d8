// SPDX-License-Identifier: GPL-2.0
/*
 * usage: keeps WHAT...
 * A process that has memory mapped whose file it has closed, or something in common with another container. Says `ready`,
 * and then once a second what is left of it. /shared is a directory of both containers, /both/a one of a disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <net/ethernet.h>
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "keeps.h"

#define MIB ((size_t)1 << 20)
#define SOCKET "/shared/socket"
#define FIFO "/shared/fifo"

static char *memory;
static size_t bytes = MIB;
static int kept = -1;
static void (*say)(void);

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int must(int result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

/* The last page is written too. */
static void map(int fd, int flags, bool closes)
{
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (memory == MAP_FAILED)
		fail("mmap");
	strcpy(memory, "first");
	strcpy(memory + bytes - 4096, "last");
	if (closes && fd >= 0)
		close(fd);
}

static void say_memory(void)
{
	printf("%s %s\n", memory, memory + bytes - 4096);
}

static int made(const char *path, size_t size)
{
	int fd = must(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), path);

	must(ftruncate(fd, (off_t)size), "ftruncate");
	bytes = size;
	return fd;
}

static void deleted(const char *path, size_t size, bool isFull, bool closes)
{
	int fd = made(path, size);

	if (isFull)
		must(fallocate(fd, 0, 0, (off_t)size), "fallocate");
	must(unlink(path), "unlink");
	map(fd, MAP_SHARED, closes);
}

static void linked(bool closes)
{
	int fd = made("/both/a/one", MIB);

	must(link("/both/a/one", "/both/a/two"), "link");
	must(unlink("/both/a/one"), "unlink");
	map(fd, MAP_SHARED, closes);
}

static void memfd(size_t size, bool closes)
{
	int fd = must(memfd_create("kept", MFD_CLOEXEC), "memfd_create");

	bytes = size;
	must(ftruncate(fd, (off_t)size), "ftruncate");
	map(fd, MAP_SHARED, closes);
}

static void secret(void)
{
	int fd = must((int)syscall(SYS_memfd_secret, 0), "memfd_secret");

	bytes = 16 * 4096;
	must(ftruncate(fd, (off_t)bytes), "ftruncate");
	map(fd, MAP_SHARED, true);
}

static void sysv(void)
{
	int id = must(shmget(IPC_PRIVATE, bytes, 0600 | IPC_CREAT), "shmget");

	memory = shmat(id, NULL, 0);
	if (memory == MAP_FAILED)
		fail("shmat");
	strcpy(memory, "first");
	strcpy(memory + bytes - 4096, "last");
}

static void ring(void)
{
	struct io_uring_params params = {};
	int fd = must((int)syscall(SYS_io_uring_setup, 8, &params), "io_uring_setup");

	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING) == MAP_FAILED)
		fail("mmap");
	close(fd);
}

static void perf(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_DUMMY };
	int fd = must((int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0), "perf_event_open");

	if (mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		fail("mmap");
	close(fd);
}

static void bpf(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4096, .max_entries = 1, .map_flags = BPF_F_MMAPABLE };
	int fd = must((int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)), "bpf");

	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		fail("mmap");
	close(fd);
}

static void packets(bool closes)
{
	struct tpacket_req req = { .tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = 2048, .tp_frame_nr = 2 };
	int fd = must(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)), "socket");

	must(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)), "PACKET_RX_RING");
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		fail("mmap");
	if (closes)
		close(fd);
}

static void aio(void)
{
	aio_context_t context = 0;

	must((int)syscall(SYS_io_setup, 8, &context), "io_setup");
}

static void zero(int flags)
{
	map(must(open("/dev/zero", O_RDWR), "/dev/zero"), flags, true);
}

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	strcpy(at.sun_path, path);
	return at;
}

static int listening(int type)
{
	int fd = must(socket(AF_UNIX, type | SOCK_CLOEXEC, 0), "socket");
	struct sockaddr_un at = address(SOCKET);

	unlink(SOCKET);
	must(bind(fd, (struct sockaddr *)&at, sizeof(at)), "bind");
	if (type != SOCK_DGRAM)
		must(listen(fd, 5), "listen");
	return fd;
}

static int connected(int type)
{
	int fd = must(socket(AF_UNIX, type | SOCK_CLOEXEC, 0), "socket");
	struct sockaddr_un at = address(SOCKET);

	while (connect(fd, (struct sockaddr *)&at, sizeof(at)))
		usleep(10000);
	return fd;
}

static void pass(int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int listener = listening(SOCK_STREAM), to = must(accept(listener, NULL, NULL), "accept");

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	must((int)sendmsg(to, &message, 0), "sendmsg");
	must((int)read(to, &byte, 1), "read");
	close(to);
	close(listener);
}

static int passed(void)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int fd, from = connected(SOCK_STREAM);

	must((int)recvmsg(from, &message, MSG_CMSG_CLOEXEC), "recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	must((int)write(from, &byte, 1), "write");
	close(from);
	return fd;
}

static void say_waiting(void)
{
	int n = -1;

	ioctl(kept, FIONREAD, &n);
	printf("%d bytes\n", n);
}

static void nothing(void)
{
	printf("here\n");
}

static bool is(const char *what, const char *name)
{
	return !strcmp(what, name);
}

static void begin_memory(const char *what)
{
	say = say_memory;
	if (is(what, "shm"))
		deleted("/shared/name", MIB, false, true);
	else if (is(what, "shm-open"))
		deleted("/shared/name", MIB, false, false);
	else if (is(what, "disk"))
		deleted("/both/a/name", MIB, false, true);
	else if (is(what, "disk-large"))
		deleted("/both/a/name", 1200 * MIB, true, true);
	else if (is(what, "disk-large-open"))
		deleted("/both/a/name", 1200 * MIB, true, false);
	else if (is(what, "sparse"))
		deleted("/both/a/name", 2048 * MIB, false, true);
	else if (is(what, "sparse-open"))
		deleted("/both/a/name", 2048 * MIB, false, false);
	else if (is(what, "linked"))
		linked(true);
	else if (is(what, "memfd"))
		memfd(MIB, true);
	else if (is(what, "memfd-large"))
		memfd(2048 * MIB, true);
	else if (is(what, "memfd-open"))
		memfd(MIB, false);
	else if (is(what, "anonymous"))
		map(-1, MAP_SHARED | MAP_ANONYMOUS, false);
	else if (is(what, "zero-shared"))
		zero(MAP_SHARED);
	else if (is(what, "zero-private"))
		zero(MAP_PRIVATE);
	else if (is(what, "secret"))
		secret();
	else if (is(what, "sysv"))
		sysv();
	else
		say = nothing;
}

static bool begin(const char *what)
{
	int pair[2];

	say = sockets_begin(what);
	if (say)
		return true;
	begin_memory(what);
	if (say != nothing)
		return true;
	if (is(what, "io_uring")) {
		ring();
	} else if (is(what, "perf")) {
		perf();
	} else if (is(what, "bpf")) {
		bpf();
	} else if (is(what, "packets")) {
		packets(true);
	} else if (is(what, "packets-open")) {
		packets(false);
	} else if (is(what, "aio")) {
		aio();
	} else if (is(what, "listens")) {
		listening(SOCK_STREAM);
	} else if (is(what, "accepts")) {
		kept = must(accept(listening(SOCK_STREAM), NULL, NULL), "accept");
	} else if (is(what, "connects")) {
		kept = connected(SOCK_STREAM);
	} else if (is(what, "receives")) {
		kept = listening(SOCK_DGRAM);
	} else if (is(what, "sends")) {
		kept = connected(SOCK_DGRAM);
	} else if (is(what, "pipe")) {
		must(pipe2(pair, O_CLOEXEC), "pipe2");
		pass(pair[0]);
		kept = pair[1];
	} else if (is(what, "socket")) {
		must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
		pass(pair[0]);
		kept = pair[0];
	} else if (is(what, "eventfd")) {
		kept = eventfd(0, EFD_CLOEXEC);
		pass(kept);
	} else if (is(what, "memory")) {
		kept = must(memfd_create("passed", MFD_CLOEXEC), "memfd_create");
		must(ftruncate(kept, (off_t)bytes), "ftruncate");
		pass(kept);
		map(kept, MAP_SHARED, true);
		say = say_memory;
	} else if (is(what, "file")) {
		kept = made("/shared/name", MIB);
		must(unlink("/shared/name"), "unlink");
		pass(kept);
		map(kept, MAP_SHARED, true);
		say = say_memory;
	} else if (is(what, "passed-memory")) {
		map(passed(), MAP_SHARED, true);
		say = say_memory;
	} else if (is(what, "passed")) {
		kept = passed();
	} else if (is(what, "passed-pipe")) {
		kept = passed();
	} else if (is(what, "named")) {
		map(made("/shared/name", MIB), MAP_SHARED, true);
		say = say_memory;
	} else if (is(what, "fifo-write") || is(what, "fifo-read")) {
		mkfifo(FIFO, 0600);
		kept = must(open(FIFO, O_RDWR | O_CLOEXEC), FIFO);
		if (is(what, "fifo-write"))
			must((int)write(kept, "data", 4), "write");
		say = say_waiting;
	} else if (!is(what, "nothing")) {
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2 || !begin(argv[1])) {
		fprintf(stderr, "usage: keeps WHAT\n");
		return 2;
	}
	printf("ready\n");
	for (;;) {
		sleep(1);
		say();
	}
}
